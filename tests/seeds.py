"""Many jobs at once, as if they had been submitted and trained: for searches and their plans."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from backpropd.spec.canonical import new_id
from backpropd.store.database import Database
from backpropd.store.tables import (
    LOCAL_TENANT,
    DatasetRow,
    JobRow,
    JobTagRow,
    MetricSummaryRow,
    NetworkRow,
)
from tests.databases import Postgres

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
AT_ONCE = 2000
NAMES = (None, "first", "First", "x_1", "x%1", "été", "a*b[c]", "Zoe", "\N{GRINNING FACE}")
STATUSES = ("succeeded",) * 12 + ("failed", "queued", "paused", "cancelled")
OPTIMIZERS = ("sgd", "adam", "rprop")


@contextmanager
def stocked(
    kind: str, request: pytest.FixtureRequest, folder: Path, jobs: int
) -> Iterator[Database]:
    """A database of this kind with so many jobs."""
    if kind == "sqlite":
        file = folder / "stocked.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        database = Database(f"sqlite:///{file}")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        name = server.create(server.template)
        database = Database(server.url(name))
    seed(database, jobs, chance=random.Random(7))
    yield database
    database.dispose()
    if kind != "sqlite":
        server.drop(name)


def seed(database: Database, jobs: int, *, chance: random.Random) -> None:
    """Store so many jobs of one network and one dataset."""
    network, dataset = new_id("net"), new_id("ds")
    with database.write() as session:
        session.execute(insert(NetworkRow), [_network(network)])
        session.execute(insert(DatasetRow), [_dataset(dataset)])
    for first in range(0, jobs, AT_ONCE):
        made = [_job(n, network, dataset, chance) for n in range(first, min(first + AT_ONCE, jobs))]
        tags = [row for job in made for row in _tags(job)]
        metrics = [row for job in made for row in _metrics(job, chance)]
        with database.write() as session:
            session.execute(insert(JobRow), made)
            session.execute(insert(JobTagRow), tags or [])
            session.execute(insert(MetricSummaryRow), metrics)
    with database.write() as session:
        session.execute(text("ANALYZE"))


def _network(id_: str) -> dict[str, Any]:
    definition = {
        "name": "net",
        "inputs": 4,
        "layers": [{"units": 5, "activation": "tanh"}, {"units": 3, "activation": "softmax"}],
    }
    return {
        **_own(id_, BEGIN),
        "name": "net",
        "definition": definition,
        "sha256": "0" * 64,
        "parameter_count": 43,
    }


def _dataset(id_: str) -> dict[str, Any]:
    return {
        **_own(id_, BEGIN),
        "name": None,
        "builtin": True,
        "sha256": "1" * 64,
        "task": "classification",
        "rows": 150,
        "inputs": 4,
        "targets": 3,
        "columns": {},
        "size": 1,
    }


def _job(number: int, network: str, dataset: str, chance: random.Random) -> dict[str, Any]:
    # Two jobs share each instant, so that an order has ties.
    created_at = BEGIN + timedelta(seconds=number // 2, microseconds=250)
    status = chance.choice(STATUSES)
    tags = {"t": chance.choice("abcdefghij")} if chance.random() < 0.9 else {}
    if chance.random() < 0.1:
        tags["my tag"] = chance.choice(("x", 'say "x"', "é"))
    training = {
        "epochs": 100,
        "batch_size": chance.choice((1, 16, 32, "all")),
        "shuffle": chance.random() < 0.5,
        "loss": "cross_entropy",
        "optimizer": {
            "name": chance.choice(OPTIMIZERS),
            "learning_rate": chance.choice((0.1, 1e-3, 1)),
        },
        "validation": chance.choice((None, {"fraction": 0.2})),
        "seed": number,
    }
    rest = {"history": {"every": 1, "layers": False}, "snapshots": {"every": None, "best": "loss"}}
    final = {"loss": chance.choice((0.5, 1.5, "NaN"))} if status == "succeeded" else None
    return {
        **_own(new_id("job"), created_at),
        "network_id": network,
        "dataset_id": dataset,
        "name": chance.choice(NAMES),
        "tags": tags,
        "spec": {"network": network, "dataset": "builtin:iris", "training": training, **rest},
        "spec_sha256": "2" * 64,
        "spec_version": 1,
        "seed": number,
        "queue": "cpu",
        "priority": chance.randint(0, 9),
        "status": status,
        "want": "run",
        "version": 1,
        "attempt": 0 if status == "queued" else 1,
        "beat": 0,
        "crashes": 0,
        "crash_epoch": 0,
        "errors": 0,
        "parent_id": None,
        "derived": None,
        "epoch": chance.randint(0, 100),
        "epochs": 100,
        "run_seconds": 1.0,
        "samples_per_second": chance.choice((None, 1e6, 2e6)),
        "stop_reason": "epochs" if status == "succeeded" else None,
        "final": final,
        "started_at": None if status == "queued" else created_at,
    }


def _own(id_: str, created_at: datetime) -> dict[str, Any]:
    return {"id": id_, "tenant_id": LOCAL_TENANT, "created_at": created_at}


def _tags(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in job["tags"].items():
        yield {"tenant_id": LOCAL_TENANT, "job_id": job["id"], "key": key, "value": value}


def _metrics(job: dict[str, Any], chance: random.Random) -> Iterator[dict[str, Any]]:
    for metric in ("loss", "val_loss"):
        if metric == "val_loss" and job["spec"]["training"]["validation"] is None:
            continue
        low = chance.choice((None, chance.random(), round(chance.random(), 1), float("inf")))
        yield {
            "tenant_id": LOCAL_TENANT,
            "job_id": job["id"],
            "metric": metric,
            "count": 100,
            "nan_count": 0,
            "first": chance.choice((2.0, None, float("inf"))),
            "last": None if low is None else low + 0.25,
            "min": low,
            "min_epoch": None if low is None else chance.randint(1, 100),
            "max": None if low is None else low + 1,
            "max_epoch": None if low is None else 1,
        }
