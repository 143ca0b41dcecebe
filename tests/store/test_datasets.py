"""Datasets: the same content is one dataset, and its bytes come back as they went in."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from backpropd.data.builtin import builtin
from backpropd.data.table import Dataset
from backpropd.store import datasets
from backpropd.store.database import Database, Session
from backpropd.store.errors import InUse, NotFound
from backpropd.store.tables import LOCAL_TENANT, DatasetContentRow, DatasetRow
from tests.jobs import find as find_job
from tests.jobs import iris_job, mazur_job, submit
from tests.store.races import while_open

FACTS: dict[str, Any] = {
    "sha256": "a" * 64,
    "content": b"\x00\xff some bytes",
    "name": "first",
    "builtin": False,
    "task": "regression",
    "rows": 4,
    "inputs": 2,
    "targets": 1,
    "columns": {"columns": [{"name": "x"}]},
}


def keep(database: Database, **changes: Any) -> tuple[str, bool]:
    with database.write() as session:
        row, new = datasets.keep(session, LOCAL_TENANT, **FACTS | changes)
        return row.id, new


def test_content_comes_back_to_the_byte(database: Database) -> None:
    dataset_id, new = keep(database)
    with database.read() as session:
        row = datasets.find(session, LOCAL_TENANT, dataset_id)
        content = datasets.content(session, dataset_id)

    assert new
    assert FACTS["content"] == content
    assert (len(content), "first", {"columns": [{"name": "x"}]}) == (
        row.size,
        row.name,
        row.columns,
    )


def test_a_real_dataset_comes_back_with_the_same_hash(database: Database) -> None:
    iris = builtin("iris")
    with database.write() as session:
        row, _ = datasets.keep(
            session,
            LOCAL_TENANT,
            content=iris.to_bytes(),
            name="iris",
            builtin=True,
            **iris.facts(),
        )
    with database.read() as session:
        back = Dataset.from_bytes(datasets.content(session, row.id))

    assert iris.sha256 == back.sha256
    assert row.sha256 == back.sha256


def test_the_same_content_twice_is_one_dataset(database: Database) -> None:
    first, second = keep(database), keep(database, name="other name")

    assert (first[0], False) == second


def test_a_built_in_one_is_another_dataset_and_not_listed(database: Database) -> None:
    own, _ = keep(database)
    other, new = keep(database, builtin=True)
    with database.read() as session:
        listed = datasets.list_page(session, LOCAL_TENANT, limit=10, cursor=None).rows

    assert new
    assert own != other
    assert [own] == [row.id for row in listed]


def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    made = [keep(database, sha256=str(number))[0] for number in range(3)]
    with database.read() as session:
        first = datasets.list_page(session, LOCAL_TENANT, limit=2, cursor=None)
        second = datasets.list_page(session, LOCAL_TENANT, limit=2, cursor=first.next_cursor)

    assert made[::-1] == [row.id for page in (first, second) for row in page.rows]
    assert second.next_cursor is None


def test_two_who_keep_the_same_content_at_once_get_one_dataset(database: Database) -> None:
    def keep_it(session: Session) -> tuple[str, bool]:
        row, new = datasets.keep(session, LOCAL_TENANT, **FACTS)
        return row.id, new

    (first, new), second = while_open(database, keep_it, keep_it)
    with database.read() as session:
        rows = session.scalar(select(func.count()).select_from(DatasetRow))

    assert new
    assert (first, False) == second.result()
    assert rows == 1


def test_somebody_elses_dataset_is_not_found(database: Database) -> None:
    dataset_id, _ = keep(database)
    for tenant, id_ in [("ten_other", dataset_id), (LOCAL_TENANT, "ds_x")]:
        with pytest.raises(NotFound), database.read() as session:
            datasets.find(session, tenant, id_)
        with pytest.raises(NotFound), database.write() as session:
            datasets.delete(session, tenant, id_)


def test_a_deleted_dataset_leaves_no_content(database: Database) -> None:
    dataset_id, _ = keep(database)
    with database.write() as session:
        datasets.delete(session, LOCAL_TENANT, dataset_id)
    with database.read() as session:
        contents = session.scalar(select(func.count()).select_from(DatasetContentRow))

    assert contents == 0
    assert keep(database)[1]


def test_a_dataset_in_use_stays_and_its_jobs_are_named(database: Database) -> None:
    job_id = submit(database, mazur_job())
    dataset_id = find_job(database, job_id).dataset_id
    with pytest.raises(InUse) as refusal, database.write() as session:
        datasets.delete(session, LOCAL_TENANT, dataset_id)

    assert [job_id] == refusal.value.jobs


def test_jobs_on_a_built_in_dataset_share_its_content(database: Database) -> None:
    ids = {find_job(database, submit(database, iris_job())).dataset_id for _ in range(2)}

    assert len(ids) == 1
