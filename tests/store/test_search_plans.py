"""How the databases find what is searched for: hot searches use their index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event, text

from backpropd.spec.search import read_filter, read_order
from backpropd.store import jobs
from backpropd.store.database import Database
from backpropd.store.migrate import config, upgrade
from backpropd.store.searchable import JOB_FIELDS
from backpropd.store.tables import LOCAL_TENANT
from tests.databases import KINDS
from tests.jobs import mazur_job, submit
from tests.seeds import stocked

# Enough for an index to be worth its while.
JOBS = 6000


@pytest.fixture(scope="module", params=KINDS)
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Many jobs, which no test changes."""
    with stocked(request.param, request, tmp_path_factory.mktemp("plans"), JOBS) as database:
        yield database


def plans(database: Database, **asked: Any) -> str:
    """How the database answers each of a list's queries."""
    said: list[tuple[str, Any]] = []
    engine = database.read_engine

    def listen(connection: Any, cursor: Any, statement: str, values: Any, *rest: Any) -> None:
        said.append((statement, values))

    event.listen(engine, "before_cursor_execute", listen)
    try:
        with database.read() as session:
            jobs.list_page(session, LOCAL_TENANT, limit=50, cursor=None, **asked)
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    found = []
    with database.read() as session:
        for statement, values in said:
            if statement.lstrip().startswith(("SELECT", "WITH")):
                rows = session.connection().exec_driver_sql(f"{explain} {statement}", values)
                found.append("\n".join(str(row) for row in rows))
    return "\n\n".join(found)


@pytest.mark.parametrize(
    ("words", "order", "indexes"),
    [
        ("metrics.val_loss.min < 0.001", None, ["ix_metric_summary_tenant_id_metric_min_job_id"]),
        (
            'metrics.val_loss.min < 0.001 and tags.t = "a" or tags."my tag" = "é"',
            None,
            [
                "ix_metric_summary_tenant_id_metric_min_job_id",
                "ix_job_tag_tenant_id_key_value_job_id",
            ],
        ),
        (
            'tags."my tag" = "x" and status = "failed"',
            None,
            ["ix_job_tag_tenant_id_key_value_job_id"],
        ),
        ('status = "failed"', None, ["ix_job_tenant_id_status_created_at_id"]),
        ('name = "Zoe"', None, ["ix_job_tenant_id_name"]),
        (None, None, ["ix_job_tenant_id_created_at_id"]),
        (None, "metrics.val_loss.min", ["ix_metric_summary_tenant_id_metric_min_job_id"]),
        (None, "metrics.loss.last desc", ["ix_metric_summary_tenant_id_metric_last_job_id"]),
    ],
)
def test_hot_searches_use_their_index(
    large: Database, words: str | None, order: str | None, indexes: list[str]
) -> None:
    asked: dict[str, Any] = {}
    if words:
        asked["where"] = read_filter(words, JOB_FIELDS)
    if order:
        asked["order"] = read_order(order, JOB_FIELDS)
    found = plans(large, **asked)

    for index in indexes:
        assert index in found, found
    whole = (
        r"SCAN (job|metric_summary|job_tag)\b(?! USING)|Seq Scan on (job|metric_summary|job_tag)"
    )
    assert not re.search(whole, found), found


def test_tags_that_were_there_before_can_be_found(database: Database) -> None:
    """
    The migration fills the table of tags from the jobs that are there.
    """
    job_id = submit(database, mazur_job() | {"tags": {"team": "a", "it's": 'say "x"'}})
    options = config()
    with database.write_engine.begin() as connection:
        options.attributes["connection"] = connection
        command.downgrade(options, "0003")
    upgrade(database)
    with database.read() as session:
        rows = session.execute(text("SELECT job_id, key, value FROM job_tag ORDER BY key")).all()

    assert [(job_id, "it's", 'say "x"'), (job_id, "team", "a")] == [tuple(row) for row in rows]
