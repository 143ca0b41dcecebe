"""What history costs: chunks with a pyramid, beside the usual row per epoch, on SQLite.

Run as `python -m bench.history [--rows 1000000] [--rounds 5]`. The ways take turns in every round,
so that whatever else the machine does meets them all; medians are told, and ratios of medians. All
ways give up to 1,000 points that hold every bucket's extremes, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Float, Integer, MetaData, Table, insert, text

from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.store import history, leases, pyramid, sampling
from backpropd.store.database import Database
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import JobStatus
from backpropd.store.migrate import upgrade
from backpropd.store.tables import LOCAL_TENANT
from service import submission

POINTS = 1000
FLUSH_ROWS = 50_000  # of one transaction, in every way alike

JOB = {
    "network": {"inputs": 2, "layers": [{"units": 1, "activation": "logistic"}]},
    "dataset": "builtin:xor",
    "training": {"loss": "half_squared_error"},
}
# What history would be without chunks: a row per epoch, found by its primary key.
ROW_PER_EPOCH = Table(
    "row_per_epoch",
    MetaData(),
    Column("epoch", Integer, primary_key=True),
    Column("loss", Float(53), nullable=False),
)
MINMAX_IN_SQL = text(
    "WITH bucket AS (SELECT (epoch - 1) * :buckets / :rows AS number, min(loss) AS low,"
    " max(loss) AS high FROM row_per_epoch GROUP BY number)"
    " SELECT epoch, loss FROM row_per_epoch JOIN bucket"
    " ON number = (epoch - 1) * :buckets / :rows AND (loss = low OR loss = high) ORDER BY epoch"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A way to do something, and how many seconds it took in each round."""

    way: str
    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def curve(rows: int) -> Floats:
    """Losses (rows,) as training gives them: falling, noisy, with a spike in each direction."""
    rng = np.random.default_rng(0)
    losses = np.exp(-5 * np.arange(rows) / rows) + rng.normal(0, 0.01, rows)
    losses[rows // 3], losses[rows // 2] = 99.0, -99.0
    return losses


def flushes(losses: Floats) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """The rows of each transaction."""
    for start in range(0, len(losses), FLUSH_ROWS):
        part = losses[start : start + FLUSH_ROWS]
        yield np.arange(start + 1, start + 1 + len(part)), part


def new_lease(database: Database) -> Lease:
    """The right to write the history of a new job."""
    with database.write() as session:
        checked = submission.check(session, LOCAL_TENANT, parse(JobSpec, JOB))
        submission.store(session, LOCAL_TENANT, checked)
        claimed = leases.claim(session, worker_id="bench", task_id="bench", queue="cpu")
    assert claimed is not None
    return claimed[0]


def append_chunks(database: Database, losses: Floats) -> Lease:
    """A beat, chunks, pyramid and summary in each transaction, as a worker writes them."""
    lease = new_lease(database)
    for epochs, part in flushes(losses):
        with database.write() as session:
            leases.beat(session, lease, epoch=int(epochs[-1]))
            history.append(session, lease, epochs, {"loss": part})
    with database.write() as session:
        leases.finish(session, lease, JobStatus.SUCCEEDED, reason="all epochs")
    return lease


def append_rows(database: Database, losses: Floats) -> None:
    """A row per epoch through SQLAlchemy."""
    empty_rows(database)
    for epochs, part in flushes(losses):
        rows = zip(epochs.tolist(), part.tolist(), strict=True)
        values = [{"epoch": epoch, "loss": loss} for epoch, loss in rows]
        with database.write() as session:
            session.execute(insert(ROW_PER_EPOCH), values)


def append_rows_by_driver(database: Database, losses: Floats) -> None:
    """A row per epoch through sqlite3 itself, the fastest way to write them."""
    empty_rows(database)
    for epochs, part in flushes(losses):
        rows = list(zip(epochs.tolist(), part.tolist(), strict=True))
        with database.write() as session:
            driver: Any = session.connection().connection.driver_connection
            driver.executemany("INSERT INTO row_per_epoch VALUES (?, ?)", rows)


def empty_rows(database: Database) -> None:
    with database.write() as session:
        ROW_PER_EPOCH.drop(session.connection(), checkfirst=True)
        ROW_PER_EPOCH.create(session.connection())


def points_from_pyramid(database: Database, lease: Lease) -> history.Series:
    with database.read() as session:
        return history.sample(
            session,
            lease.job_id,
            metrics=["loss"],
            first=1,
            last=2**31 - 1,
            points=POINTS,
            method="minmax",
        )


def points_from_chunks(database: Database, lease: Lease) -> NDArray[np.int64]:
    with database.read() as session:
        whole = history.rows(session, lease.job_id, metrics=["loss"], first=1, last=2**31 - 1)
    return whole.at[sampling.extremes([whole.columns["loss"]], POINTS)]


def points_by_sql(database: Database, rows: int) -> list[int]:
    buckets = sampling.buckets_within(POINTS, 1)
    with database.read() as session:
        found = session.execute(MINMAX_IN_SQL, {"buckets": buckets, "rows": rows})
        return [epoch for epoch, _ in found]


def in_turns(rounds: int, ways: dict[str, Callable[[], object]]) -> list[Measured]:
    """Every way once a round, the order turned by one each time."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    return [Measured(way, times) for way, times in seconds.items()]


def measure(rows: int, rounds: int) -> tuple[list[Measured], list[Measured]]:
    """How long `rows` epochs take to write, and 1,000 points of them to read."""
    losses = curve(rows)
    with tempfile.TemporaryDirectory(prefix="backpropd-bench-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.sqlite'}")
        try:
            upgrade(database)
            written = in_turns(
                rounds,
                {
                    "chunks and pyramid": lambda: append_chunks(database, losses),
                    "row per epoch, driver": lambda: append_rows_by_driver(database, losses),
                    "row per epoch, SQLAlchemy": lambda: append_rows(database, losses),
                },
            )
            lease = append_chunks(database, losses)
            check(database, lease, losses)
            read = in_turns(
                rounds,
                {
                    "from the pyramid": lambda: points_from_pyramid(database, lease),
                    "from all chunks": lambda: points_from_chunks(database, lease),
                    "row per epoch, in SQL": lambda: points_by_sql(database, rows),
                },
            )
        finally:
            database.dispose()
    return written, read


def check(database: Database, lease: Lease, losses: Floats) -> None:
    """What is fast must also be right: both spikes are there, and every value is exact."""
    series = points_from_pyramid(database, lease)
    spikes = {len(losses) // 3 + 1, len(losses) // 2 + 1}
    assert series.columns["loss"].tobytes() == losses[series.at - 1].tobytes()
    for epochs in (
        series.at.tolist(),
        points_from_chunks(database, lease).tolist(),
        points_by_sql(database, len(losses)),
    ):
        assert spikes <= set(epochs)
        assert len(epochs) <= POINTS


def told(measured: list[Measured], say: Callable[[float], str]) -> Iterator[str]:
    """A line for each way: its median, and how often the first way's time it takes."""
    first = measured[0].median
    for each in measured:
        ratio = each.median / first
        yield f"  {each.way:<28}{say(each.median):>22}   {ratio:8.1f} x the time"


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.history")
    parser.add_argument("--rows", type=int, default=1_000_000, help="epochs of the history")
    parser.add_argument("--rounds", type=int, default=5, help="turns; medians are told")
    asked = parser.parse_args(arguments)
    least = POINTS * pyramid.SIZES[0]  # shorter histories are sampled from their chunks alone
    if asked.rows < least or asked.rounds < 1:
        parser.error(f"the pyramid serves from {least:,} rows on, and a median needs a round")
    written, read = measure(asked.rows, asked.rounds)
    print(f"{asked.rows:,} epochs of one metric, medians of {asked.rounds} rounds on SQLite")
    print(f"written in transactions of {FLUSH_ROWS:,} rows:")
    print(*told(written, lambda s: f"{asked.rows / s:,.0f} rows/s"), sep="\n")
    print(f"{POINTS:,} min-max points of all of them:")
    print(*told(read, lambda s: f"{1000 * s:,.2f} ms"), sep="\n")


if __name__ == "__main__":
    main()
