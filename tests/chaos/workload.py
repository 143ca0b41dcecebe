"""Small jobs whose undisturbed result is known to the last bit, and how to read a job's result."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.store import history, leases, snapshots
from backpropd.store.database import Database, Session
from backpropd.store.tables import LOCAL_TENANT, JobRow
from service import submission
from tests.databases import migrated
from tests.jobs import iris_job
from worker.runner import Runner


def _jobs() -> dict[str, dict[str, Any]]:
    momentum = iris_job(epochs=3000)
    adam = iris_job(epochs=3000, seed=8, optimizer={"name": "adam", "learning_rate": 0.01})
    adam["network"]["layers"][0]["dropout"] = 0.2  # a second stream of chance
    short = iris_job(epochs=40, seed=9)
    for job in (momentum, adam):
        job["snapshots"] = {"every": 1000, "best": "val_loss"}
    jobs = {"momentum": momentum, "adam": adam, "short": short}
    return {name: {**job, "name": name} for name, job in jobs.items()}


# Two of some seconds, which kills find at work, and one that is over in a moment.
JOBS: Mapping[str, dict[str, Any]] = MappingProxyType(_jobs())


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a job leaves for its user, to the last bit."""

    epochs: int
    history: str  # sha256 over every column of every epoch
    snapshots: tuple[tuple[int, str, str], ...]  # epoch, kind, sha256 of the weights
    final: str  # metrics of the final weights


def result_of(session: Session, job: JobRow) -> Result:
    """What this job has left."""
    metrics = history.metrics_of(session, job.id)
    rows = history.rows(session, job.id, metrics=metrics, first=1, last=10**9)
    digest = hashlib.sha256(rows.at.tobytes())
    for name, values in sorted(rows.columns.items()):
        digest.update(name.encode() + values.tobytes())
    kept = snapshots.all_of(session, job.id)
    found = sorted((row.epoch, row.kind, row.sha256) for row in kept)
    return Result(len(rows.at), digest.hexdigest(), tuple(found), str(job.final))


@cache
def undisturbed(name: str) -> Result:
    """The result of the job of this name where nothing happens to it: run once, here."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'undisturbed.sqlite'}"
        migrated(url)
        database = Database(url)
        with database.write() as session:
            checked = submission.check(session, LOCAL_TENANT, parse(JobSpec, JOBS[name]))
            submission.store(session, LOCAL_TENANT, checked)
        with database.write() as session:
            claimed = leases.claim(session, worker_id="w", task_id="t", queue="cpu")
        assert claimed is not None
        Runner(database, Settings(auto_kernels=False), drained=lambda: False).run(*claimed)
        with database.read() as session:
            job = session.get_one(JobRow, claimed[0].job_id)
            assert job.status == "succeeded", job.error
            result = result_of(session, job)
        database.dispose()
    return result
