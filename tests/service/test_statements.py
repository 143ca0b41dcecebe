"""How often a job on its way asks the database: what is counted here, each submit pays for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, event

from backpropd.store import workers
from backpropd.store.database import Database
from tests.jobs import Fake, claim, find, iris_job, runner
from tests.jobs import submit as store
from tests.service.conftest import Service


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements of whatever happens meanwhile.

    But for SQLite's own BEGIN, and for whether there are keys, which the service asks now and then.
    """
    said: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN") and "FROM api_key" not in statement:
            said.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def submit(service: Service, number: int) -> str:
    """A job of one epoch, whose dataset is known already; its id."""
    job = {**iris_job(epochs=1, batch_size=150), "snapshots": {"best": None}}
    answer = service.client.post(
        "/v1/jobs", json=job, headers={"Idempotency-Key": f"count-{number}"}
    )
    return str(answer.get_json()["id"])


@pytest.fixture
def stack(service_on_both: Service) -> Service:
    """A service with a free worker, that has seen such a job before."""
    with service_on_both.database.write() as session:
        workers.seen(session, "w", host="h", version="1", queue="cpu", slots=2)
    submit(service_on_both, 0)
    service_on_both.train()
    return service_on_both


def test_a_submit_is_ten_statements(stack: Service) -> None:
    """
    Key, network, dataset, job, event; the answer's events, queue position and estimate; the key.
    """
    with statements() as said:
        submit(stack, 1)

    assert 10 == len(said), "\n".join(said)


def test_a_claim_is_three_statements(stack: Service) -> None:
    submit(stack, 1)
    with statements() as said:
        claim(stack.database)

    assert 3 == len(said), "\n".join(said)


def test_a_job_that_is_over_at_once_is_fourteen_statements(stack: Service) -> None:
    """
    Three to begin with; one transaction for all that it leaves.
    """
    submit(stack, 1)
    lease, job = claim(stack.database)
    with statements() as said:
        runner(stack.database, clock=Fake(1e-6)).run(lease, job)

    assert 14 == len(said), "\n".join(said)
    assert 1 == sum(statement.startswith("UPDATE job SET status") for statement in said)


def test_a_beat_with_a_checkpoint_is_eighteen_statements_at_most(database: Database) -> None:
    """
    The beat; last epoch, chunk, buckets and summaries that change; the checkpoint's place.
    """
    job_id = store(database, {**iris_job(epochs=3), "snapshots": {"best": None}})
    lease, job = claim(database)
    with statements() as said:
        runner(database).run(lease, job)
    begins = [n for n, each in enumerate(said) if each.startswith("UPDATE job SET version")]
    lengths = [after - before for before, after in pairwise(begins)]

    assert find(database, job_id).status == "succeeded"
    assert len(lengths) > 3
    assert max(lengths) <= 18, lengths
