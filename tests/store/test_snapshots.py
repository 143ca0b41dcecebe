"""Snapshots: kept once, checked when read, replaced only where that is their meaning."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from backpropd.store import jobs, leases, snapshots
from backpropd.store.database import Database
from backpropd.store.errors import Corrupt, Fenced, NotFound
from backpropd.store.leases import Lease
from backpropd.store.snapshots import Kept
from backpropd.store.tables import LOCAL_TENANT, SnapshotContentRow, SnapshotRow
from tests.jobs import claim, mazur_job, submit


@pytest.fixture
def lease(database: Database) -> Lease:
    """The right to keep snapshots of a job."""
    submit(database, mazur_job())
    return claim(database)[0]


def keep(database: Database, lease: Lease, kind: str, epoch: int, content: bytes = b"x") -> bool:
    with database.write() as session:
        leases.beat(session, lease)
        return not snapshots.keep(session, lease, [Kept(kind, epoch, content)])


def kept(database: Database, lease: Lease) -> list[tuple[str, int]]:
    with database.read() as session:
        return [(row.kind, row.epoch) for row in snapshots.all_of(session, lease.job_id)]


def test_what_is_kept_is_found_by_name_and_epoch(database: Database, lease: Lease) -> None:
    keep(database, lease, "initial", 0, b"zero")
    keep(database, lease, "every", 10, b"ten")
    keep(database, lease, "final", 20, b"twenty")
    with database.read() as session:
        contents = [
            snapshots.content(session, snapshots.find(session, lease.job_id, which))
            for which in ("initial", 10, "final", 20)
        ]

    assert [b"zero", b"ten", b"twenty", b"twenty"] == contents


def test_only_the_last_best_stays(database: Database, lease: Lease) -> None:
    keep(database, lease, "best", 3)
    keep(database, lease, "best", 8)

    assert [("best", 8)] == kept(database, lease)


def test_what_is_kept_again_after_a_resume_stays_as_it_is(database: Database, lease: Lease) -> None:
    assert keep(database, lease, "every", 10, b"first")
    assert keep(database, lease, "every", 10, b"first")
    assert not keep(database, lease, "every", 10, b"second")
    with database.read() as session:
        row = snapshots.find(session, lease.job_id, 10)

        assert snapshots.content(session, row) == b"first"


def test_an_epoch_is_kept_for_every_reason_there_is(database: Database, lease: Lease) -> None:
    for kind in ("every", "best", "final"):
        keep(database, lease, kind, 10)

    assert [("best", 10), ("every", 10), ("final", 10)] == sorted(kept(database, lease))


def test_what_is_replaced_leaves_no_content_behind(database: Database, lease: Lease) -> None:
    """
    Content without a snapshot would be seen by nobody and fill the disk.
    """
    for epoch in range(1, 6):
        keep(database, lease, "best", epoch)
        keep(database, lease, "checkpoint", epoch)
    with database.write() as session:
        leases.beat(session, lease)
        snapshots.keep(session, lease, [], checkpoints=0)
    with database.read() as session:
        contents = session.scalars(select(SnapshotContentRow.snapshot_id)).all()
        rows = session.scalars(select(SnapshotRow.id)).all()

    assert len(rows) == 1
    assert rows == contents


def test_a_checkpoint_is_never_taken_for_weights(database: Database, lease: Lease) -> None:
    """
    Its content is a whole TrainingState, in another format.
    """
    keep(database, lease, "checkpoint", 7)

    with pytest.raises(NotFound), database.read() as session:
        snapshots.find(session, lease.job_id, 7)


def test_who_lost_the_lease_keeps_nothing(database: Database, lease: Lease) -> None:
    stale = replace(lease, attempt=lease.attempt - 1)

    with pytest.raises(Fenced):
        keep(database, stale, "every", 1)
    assert kept(database, lease) == []


def test_two_checkpoints_stay_and_are_not_listed(database: Database, lease: Lease) -> None:
    for epoch in (1, 2, 3, 3, 4):
        keep(database, lease, "checkpoint", epoch)
    with database.read() as session:
        epochs = [row.epoch for row in snapshots.checkpoints(session, lease.job_id)]

    assert [4, 3] == epochs
    assert kept(database, lease) == []


def test_of_checkpoints_those_stay_that_were_written_last(database: Database, lease: Lease) -> None:
    """
    A later attempt begins earlier where those that were newest are damaged: its own must stay.
    """
    for epoch in (100, 200):
        keep(database, lease, "checkpoint", epoch)
    with database.write() as session:
        leases.beat(session, lease)
        leases.give_back(session, lease, reason="test")
    later, _ = claim(database)
    keep(database, later, "checkpoint", 50)
    with database.read() as session:
        epochs = [row.epoch for row in snapshots.checkpoints(session, lease.job_id)]

    assert [50, 200] == epochs


def test_many_are_kept_at_once_as_they_would_be_one_by_one(
    database: Database, lease: Lease
) -> None:
    keep(database, lease, "every", 1, b"one")
    keep(database, lease, "best", 1)
    keep(database, lease, "checkpoint", 1)
    many = [Kept("every", n, b"%d" % n) for n in range(1, 4)] + [Kept("best", 3, b"three")]
    with database.write() as session:
        leases.beat(session, lease)
        differing = snapshots.keep(
            session, lease, [*many, Kept("checkpoint", 3, b"state")], checkpoints=1
        )
    with database.read() as session:
        states = [row.epoch for row in snapshots.checkpoints(session, lease.job_id)]

    assert [("every", 1)] == [(each.kind, each.epoch) for each in differing]
    assert [("best", 3), ("every", 1), ("every", 2), ("every", 3)] == sorted(kept(database, lease))
    assert [3] == states


def test_a_cancelled_job_keeps_its_weights_and_no_checkpoint(
    database: Database, lease: Lease
) -> None:
    keep(database, lease, "every", 3)
    keep(database, lease, "checkpoint", 3)
    with database.write() as session:
        assert 0 == snapshots.purge(session)
        jobs.cancel(session, LOCAL_TENANT, lease.job_id)
        leases.beat(session, lease)
        leases.obey(session, lease)
    with database.write() as session:
        assert 1 == snapshots.purge(session)
        assert 0 == len(snapshots.checkpoints(session, lease.job_id))

    assert [("every", 3)] == kept(database, lease)


def test_damaged_content_is_told(database: Database, lease: Lease) -> None:
    keep(database, lease, "final", 1, b"right")
    with database.write() as session:
        session.execute(update(SnapshotContentRow).values(content=b"wrong"))

    with pytest.raises(Corrupt), database.read() as session:
        snapshots.content(session, snapshots.find(session, lease.job_id, "final"))


def test_an_unknown_snapshot_is_not_found(database: Database, lease: Lease) -> None:
    for which in ("best", 7):
        with pytest.raises(NotFound), database.read() as session:
            snapshots.find(session, lease.job_id, which)
