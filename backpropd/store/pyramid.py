"""The extremes of every metric in buckets of rows, small ones and large ones, kept while writing.

A bucket of size s holds the rows b * s + 1 ... (b + 1) * s. What is no number is counted and
hides no extreme; infinities are extremes like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from math import isnan
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, insert, select, tuple_
from sqlalchemy.orm import Session

from backpropd.store.axes import EPOCHS, Axis
from backpropd.store.chunks import Floats
from backpropd.store.leases import Lease
from backpropd.store.tables import MetricSummaryRow

SIZES = (256, 4096, 65536)

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Rows that are the smallest or largest of their bucket, in order."""

    at: Positions
    value: Floats


def add(
    session: Session,
    lease: Lease,
    at: Positions,
    columns: Mapping[str, Floats],
    *,
    axis: Axis = EPOCHS,
    begun: bool,
) -> None:
    """Add new rows (`at` ascends, beyond all that is there) to the buckets.

    `begun`: the job has rows already.
    """
    open_buckets = _open_buckets(session, lease.job_id, int(at[0]), axis) if begun else {}
    owner = {"tenant_id": lease.tenant_id, "job_id": lease.job_id}
    new: list[dict[str, Any]] = []
    for metric, values in columns.items():
        for size in SIZES:
            buckets = (at - 1) // size
            starts = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1))
            for start, found in zip(starts, _facts(at, values, starts), strict=True):
                bucket = int(buckets[start])
                known = open_buckets.get((metric, size, bucket))
                if known is None:
                    new.append({**owner, "metric": metric, "size": size, "bucket": bucket, **found})
                else:
                    _merge(known, found)
    if new:
        session.execute(insert(axis.bucket), new)


def summarize(
    session: Session,
    lease: Lease,
    at: Positions,
    columns: Mapping[str, Floats],
    *,
    begun: bool,
) -> None:
    """Add new epochs to the summaries of the metrics over the whole job."""
    known = _summaries(session, lease.job_id) if begun else {}
    for metric, values in columns.items():
        (found,) = _facts(at, values, np.zeros(1, np.int64))
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


def extremes(
    session: Session,
    job_ids: Sequence[str],
    metrics: Sequence[str],
    *,
    size: int,
    first: int,
    last: int,
    axis: Axis = EPOCHS,
) -> dict[tuple[str, str], Extremes]:
    """By job and metric, the extremes of the buckets of this size that lie in rows first..last."""
    asked = {
        "job_ids": list(job_ids),
        "metrics": list(metrics),
        "size": size,
        "from": (first - 1) // size,
        "before": last // size,
    }
    wanted = [(job_id, metric) for job_id in job_ids for metric in metrics]
    found = dict.fromkeys(wanted, Extremes(np.empty(0, np.int64), np.empty(0)))
    for curve, rows in groupby(session.execute(_extremes(axis), asked), key=itemgetter(0, 1)):
        # Number by number: numpy takes ten times as long to look into each row of SQLAlchemy's.
        numbers = chain.from_iterable(map(itemgetter(2, 3, 4, 5), rows))
        table_of = np.fromiter(numbers, np.float64).reshape(-1, 4)
        at = np.concatenate([table_of[:, 0], table_of[:, 2]]).astype(np.int64)
        at, index = np.unique(at, return_index=True)
        found[curve] = Extremes(at, np.concatenate([table_of[:, 1], table_of[:, 3]])[index])
    return found


@cache
def _extremes(axis: Axis) -> Any:
    table = axis.bucket
    parts = (table.job_id, table.metric, table.min_at, table.min, table.max_at, table.max)
    return (
        select(*parts)
        .where(
            table.job_id.in_(bindparam("job_ids", expanding=True)),
            table.metric.in_(bindparam("metrics", expanding=True)),
            table.size == bindparam("size"),
            table.bucket >= bindparam("from"),
            table.bucket < bindparam("before"),
            table.min.is_not(None),
        )
        .order_by(table.job_id, table.metric)
    )


def _summaries(session: Session, job_id: str) -> dict[str, MetricSummaryRow]:
    query = select(MetricSummaryRow).where(MetricSummaryRow.job_id == job_id)
    return {row.metric: row for row in session.scalars(query)}


def _open_buckets(
    session: Session, job_id: str, first: int, axis: Axis
) -> dict[tuple[str, int, int], Any]:
    """The buckets that were begun before row `first` and hold it too."""
    table = axis.bucket
    places = [(size, (first - 1) // size) for size in SIZES]
    query = select(table).where(
        table.job_id == job_id, tuple_(table.size, table.bucket).in_(places)
    )
    return {(row.metric, row.size, row.bucket): row for row in session.scalars(query)}


def _facts(at: Positions, values: Floats, starts: Positions) -> Iterator[dict[str, Any]]:
    """Count and extremes of each stretch of rows that begins at one of `starts`."""
    counts = np.diff(starts, append=len(values))
    found = []
    for winner in (np.fmin, np.fmax):  # of a number and a NaN, both take the number
        extreme = winner.reduceat(values, starts)
        is_extreme = np.flatnonzero(values == np.repeat(extreme, counts))
        # Where a stretch has no number at all, this points behind it and is not used.
        first = np.minimum(np.searchsorted(is_extreme, starts), max(len(is_extreme) - 1, 0))
        places = at[is_extreme[first]] if len(is_extreme) else np.zeros_like(starts)
        found.append((extreme.tolist(), places.tolist()))
    (lows, low_at), (highs, high_at) = found
    for each in zip(counts.tolist(), lows, low_at, highs, high_at, strict=True):
        count, low, low_place, high, high_place = each
        if isnan(low):  # and so high is: there is no number
            low, low_place, high, high_place = None, None, None, None
        yield {
            "count": count,
            "min": low,
            "min_at": low_place,
            "max": high,
            "max_at": high_place,
        }


def _merge(row: Any, found: Mapping[str, Any]) -> None:
    """Add later rows to a bucket or summary; of equal extremes the earlier stays."""
    row.count += found["count"]
    if found["min"] is None:
        return
    if row.min is None or found["min"] < row.min:
        row.min, row.min_at = found["min"], found["min_at"]
    if row.max is None or found["max"] > row.max:
        row.max, row.max_at = found["max"], found["max_at"]


def _or_null(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
