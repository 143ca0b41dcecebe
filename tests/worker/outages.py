"""Databases that let a worker down: by a lock, by a closed door, or this worker alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, event, text

from backpropd.store.database import Database, Session
from backpropd.store.errors import Busy

IMPATIENT = {"sqlite": "PRAGMA busy_timeout=20", "postgresql": "SET lock_timeout='20ms'"}


def impatient(url: str) -> Database:
    """A database that gives a lock up at once, so that a test need not wait for it."""
    database = Database(url)
    statement = IMPATIENT[database.url.get_backend_name()]

    @event.listens_for(database.write_engine, "connect")
    def on_connect(connection: psycopg.Connection, record: object) -> None:
        connection.execute(statement)
        if not database.is_sqlite:
            connection.commit()

    return database


class Lock:
    """Somebody who holds on to a job's row, or, on SQLite, to the whole file."""

    def __init__(self, url: str, job_id: str) -> None:
        self.database, self.job_id = Database(url), job_id
        self.connection: Connection | None = None

    def begin(self) -> None:
        """Take the lock; SQLite takes it with any transaction that may write."""
        self.connection = self.database.write_engine.connect()
        for_update = "" if self.database.is_sqlite else "FOR UPDATE"
        query = text(f"SELECT id FROM job WHERE id = :id {for_update}")
        self.connection.execute(query, {"id": self.job_id})

    def end(self) -> None:
        """Let it go."""
        assert self.connection is not None
        self.connection.close()
        self.database.dispose()


class ClosedDoor:
    """A PostgreSQL database that throws everybody out and lets nobody in."""

    def __init__(self, url: str) -> None:
        address = Database(url).url
        self.name = address.database
        admin = address.set(drivername="postgresql", database="postgres")
        self.admin = admin.render_as_string(hide_password=False)

    def begin(self) -> None:
        """As when the server is gone: connections break, new ones are refused."""
        self._say(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        self._say(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = '{self.name}'"
        )

    def end(self) -> None:
        """Let everybody in again."""
        self._say(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def _say(self, statement: str) -> None:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(statement)


class CutOff(Database):
    """A real database that this worker alone cannot reach while `cut` is true."""

    cut = False

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._reach()
        with super().write() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        self._reach()
        with super().read() as session:
            yield session

    def _reach(self) -> None:
        if self.cut:
            raise Busy


class Ailing(Database):
    """A real database whose transactions that write fail now and then, before or after COMMIT."""

    def __init__(self, url: str, *, every: int, after_commit: bool) -> None:
        super().__init__(url)
        self.every, self.after_commit = every, after_commit
        self.count = self.failures = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        self.count += 1
        fails = self.count % self.every == 0
        self.failures += fails
        if fails and not self.after_commit:
            raise Busy
        with super().write() as session:
            yield session
        if fails:
            raise Busy
