"""The part of a Celery worker that listens to the broker, made to come back to it at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

RETRY_SECONDS = 1.0


class PromptConsumer(Consumer):  # type: ignore[misc]
    """Looks for a broker that is gone each second.

    Celery waits 2, 4, 6, ... up to 30 seconds between two attempts, which no setting changes; jobs
    would wait for so long after the broker has come back.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, once there is one."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
        )
        return super().ensure_connected(conn)
