"""Backups: all that a database holds, of one moment, in one SQLite file; and the way back.

The file is the same whichever database it comes from, so a backup of SQLite can be restored into
PostgreSQL and the other way round. Nobody has to stop: readers and writers go on meanwhile.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, inspect, select
from sqlalchemy.orm import Session

from backpropd.store import leases
from backpropd.store.database import Database
from backpropd.store.migrate import check_schema, upgrade
from backpropd.store.tables import Base, TenantRow, WorkerRow

ROWS_AT_ONCE = 50  # some of them hold megabytes


class Unsound(Exception):
    """What was read is no sound backup of this program."""


class Occupied(Exception):
    """There is something already where the backup would go."""


def back_up(database: Database, file: Path) -> int:
    """Write all of the database to a new file; how many jobs it holds.

    The file appears whole, checked, or not at all. Raises Occupied, WrongSchema, Unsound, OSError.
    """
    check_schema(database)
    if file.exists():
        raise Occupied(f"{file} exists already")
    with _beside(file) as partial:
        if database.is_sqlite:
            _copy_file(str(database.url.database), partial)
        else:
            _copy_rows_to(partial, database)
        jobs = _check(partial, file)
        _make_durable(partial)
        os.link(partial, file)  # unlike a rename, it takes no other file's place
        _make_durable(file.parent)
    return jobs


def restore(file: Path, database: Database) -> int:
    """Fill an empty database from a backup, also of an older version; how many jobs there are.

    What was running is queued again: its worker knows another database. Raises Occupied, Unsound,
    OSError.
    """
    _refuse_occupied(database)
    with tempfile.TemporaryDirectory(prefix="backpropd-restore-") as folder:
        copy = Path(folder) / "backup.sqlite"
        shutil.copyfile(file, copy)
        jobs = _check(copy, file)
        with _opened(copy) as source:
            upgrade(source)
            if not database.is_sqlite:
                upgrade(database)
                _copy_rows(source, database)
        if database.is_sqlite:
            _copy_file(str(copy), Path(str(database.url.database)))
    with database.write() as session:
        leases.queue_all(session, reason="restored from a backup")
        session.execute(delete(WorkerRow))
    return jobs


def _refuse_occupied(database: Database) -> None:
    with database.read() as session:
        tables = inspect(session.connection()).get_table_names()
        for name in ("job", "network", "dataset", "api_key"):
            table = Base.metadata.tables[name]
            if name in tables and session.scalar(select(table.c.id).limit(1)) is not None:
                raise Occupied(f"the database holds a {name} already; restore into an empty one")


def _copy_file(source: str, target: Path) -> None:
    """SQLite's online backup: one read transaction, which keeps no writer waiting."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=10)) as reader,
        closing(sqlite3.connect(target, timeout=10)) as writer,
    ):
        reader.backup(writer)


def _copy_rows_to(file: Path, source: Database) -> None:
    with _opened(file) as target:
        upgrade(target)
        _copy_rows(source, target)


def _copy_rows(source: Database, target: Database) -> None:
    """Every row of every table: read in one transaction, written in one."""
    with source.read() as reading, target.write() as writing:
        writing.execute(delete(TenantRow))  # the one that a migration makes
        for table in Base.metadata.sorted_tables:
            for rows in _rows(reading, table):
                writing.execute(insert(table), rows)


def _rows(session: Session, table: Any) -> Iterator[list[dict[str, Any]]]:
    streamed = session.execute(
        select(table), execution_options={"yield_per": ROWS_AT_ONCE, "stream_results": True}
    )
    for rows in streamed.mappings().partitions():
        yield [dict(row) for row in rows]


def _check(copy: Path, file: Path) -> int:
    """Every page and every reference of what is, or becomes, `file`; how many jobs there are."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            # One file, without a log beside it; whoever opens it as a database turns that on.
            connection.execute("PRAGMA journal_mode=DELETE")
            said = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
            if said != ["ok"]:
                raise Unsound(f"{file} is damaged: {'; '.join(said)[:500]}")
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise Unsound(f"{file} is damaged: rows miss what they belong to")
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            jobs: int = connection.execute("SELECT count(*) FROM job").fetchone()[0]
            return jobs
    except sqlite3.DatabaseError as error:
        raise Unsound(f"{file} is no backup: {error}") from None


@contextmanager
def _opened(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A new file in the same folder, for the owner's eyes alone, that does not stay."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(name + end).unlink(missing_ok=True)


def _make_durable(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
