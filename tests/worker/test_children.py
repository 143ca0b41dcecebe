"""What a child of the pool does about itself: it ends where it hangs, and inherits no file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kombu import Connection
from kombu.transport.sqlalchemy import Channel

from backpropd.settings import Settings
from worker import tasks

HANGS = """
from worker import tasks
tasks.WATCHDOG_SECONDS = 1
tasks.restart_watchdog()
sum(range(10**12))  # in C, with the interpreter's lock held
"""


def test_a_child_that_does_not_come_back_from_machine_code_ends() -> None:
    """
    Its job is rescued then; a thread of Python would never get its turn.
    """
    ran = subprocess.run(
        [sys.executable, "-c", HANGS], check=False, capture_output=True, timeout=60
    )

    assert 1 == ran.returncode
    assert b"Timeout (0:00:01)!" in ran.stderr


def test_a_child_opens_the_brokers_file_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqla+sqlite:///{tmp_path / 'broker.sqlite'}"
    monkeypatch.setattr(tasks, "settings", Settings(broker_url=url))
    with Connection(url) as connection:
        connection.default_channel.session.close()
        parents = dict(Channel._engines)
        tasks.forget_brokers_file()
        childs = connection.channel()._open()

    assert childs not in parents.values()
    for engine, _ in (*parents.values(), childs):
        engine.dispose()
    Channel._engines.clear()
