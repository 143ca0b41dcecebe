"""The door to SQL: one transaction in, one out, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, DateTime, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from backpropd.store.errors import Busy, Unusable

# Service and worker pass a session on; they say no SQL of their own.
__all__ = ["Database", "Session"]

OLDEST_SQLITE = (3, 37)
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a 202 is durable, also through a power cut
    "PRAGMA busy_timeout=10000",  # milliseconds
    "PRAGMA foreign_keys=ON",
)


class Database:
    """A database, by its address. Make it after a fork: connections are not shared."""

    def __init__(self, url: str) -> None:
        """Nothing connects yet. Raises Unusable where nothing could ever answer."""
        self.url = _address(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            # One engine takes the write lock at BEGIN; a read that turned into a write would fail
            # at once instead of waiting. The other may not write at all.
            self.write_engine = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE")
            self.read_engine = _sqlite_engine(self.url, begin="BEGIN", query_only=True)
        else:
            from backpropd.store import postgres  # noqa: PLC0415 - psycopg is an extra

            self.write_engine = postgres.engine_of(self.url, json_deserializer=_from_jsonb)
            # All that a transaction reads is of one moment, as SQLite has it anyway.
            self.read_engine = self.write_engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write; committed at the end, rolled back by an exception."""
        with (
            _translated(),
            Session(self.write_engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that only reads."""
        with (
            _translated(),
            Session(self.read_engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def ping(self) -> None:
        """Ask for an answer; raises Busy where none comes."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def time(self) -> datetime:
        """The instant by the database's own clock."""
        with self.read() as session:
            said = session.scalar(select(func.current_timestamp(type_=DateTime(timezone=True))))
        assert isinstance(said, datetime)
        return said if said.tzinfo else said.replace(tzinfo=UTC)

    def dispose(self) -> None:
        """Close every connection."""
        self.write_engine.dispose()
        self.read_engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        raise Unusable("no address; one is sqlite:///FILE or postgresql://...") from None
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in ("sqlite", "postgresql+psycopg"):
        raise Unusable(f"{address.drivername} is neither sqlite nor postgresql")
    if address.drivername == "sqlite" and sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Unusable(f"SQLite {sqlite3.sqlite_version} has no STRICT tables; 3.37 and newer have")
    if address.drivername == "postgresql+psycopg" and find_spec("psycopg") is None:
        raise Unusable("PostgreSQL needs psycopg: pip install 'backpropd[postgres]'")
    return address


def _from_jsonb(text: str) -> Any:
    """PostgreSQL writes 1e22 in full, without a point; so long a number was no integer."""
    return json.loads(text, parse_int=lambda digits: (int if len(digits) <= 16 else float)(digits))


@contextmanager
def _translated() -> Iterator[None]:
    """Lock and connection trouble as Busy; mistakes of the program stay what they are."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise Busy from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Busy from error
        raise


def _sqlite_engine(url: Any, *, begin: str, query_only: bool = False) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver must not begin by itself
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Only before anything is in it; and setting it takes the lock of a writer.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in SQLITE_PRAGMAS:
            connection.execute(pragma)
        if query_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
