"""The door to SQL: settings that durability rests on, and trouble told as Busy."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from backpropd.store import idempotency, jobs, networks
from backpropd.store.database import Database
from backpropd.store.errors import Busy, IdempotencyConflict, InUse, Raced, Unusable
from backpropd.store.tables import LOCAL_TENANT, Base
from tests.jobs import mazur_job, submit


def test_a_commit_is_durable(database: Database) -> None:
    with database.write() as session:
        if database.is_sqlite:
            assert session.scalar(text("PRAGMA synchronous")) == 2
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
        else:
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
            assert session.scalar(text("SHOW lock_timeout")) == "5s"


def test_an_exception_leaves_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as session:
            networks.create(session, LOCAL_TENANT, definition={"name": "n"}, parameter_count=1)
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM network")) == 0


def test_a_reader_cannot_write_on_sqlite(database: Database) -> None:
    if not database.is_sqlite:
        return  # PostgreSQL has one engine: its readers and writers do not block each other
    with pytest.raises(Busy), database.read() as session:
        session.execute(text("DELETE FROM job"))


def test_mistakes_of_the_program_are_not_busy(database: Database) -> None:
    if database.is_sqlite:
        return  # its driver calls a missing table operational, as a locked one
    with pytest.raises(ProgrammingError), database.read() as session:
        session.execute(text("SELECT * FROM nothing"))


def test_a_value_of_another_type_is_refused(database: Database) -> None:
    """PostgreSQL does so by itself; on SQLite every table is STRICT."""
    if database.is_sqlite:
        with database.read() as session:
            tables = session.execute(text("PRAGMA table_list")).mappings().all()
        strict = {table["name"] for table in tables if table["strict"]}
        assert set(Base.metadata.tables) == strict
    with pytest.raises(DBAPIError), database.write() as session:
        session.execute(text("UPDATE tenant SET max_running = 'many'"))


def test_a_sqlite_without_strict_tables_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 36, 0))
    with pytest.raises(Unusable, match=r"3\.37"):
        Database("sqlite://")


def test_a_database_that_is_gone_is_busy() -> None:
    database = Database("postgresql://127.0.0.1:1/nothing")
    with pytest.raises(Busy):
        database.ping()


def remember(database: Database, key: str, body: str, answer: dict[str, Any]) -> dict[str, Any]:
    with database.write() as session:
        known = idempotency.replay(session, LOCAL_TENANT, key, body)
        if known is not None:
            return known
        networks.create(session, LOCAL_TENANT, definition={"name": "n"}, parameter_count=1)
        idempotency.remember(
            session, LOCAL_TENANT, key, body_sha256=body, status=202, answer=answer
        )
        return answer


def test_the_same_key_gives_the_first_answer_and_another_body_is_a_conflict(
    database: Database,
) -> None:
    assert remember(database, "k", "body", {"n": 1}) == {"n": 1}
    assert remember(database, "k", "body", {"n": 2}) == {"n": 1}
    with pytest.raises(IdempotencyConflict):
        remember(database, "k", "other", {"n": 3})


def test_fifty_threads_with_one_key_make_one_row(database: Database) -> None:
    answers: list[dict[str, Any]] = []
    gate = threading.Barrier(50)

    def ask(number: int) -> None:
        gate.wait()
        while True:
            try:
                answers.append(remember(database, "k", "body", {"n": number}))
                return
            except (Raced, Busy):  # asking again gives the first one's answer
                continue

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 50
    assert all(answer == answers[0] for answer in answers)
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM network")) == 1


def test_pages_give_every_row_once(database: Database) -> None:
    ids = []
    for _ in range(25):
        with database.write() as session:
            row = networks.create(
                session, LOCAL_TENANT, definition={"name": "n"}, parameter_count=1
            )
            ids.append(row.id)
    seen, cursor = [], None
    while True:
        with database.read() as session:
            part = networks.list_page(session, LOCAL_TENANT, limit=10, cursor=cursor)
        seen += [row.id for row in part.rows]
        cursor = part.next_cursor
        if cursor is None:
            break

    assert list(reversed(ids)) == seen


def test_what_jobs_need_is_not_deleted(database: Database) -> None:
    job_id = submit(database, mazur_job())
    with database.read() as session:
        job = jobs.find(session, LOCAL_TENANT, job_id)
    with pytest.raises(InUse, match=job_id), database.write() as session:
        networks.delete(session, LOCAL_TENANT, job.network_id)


def plan(database: Database, query: str) -> str:
    """How the database would answer, with its reluctance to use an index on few rows put off."""
    with database.write() as session:
        if database.is_sqlite:
            rows = session.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))
            rows = session.execute(text(f"EXPLAIN {query}")).all()
    return "\n".join(str(row) for row in rows)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT id FROM job WHERE queue = 'cpu' AND status = 'queued'",
            "ix_job_queue_status_priority_created_at",
        ),
        ("SELECT id, attempt, beat FROM job WHERE status = 'running'", "ix_job_running"),
        (
            "SELECT id FROM job WHERE tenant_id = 't' ORDER BY created_at DESC, id DESC LIMIT 50",
            "ix_job_tenant_id_created_at_id",
        ),
        (
            "SELECT payload FROM history_chunk WHERE job_id = 'j' AND first_epoch <= 9 "
            "ORDER BY first_epoch",
            "pk_history_chunk|sqlite_autoindex_history_chunk|ix_history_chunk_rows",
        ),
    ],
)
def test_hot_queries_use_their_index(database: Database, query: str, index: str) -> None:
    found = plan(database, query)

    assert any(name in found for name in index.split("|")), found


def test_paging_refuses_a_cursor_that_is_none(database: Database) -> None:
    from backpropd.spec.faults import Invalid

    for cursor in ("x", "%%%", "bnVsbA", "W10", "eyJhIjoxfQ"):
        with pytest.raises(Invalid, match="no cursor"), database.read() as session:
            networks.list_page(session, LOCAL_TENANT, limit=1, cursor=cursor)
