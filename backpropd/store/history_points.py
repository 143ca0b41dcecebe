"""A few points of long curves: the range first, then the sampling.

A short range is read row by row; of a long one the extremes come from the pyramid, and rows are
read only where it begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid
from backpropd.store import pyramid, sampling
from backpropd.store.axes import EPOCHS, Axis
from backpropd.store.history_rows import (
    Positions,
    Series,
    count,
    ends,
    last_row,
    rows,
    rows_at,
)
from backpropd.store.pyramid import Extremes
from backpropd.store.tables import HistoryChunkRow, MetricSummaryRow

Kept = dict[int, dict[str, float]]  # by where a row stands: those of its values that are known


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of rows, `width` each: 1 ... width, and so on; `size` is the pyramid's below them."""

    width: int
    size: int | None  # None where the buckets are smaller than any of the pyramid

    @classmethod
    def over(cls, span: int, buckets: int) -> Grid:
        """So wide that few enough of them cover `span` rows, wherever those begin."""
        # One bucket less: on the grid the range may begin and end inside a bucket.
        width = -(-span // max(1, buckets - 1))
        sizes = [size for size in pyramid.SIZES if size <= width]
        if not sizes:
            return cls(width, None)
        return cls(-(-width // sizes[-1]) * sizes[-1], sizes[-1])

    def groups(self, at: Positions) -> Positions:
        """The bucket of each row."""
        return (at - 1) // self.width


def sample(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    points: int,
    method: str,
    axis: Axis = EPOCHS,
) -> Series:
    """At most `points` of the rows first..last: the range first, then the sampling.

    minmax keeps the first and last row and the smallest and largest of each bucket of every
    metric; lttb the shape (Steinarsson 2013); mean gives a bucket's mean at its first row.
    Raises Invalid where the points are too few for the metrics.
    """
    sampling.check_points(points, len(metrics))
    end = last_row(session, job_id, axis)
    last = min(last, end)
    total = count(session, job_id, first=first, last=last, axis=axis)
    wanted: dict[str, Any] = {"metrics": metrics, "first": first, "last": last, "axis": axis}
    if total <= points:
        return rows(session, job_id, **wanted)
    if method == "minmax" and last - first + 1 >= points * pyramid.SIZES[0]:
        series = _minmax_from_pyramid(session, job_id, points=points, end=end, **wanted)
    else:
        series = _reduced(rows(session, job_id, **wanted), points, method)
    return Series(series.at, series.columns, total, sampled=True)


def _reduced(whole: Series, points: int, method: str) -> Series:
    """At most `points` rows of a series that is at hand; its metrics share the axis."""
    if method == "mean":
        groups = sampling.bucket_of(whole.total, points)
        starts = [stretch.start for stretch in sampling.stretches(groups)]
        means = {name: sampling.means(groups, values) for name, values in whole.columns.items()}
        return Series(whole.at[starts], means, whole.total, sampled=True)
    values = list(whole.columns.values())
    if method == "lttb":
        return _only(whole, sampling.shape(whole.at.astype(np.float64), values, points))
    return _only(whole, sampling.extremes(values, points))


def _only(whole: Series, stay: Positions) -> Series:
    columns = {name: values[stay] for name, values in whole.columns.items()}
    return Series(whole.at[stay], columns, whole.total, sampled=True)


def _minmax_from_pyramid(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    points: int,
    end: int,
    axis: Axis = EPOCHS,
) -> Series:
    """minmax over a long range: extremes from the pyramid, ragged ends from their chunks.

    `end` is the last row there is: where the range reaches it, its last bucket is whole as it is.
    """
    buckets = sampling.buckets_within(points, len(metrics))
    grid = Grid.over(last - first + 1, buckets)
    size = grid.size
    assert size is not None
    inner_first = -(-(first - 1) // size) * size + 1
    inner_last = -(-last // size) * size if last >= end else last // size * size
    ragged = [
        rows(session, job_id, metrics=metrics, first=first, last=inner_first - 1, axis=axis),
        rows(session, job_id, metrics=metrics, first=inner_last + 1, last=last, axis=axis),
    ]
    found = pyramid.extremes(
        session, [job_id], metrics, size=size, first=inner_first, last=inner_last, axis=axis
    )
    kept: Kept = {}
    for metric in metrics:
        extremes = found[job_id, metric]
        at = np.concatenate([ragged[0].at, extremes.at, ragged[1].at])
        values = [ragged[0].columns[metric], extremes.value, ragged[1].columns[metric]]
        together = Extremes(at, np.concatenate(values))
        _keep(kept, metric, together, grid if buckets > 1 else Grid(last, None))
    for place, known in ends(session, job_id, metrics=metrics, first=first, last=last, axis=axis):
        kept[place] = known
    return _filled_in(session, job_id, metrics, kept, axis)


def _keep(kept: Kept, metric: str, rows: Extremes, grid: Grid) -> None:
    """Keep each bucket's smallest and largest of some rows, which ascend."""
    stay = sampling.minmax(grid.groups(rows.at), rows.value)
    for place, value in zip(rows.at[stay].tolist(), rows.value[stay].tolist(), strict=True):
        known = kept.setdefault(place, {})
        if value:  # SQLite forgets the sign of zero; the chunk knows it
            known[metric] = value


def _filled_in(
    session: Session, job_id: str, metrics: Sequence[str], kept: Kept, axis: Axis = EPOCHS
) -> Series:
    """The kept rows with every metric's value, read where the pyramid did not give it."""
    at = sorted(kept)
    missing = [place for place in at if len(kept[place]) < len(metrics)]
    if missing:
        read = rows_at(session, job_id, np.array(missing), metrics=metrics, axis=axis)
        for index, place in enumerate(missing):
            kept[place] = {metric: float(read[metric][index]) for metric in metrics}
    columns = {metric: np.array([kept[place][metric] for place in at]) for metric in metrics}
    return Series(np.array(at, np.int64), columns, len(at), sampled=True)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Curves of several jobs, sampled over the same buckets of epochs."""

    grid: Grid
    last: int  # the last epoch of any
    curves: dict[str, Series]  # by job


def compare(
    session: Session,
    job_ids: Sequence[str],
    *,
    metrics: Sequence[str],
    points: int,
) -> Comparison:
    """The whole curves of several jobs, of each the metrics that it has.

    Each job keeps its first and last row and every bucket's smallest and largest value, exactly.
    A bucket is one epoch where the longest curve has no more epochs than `points`.
    Raises Invalid where the points are too few, or a job that has rows has none of the metrics.
    """
    sampling.check_points(points, len(metrics))
    known = _summaries(session, job_ids)
    lasts = _lasts(session, job_ids)
    having = {
        job_id: [metric for metric in metrics if metric in known[job_id]] for job_id in job_ids
    }
    _check_each_has_one(job_ids, metrics, having, known)
    longest = max(lasts.values(), default=0)
    buckets = sampling.buckets_within(points, len(metrics))
    grid = Grid(1, None) if longest <= points else Grid.over(longest, buckets)
    if grid.size is None:
        curves = {job_id: _rows_on(session, job_id, having[job_id], grid) for job_id in job_ids}
        return Comparison(grid, longest, curves)
    size = grid.size
    last = -(-longest // size) * size
    found = pyramid.extremes(session, job_ids, metrics, size=size, first=1, last=last)
    curves = {}
    for job_id in job_ids:
        kept: Kept = {}
        for metric in having[job_id]:
            _keep(kept, metric, found[job_id, metric], grid)
            summary = known[job_id][metric]
            for place, value in ((1, summary.first), (lasts[job_id], summary.last)):
                at_end = kept.setdefault(place, {})
                if value:  # neither NaN nor zero, whose sign SQLite forgets
                    at_end[metric] = value
        series = _filled_in(session, job_id, having[job_id], kept)
        total = known[job_id][having[job_id][0]].count if having[job_id] else 0
        curves[job_id] = Series(series.at, series.columns, total, len(series.at) < total)
    return Comparison(grid, longest, curves)


def _rows_on(session: Session, job_id: str, metrics: Sequence[str], grid: Grid) -> Series:
    """A curve that is short enough to be read whole."""
    whole = rows(session, job_id, metrics=metrics, first=1, last=2**31 - 1)
    if grid.width == 1 or not whole.total:
        return whole
    groups = grid.groups(whole.at)
    stay = [sampling.minmax(groups, values) for values in whole.columns.values()]
    return _only(whole, np.unique(np.concatenate([[0, whole.total - 1], *stay])))


def _summaries(session: Session, job_ids: Iterable[str]) -> dict[str, dict[str, MetricSummaryRow]]:
    query = select(MetricSummaryRow).where(MetricSummaryRow.job_id.in_(job_ids))
    found: dict[str, dict[str, MetricSummaryRow]] = {job_id: {} for job_id in job_ids}
    for row in session.scalars(query):
        found[row.job_id][row.metric] = row
    return found


def _lasts(session: Session, job_ids: Iterable[str]) -> dict[str, int]:
    """The last epoch of each job that has any."""
    table = HistoryChunkRow
    query = select(table.job_id, func.max(table.last).label("last")).where(
        table.job_id.in_(job_ids)
    )
    return {row.job_id: row.last for row in session.execute(query.group_by(table.job_id))}


def _check_each_has_one(
    job_ids: Sequence[str],
    metrics: Sequence[str],
    having: Mapping[str, Sequence[str]],
    known: Mapping[str, Mapping[str, Any]],
) -> None:
    faults = [
        Fault(
            f"/jobs/{index}",
            "unknown_name",
            f"{job_id} has none of these metrics; it has {', '.join(sorted(known[job_id]))}.",
        )
        for index, job_id in enumerate(job_ids)
        if known[job_id] and not having[job_id]
    ]
    if faults:
        raise Invalid(faults)
