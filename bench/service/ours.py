"""backpropd as it is installed: `backpropd up` on SQLite or PostgreSQL, histories in its store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from backpropd.store import history, leases
from backpropd.store.database import Database
from backpropd.store.lifecycle import JobStatus
from bench.history import JOB, Floats, new_lease
from bench.service.http import Call, Server
from tests.databases import Postgres
from tests.stack import Stack

FLUSH_ROWS = 250_000  # of one transaction: a beat of a worker that stores a million a second


@contextmanager
def served(kind: str, folder: Path) -> Iterator[tuple[Server, Database]]:
    """The whole stack, with nothing in it, and its database."""
    postgres = Postgres() if kind == "postgresql" else None
    if postgres is None:
        url = f"sqlite:///{folder / 'data' / 'backpropd.sqlite'}"
        stack = Stack(folder / "data")
    else:
        url = postgres.url(postgres.create(postgres.template))
        stack = Stack(folder / "data", BACKPROPD_DATABASE_URL=url)
    database = Database(url)
    try:
        yield Server(urlsplit(stack.address).port or 0), database
    finally:
        database.dispose()
        stack.stop()
        if postgres is not None:
            postgres.stop()


def stored(database: Database, losses: Floats) -> tuple[str, float]:
    """A job with this curve, written as a worker writes it, and how many epochs a second it took.

    Each transaction is a beat with its chunks, pyramid and summary.
    """
    lease = new_lease(database)
    began = time.perf_counter()
    for start in range(0, len(losses), FLUSH_ROWS):
        part = losses[start : start + FLUSH_ROWS]
        epochs = np.arange(start + 1, start + 1 + len(part))
        instant = datetime.now(UTC)
        with database.write() as session:
            leases.beat(session, lease, epoch=int(epochs[-1]), updates_per_epoch=1)
            history.append(session, lease, epochs, {"loss": part}, span=(instant, instant))
    rate = len(losses) / (time.perf_counter() - began)
    with database.write() as session:
        leases.beat(session, lease)
        leases.finish(session, lease, JobStatus.SUCCEEDED, reason="epochs")
    return lease.job_id, rate


def submit() -> Call:
    """A job of one epoch, committed when the answer comes."""
    return ("POST", "/v1/jobs", JOB | {"training": JOB["training"] | {"epochs": 1}})


def get_job(job: str) -> Call:
    """Read one job."""
    return ("GET", f"/v1/jobs/{job}", None)


def rows(job: str, query: str) -> Call:
    """Rows of its history."""
    return ("GET", f"/v1/jobs/{job}/history?metrics=loss&{query}", None)


def compare(jobs: list[str], points: int) -> Call:
    """So many points of each job, side by side."""
    return ("POST", "/v1/history/compare", {"jobs": jobs, "points": points})
