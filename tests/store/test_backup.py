"""Backups: whole, of one moment, sound, and restored into either kind of database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backpropd.store import jobs, leases
from backpropd.store.backup import Occupied, Unsound, back_up, restore
from backpropd.store.database import Database
from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import LOCAL_TENANT, Base
from tests.jobs import claim, find, iris_job, mazur_job, run, submit


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but those that a restore changes."""
    with database.read() as session:
        return {
            table.name: sorted(
                (dict(row) for row in session.execute(select(table)).mappings()), key=repr
            )
            for table in Base.metadata.sorted_tables
            if table.name != "worker"
        }


def test_what_was_backed_up_is_restored_to_the_last_bit(
    database: Database, empty: Database, tmp_path: Path
) -> None:
    """
    From either kind of database into either kind: floats, bytes, times and JSON are the same.
    """
    run(database, iris_job(epochs=20) | {"tags": {"a": "é"}})
    submit(database, mazur_job())
    file = tmp_path / "backup.sqlite"
    assert 2 == back_up(database, file)
    assert 2 == restore(file, empty)

    assert everything(database) == everything(empty)
    assert 0o600 == file.stat().st_mode & 0o777
    assert {file.name} == {each.name for each in tmp_path.glob("*backup*")}


def test_what_was_running_is_queued_again_without_a_charge(
    database: Database, empty: Database, tmp_path: Path
) -> None:
    running, paused = submit(database, mazur_job()), submit(database, mazur_job())
    claim(database)
    claim(database)
    with database.write() as session:
        jobs.pause(session, LOCAL_TENANT, paused)
    file = tmp_path / "backup.sqlite"
    back_up(database, file)
    restore(file, empty)
    there = find(empty, running)

    assert (JobStatus.QUEUED, 1, 0) == (there.status, there.attempt, there.crashes)
    assert JobStatus.PAUSED == find(empty, paused).status
    assert JobStatus.RUNNING == find(database, running).status
    assert 2 == claim(empty)[0].attempt


def test_a_backup_waits_for_no_writer_and_keeps_none(database: Database, tmp_path: Path) -> None:
    submit(database, mazur_job())
    lease, _ = claim(database)
    with database.write() as session:
        leases.beat(session, lease, epoch=7)
        back_up(database, tmp_path / "meanwhile.sqlite")
    with closing(sqlite3.connect(tmp_path / "meanwhile.sqlite")) as copy:
        assert [(0,)] == copy.execute("SELECT epoch FROM job").fetchall()
    assert 7 == find(database, lease.job_id).epoch


def test_no_file_and_no_job_is_overwritten(database: Database, tmp_path: Path) -> None:
    submit(database, mazur_job())
    file = tmp_path / "backup.sqlite"
    back_up(database, file)
    before = file.read_bytes()
    with pytest.raises(Occupied, match="exists already"):
        back_up(database, file)
    with pytest.raises(Occupied, match="holds a job already"):
        restore(file, database)

    assert before == file.read_bytes()


@pytest.mark.parametrize("damage", ["torn", "text", "empty", "another program's"])
def test_a_damaged_backup_is_refused_and_nothing_is_written(
    tmp_path: Path, empty: Database, sqlite_template: Path, damage: str
) -> None:
    source = tmp_path / "source.sqlite"
    source.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{source}")
    run(database, mazur_job(epochs=2000))
    file = tmp_path / "backup.sqlite"
    back_up(database, file)
    database.dispose()
    whole = file.read_bytes()
    file.unlink()
    if damage == "torn":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        file.write_text("not a database, but long enough to be looked into" * 100)
    elif damage == "empty":
        file.touch()
    else:
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE recipe (name TEXT)")
    with pytest.raises(Unsound):
        restore(file, empty)
    with empty.read() as session:
        from sqlalchemy import inspect

        assert [] == inspect(session.connection()).get_table_names()
