"""Rings the bell; the one file here that knows Celery.

Best effort: a job is in the database before the bell rings, and the reconciler rings again. So a
broker that is gone, slow or half-open costs a request 300 ms at most, and never fails one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from celery import Celery

from backpropd.bell import QUEUE, TASK, transport_options

log = logging.getLogger(__name__)

RING_SECONDS = 0.3
PING_SECONDS = 1.5
MOST_PENDING = 8  # rings that wait for a dead broker; more would say nothing new


class Bell:
    """A bell on one broker. Its thread is made with the first ring, so after any fork."""

    def __init__(self, broker_url: str) -> None:
        self.app = Celery("backpropd-bell", broker=broker_url, set_as_current=False)
        self.app.conf.update(
            broker_transport_options=transport_options(broker_url),
            broker_connection_timeout=2,
            broker_pool_acquire_timeout=2,
            broker_connection_retry=False,
            task_publish_retry=False,
            task_serializer="json",
            task_ignore_result=True,
            task_create_missing_queues=True,
        )
        self._executor: ThreadPoolExecutor | None = None
        self._pending = threading.BoundedSemaphore(MOST_PENDING)

    def ring(self) -> None:
        """Wake a worker, if it can be done at once."""
        self._within(RING_SECONDS, self._send)

    def ping(self) -> bool:
        """Whether the broker answers."""
        return self._within(PING_SECONDS, self._connect)

    def _send(self) -> None:
        self.app.send_task(TASK, queue=QUEUE, ignore_result=True)

    def _connect(self) -> None:
        with self.app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
            channel: Any = connection.default_channel
            if hasattr(channel, "client"):
                channel.client.ping()

    def _within(self, seconds: float, act: Callable[[], None]) -> bool:
        """Whether `act` was done in time; it goes on in its thread if not."""
        if not self._pending.acquire(blocking=False):
            return False
        if self._executor is None:
            self._executor = ThreadPoolExecutor(2, thread_name_prefix="bell")
        done: Future[None] = self._executor.submit(act)
        done.add_done_callback(lambda _: self._pending.release())
        try:
            done.result(seconds)
        except TookTooLong:
            log.warning("the broker did not answer in %.1f s", seconds)
            return False
        except Exception as error:  # whatever a broker's library may raise
            log.warning("the broker cannot be reached: %s", type(error).__name__)
            return False
        return True
