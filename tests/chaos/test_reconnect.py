"""How a worker comes back to its broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from worker.app import app
from worker.consumer import PromptConsumer


def test_a_worker_looks_for_a_lost_broker_each_second() -> None:
    """However long it has been away: jobs wait for that long after it has come back."""
    given: dict[str, Any] = {}

    def ensure_connection(*_: Any, **options: Any) -> str:
        given.update(options)
        return "connected"

    consumer = PromptConsumer.__new__(PromptConsumer)
    consumer.app = app
    consumer.first_connection_attempt = False
    connected = consumer.ensure_connected(SimpleNamespace(ensure_connection=ensure_connection))

    assert "connected" == connected
    assert (1, 0, 1) == (
        given["interval_start"],
        given["interval_step"],
        given["interval_max"],
    )
    assert "worker.consumer:PromptConsumer" == app.conf.worker_consumer
