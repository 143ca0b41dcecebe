"""Networks: made once, read as they were made, deleted when nobody needs them."""

from __future__ import annotations

from typing import Any

import pytest

from backpropd.spec.base import parse
from backpropd.spec.faults import Invalid
from backpropd.spec.job import JobSpec
from backpropd.store import networks
from backpropd.store.database import Database, Session
from backpropd.store.errors import InUse, NotFound
from backpropd.store.tables import LOCAL_TENANT
from service import submission
from tests.jobs import find as find_job
from tests.jobs import mazur_job, submit
from tests.store.races import while_open

DEFINITION: dict[str, Any] = {
    "name": "small",
    "inputs": 2,
    "layers": [{"name": "output", "units": 1, "activation": "linear"}],
}


def create(database: Database, **changes: Any) -> str:
    with database.write() as session:
        definition = DEFINITION | changes
        row = networks.create(session, LOCAL_TENANT, definition=definition, parameter_count=3)
        return row.id


def delete(database: Database, network_id: str, tenant: str = LOCAL_TENANT) -> None:
    with database.write() as session:
        networks.delete(session, tenant, network_id)


def test_a_network_is_read_as_it_was_made(database: Database) -> None:
    network_id = create(database)
    with database.read() as session:
        row = networks.find(session, LOCAL_TENANT, network_id)

    assert ("small", 3, DEFINITION) == (row.name, row.parameter_count, row.definition)


def test_the_same_definition_twice_is_two_networks_with_one_hash(database: Database) -> None:
    first, second, other = create(database), create(database), create(database, inputs=3)
    with database.read() as session:
        hashes = {
            id_: networks.find(session, LOCAL_TENANT, id_).sha256 for id_ in (first, second, other)
        }

    assert first != second
    assert hashes[first] == hashes[second]
    assert hashes[first] != hashes[other]


def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    made = [create(database) for _ in range(5)]
    seen, cursor = [], None
    with database.read() as session:
        for _ in range(3):
            page = networks.list_page(session, LOCAL_TENANT, limit=2, cursor=cursor)
            seen += [row.id for row in page.rows]
            cursor = page.next_cursor

    assert made[::-1] == seen
    assert cursor is None


def test_a_made_up_cursor_is_refused(database: Database) -> None:
    for cursor in ("nonsense", "", "WzEsMl0", "\0"):
        with pytest.raises(Invalid, match="no cursor"), database.read() as session:
            networks.list_page(session, LOCAL_TENANT, limit=2, cursor=cursor)


def test_what_does_not_exist_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="no network 'net_x'"), database.read() as session:
        networks.find(session, LOCAL_TENANT, "net_x")


def test_somebody_elses_network_is_not_found_listed_or_deleted(database: Database) -> None:
    network_id = create(database)
    with database.read() as session:
        page = networks.list_page(session, "ten_other", limit=10, cursor=None)
        with pytest.raises(NotFound):
            networks.find(session, "ten_other", network_id)
    with pytest.raises(NotFound):
        delete(database, network_id, "ten_other")

    assert len(page.rows) == 0


def test_a_network_that_nobody_needs_is_deleted_once(database: Database) -> None:
    network_id = create(database)
    delete(database, network_id)

    with pytest.raises(NotFound):
        delete(database, network_id)


def test_a_network_in_use_stays_and_its_jobs_are_named(database: Database) -> None:
    first = submit(database, mazur_job())
    network_id = find_job(database, first).network_id
    second = submit(database, mazur_job() | {"network": network_id})
    with pytest.raises(InUse) as refusal:
        delete(database, network_id)

    assert {first, second} == set(refusal.value.jobs)


def test_at_most_twenty_jobs_are_named(database: Database) -> None:
    network_id = find_job(database, submit(database, mazur_job())).network_id
    for _ in range(21):
        submit(database, mazur_job() | {"network": network_id})
    with pytest.raises(InUse) as refusal:
        delete(database, network_id)

    assert len(refusal.value.jobs) == 20


def test_a_job_that_is_being_submitted_keeps_its_network(database: Database) -> None:
    """
    Whoever deletes waits for the open transaction, and then sees the job that it wrote.
    """
    network_id = create(database)
    job = parse(JobSpec, mazur_job() | {"network": network_id, "dataset": "builtin:xor"})

    def submit_it(session: Session) -> str:
        checked = submission.check(session, LOCAL_TENANT, job)
        return submission.store(session, LOCAL_TENANT, checked).id

    def delete_it(session: Session) -> None:
        networks.delete(session, LOCAL_TENANT, network_id)

    job_id, deleted = while_open(database, submit_it, delete_it)
    refusal = deleted.exception()

    assert isinstance(refusal, InUse)
    assert [job_id] == refusal.jobs


def test_of_two_who_delete_at_once_one_finds_nothing(database: Database) -> None:
    network_id = create(database)

    def delete_it(session: Session) -> None:
        networks.delete(session, LOCAL_TENANT, network_id)
        session.flush()

    _, second = while_open(database, delete_it, delete_it)

    assert isinstance(second.exception(), NotFound)
