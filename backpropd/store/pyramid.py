"""The extremes of every metric in buckets of epochs, small ones and large ones, kept while writing.

A bucket of size s holds the epochs b * s + 1 ... (b + 1) * s. What is no number is counted and
hides no extreme; infinities are extremes like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from backpropd.store.chunks import Floats
from backpropd.store.leases import Lease
from backpropd.store.tables import HistoryBucketRow, MetricSummaryRow

SIZES = (256, 4096, 65536)

Epochs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Rows that are the smallest or largest of their bucket, by epoch."""

    epoch: Epochs
    value: Floats


def add(
    session: Session, lease: Lease, epochs: Epochs, columns: Mapping[str, Floats], *, begun: bool
) -> None:
    """Add new rows (epochs ascend, beyond all that is there) to the buckets and summaries.

    `begun`: the job has rows already.
    """
    open_buckets = _open_buckets(session, lease.job_id, int(epochs[0])) if begun else {}
    new: list[dict[str, Any]] = []
    for metric, values in columns.items():
        for size in SIZES:
            buckets = (epochs - 1) // size
            starts = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1))
            for start, end in zip(starts, np.append(starts[1:], len(epochs)), strict=True):
                found = _facts(epochs[start:end], values[start:end])
                known = open_buckets.get((metric, size, int(buckets[start])))
                if known is None:
                    key = {"metric": metric, "size": size, "bucket": int(buckets[start])}
                    new.append({"tenant_id": lease.tenant_id, "job_id": lease.job_id} | key | found)
                else:
                    _merge(known, found)
    if new:
        session.execute(insert(HistoryBucketRow), new)
    summaries = _summaries(session, lease.job_id) if begun else {}
    _summarize(session, lease, epochs, columns, summaries)


def extremes(
    session: Session, job_id: str, metric: str, *, size: int, first: int, last: int
) -> Extremes:
    """The extremes of the buckets of this size that lie in epochs first..last."""
    query = select(
        HistoryBucketRow.min_epoch,
        HistoryBucketRow.min,
        HistoryBucketRow.max_epoch,
        HistoryBucketRow.max,
    ).where(
        HistoryBucketRow.job_id == job_id,
        HistoryBucketRow.metric == metric,
        HistoryBucketRow.size == size,
        HistoryBucketRow.bucket >= (first - 1) // size,
        HistoryBucketRow.bucket < last // size,
        HistoryBucketRow.min.is_not(None),
    )
    # Number by number: numpy takes ten times as long to look into each row of SQLAlchemy's.
    table = np.fromiter(chain.from_iterable(session.execute(query)), np.float64).reshape(-1, 4)
    epochs = np.concatenate([table[:, 0], table[:, 2]]).astype(np.int64)
    epochs, index = np.unique(epochs, return_index=True)
    return Extremes(epochs, np.concatenate([table[:, 1], table[:, 3]])[index])


def _open_buckets(
    session: Session, job_id: str, first: int
) -> dict[tuple[str, int, int], HistoryBucketRow]:
    """The buckets that were begun before epoch `first` and hold it too."""
    places = [(size, (first - 1) // size) for size in SIZES]
    query = select(HistoryBucketRow).where(
        HistoryBucketRow.job_id == job_id,
        tuple_(HistoryBucketRow.size, HistoryBucketRow.bucket).in_(places),
    )
    return {(row.metric, row.size, row.bucket): row for row in session.scalars(query)}


def _facts(epochs: Epochs, values: Floats) -> dict[str, Any]:
    """Count and extremes of some rows."""
    if np.isnan(values).all():
        nothing = dict.fromkeys(("min", "min_epoch", "max", "max_epoch"))
        return {"count": len(values)} | nothing
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    return {
        "count": len(values),
        "min": float(values[low]),
        "min_epoch": int(epochs[low]),
        "max": float(values[high]),
        "max_epoch": int(epochs[high]),
    }


def _merge(row: HistoryBucketRow | MetricSummaryRow, found: Mapping[str, Any]) -> None:
    """Add later rows to a bucket or summary; of equal extremes the earlier stays."""
    row.count += found["count"]
    if found["min"] is None:
        return
    if row.min is None or found["min"] < row.min:
        row.min, row.min_epoch = found["min"], found["min_epoch"]
    if row.max is None or found["max"] > row.max:
        row.max, row.max_epoch = found["max"], found["max_epoch"]


def _summaries(session: Session, job_id: str) -> dict[str, MetricSummaryRow]:
    query = select(MetricSummaryRow).where(MetricSummaryRow.job_id == job_id)
    return {row.metric: row for row in session.scalars(query)}


def _summarize(
    session: Session,
    lease: Lease,
    epochs: Epochs,
    columns: Mapping[str, Floats],
    known: Mapping[str, MetricSummaryRow],
) -> None:
    for metric, values in columns.items():
        found = _facts(epochs, values)
        nan_count = int(np.isnan(values).sum())
        row = known.get(metric)
        if row is None:
            row = MetricSummaryRow(
                tenant_id=lease.tenant_id,
                job_id=lease.job_id,
                metric=metric,
                nan_count=nan_count,
                first=_or_null(values[0]),
                last=_or_null(values[-1]),
                **found,
            )
            session.add(row)
        else:
            _merge(row, found)
            row.nan_count += nan_count
            row.last = _or_null(values[-1])


def _or_null(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
