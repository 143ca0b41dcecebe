"""Two transactions at once: one that is open, and another that has to wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import text

from backpropd.store.database import Database, Session

WAITERS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def while_open(
    database: Database, first: Callable[[Session], Any], second: Callable[[Session], Any]
) -> tuple[Any, Future[Any]]:
    """What `first` gives, and what `second` comes to that began before `first` was committed."""

    def other() -> Any:
        with database.write() as session:
            return second(session)

    return meanwhile(database, first, other)


def meanwhile(
    database: Database, first: Callable[[Session], Any], other: Callable[[], Any]
) -> tuple[Any, Future[Any]]:
    """What `first` gives, and what `other` comes to that began before `first` was committed.

    On PostgreSQL `first` is committed once `other` waits for its locks; SQLite lets nobody else
    begin to write.
    """
    with ThreadPoolExecutor(1) as thread, database.write() as session:
        result = first(session)
        future = thread.submit(other)
        while not database.is_sqlite and not future.done() and not _anyone_waits(database):
            time.sleep(0.01)
    return result, future


def _anyone_waits(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(WAITERS))
