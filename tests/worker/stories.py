"""What can happen to a run between two blocks, and how to read what it left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backpropd.spec.canonical import sha256_hex
from backpropd.store import events, history, leases, snapshots
from backpropd.store.database import Database
from backpropd.store.history import Series
from backpropd.store.lifecycle import JobStatus
from tests.jobs import claim, find, runner


class Killed(BaseException):
    """The process is gone: nothing that runs in it can answer, not even an `except Exception`."""


class After:
    """Does something once, when so many blocks are committed."""

    def __init__(self, blocks: int, act: Callable[[], Any]) -> None:
        self.blocks, self.act = blocks, act

    def __call__(self) -> bool:
        self.blocks -= 1
        return bool(self.act()) if self.blocks == 0 else False


def die() -> bool:
    raise Killed


def kill_after(database: Database, blocks: int, **changes: Any) -> None:
    """Run the waiting job and lose its process after so many blocks; nobody has noticed yet."""
    doomed = runner(database, drained=After(blocks, die), **changes)
    with pytest.raises(Killed):
        doomed.run(*claim(database))


def rescue(database: Database, job_id: str) -> JobStatus | None:
    job = find(database, job_id)
    with database.write() as session:
        return leases.rescue(session, job_id=job_id, attempt=job.attempt, beat=job.beat)


def rows(database: Database, job_id: str) -> Series:
    with database.read() as session:
        metrics = history.metrics_of(session, job_id)
        return history.rows(session, job_id, metrics=metrics, first=1, last=10**6)


def weights(database: Database, job_id: str, which: str | int = "final") -> np.ndarray:
    """A snapshot's theta, as float64."""
    with database.read() as session:
        content = snapshots.content(session, snapshots.find(session, job_id, which))
    return np.frombuffer(content)


def weights_sha256(database: Database, job_id: str, which: str | int = "final") -> str:
    return sha256_hex(weights(database, job_id, which).tobytes())


def kept(database: Database, job_id: str) -> list[tuple[int, str]]:
    """(epoch, kind) of every snapshot."""
    with database.read() as session:
        return sorted((row.epoch, row.kind) for row in snapshots.all_of(session, job_id))


def checkpoint_epochs(database: Database, job_id: str) -> list[int]:
    with database.read() as session:
        return [row.epoch for row in snapshots.checkpoints(session, job_id)]


def moves(database: Database, job_id: str) -> list[str]:
    """The states a job went through."""
    with database.read() as session:
        return [
            event.to_status
            for event in events.after(session, job_id, 0, 1000)
            if event.kind == "moved" and event.to_status
        ]


def kinds(database: Database, job_id: str) -> list[str]:
    """What happened to a job besides its moves."""
    with database.read() as session:
        return [e.kind for e in events.after(session, job_id, 0, 1000) if e.kind != "moved"]


def assert_same_result(database: Database, job_id: str, undisturbed: str) -> None:
    """History, snapshots and final weights are, to the last bit, those of the undisturbed run."""
    assert find(database, job_id).status == "succeeded"
    mine, other = rows(database, job_id), rows(database, undisturbed)
    np.testing.assert_array_equal(mine.at, other.at)
    assert list(mine.columns) == list(other.columns)
    for name, values in other.columns.items():
        np.testing.assert_array_equal(mine.columns[name], values, err_msg=name)
    assert kept(database, job_id) == kept(database, undisturbed)
    for which in ("initial", "final"):
        assert weights_sha256(database, job_id, which) == weights_sha256(
            database, undisturbed, which
        )
    assert find(database, job_id).final == find(database, undisturbed).final
