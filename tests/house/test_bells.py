"""Of Celery the house takes the pool and the wake-up: nothing else of it may hold a job."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from worker.app import app
from worker.tasks import work

ROOT = Path(__file__).parents[2]
# Each keeps work, a date or a wish where the database does not see it.
FORBIDDEN = re.compile(
    r"\b(eta|countdown|expires|\w*acks_late|link|link_error)\s*=\s*(?!False)|"
    r"\.(retry|delay|signature)\(|\.control\.|\b(chord|chain|group)\(|AsyncResult"
)


@pytest.mark.parametrize("room", ["worker", "service"])
def test_no_job_no_date_and_no_wish_is_kept_by_celery(room: str) -> None:
    for file in (ROOT / room).rglob("*.py"):
        lines = file.read_text().splitlines()
        assert not [line for line in lines if FORBIDDEN.search(line.partition("#")[0])], file


def test_a_bell_is_acknowledged_before_the_work_and_carries_nothing() -> None:
    """
    So no time limit of a broker's touches a run, and a bell that comes twice claims what is next.
    """
    assert not app.conf.task_acks_late
    assert not app.conf.task_reject_on_worker_lost
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None
    assert ["json"] == app.conf.accept_content
    assert [] == list(inspect.signature(work.run).parameters)
