"""Every epoch of a job: written once, in exact chunks, read in ranges and sampled without a loss.

Beside the chunks stands a pyramid of extremes, so that a few hundred points of a million epochs
need no more than the few rows that hold them; and a summary of each metric for lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.store import pyramid, sampling
from backpropd.store.chunks import Floats
from backpropd.store.history_rows import Epochs, Series, chunks_of, count, overlapping, rows, within
from backpropd.store.leases import Lease
from backpropd.store.tables import HistoryChunkRow, MetricSummaryRow

# Rows as they lie are read here too, so that a caller needs this one module.
__all__ = [
    "Series",
    "append",
    "check_metrics",
    "count",
    "last_epoch",
    "metrics_of",
    "rows",
    "sample",
    "summaries",
]


def append(
    session: Session, lease: Lease, epochs: Epochs, columns: Mapping[str, Floats]
) -> list[int]:
    """Write rows, in the transaction of a beat; `epochs` ascends.

    Rows that are there already, because the job went on from a checkpoint before them, are
    compared and never written twice; the epochs that differ are returned.
    """
    last = last_epoch(session, lease.job_id)
    known = epochs <= last
    differing = _compare(session, lease.job_id, epochs[known], columns, known)
    epochs = epochs[~known]
    columns = {name: values[~known] for name, values in columns.items()}
    if len(epochs):
        session.add_all(chunks_of(lease, epochs, columns))
        pyramid.add(session, lease, epochs, columns, begun=last > 0)
    return differing


def last_epoch(session: Session, job_id: str) -> int:
    """The last epoch that is written; 0 where none is."""
    query = select(func.max(HistoryChunkRow.last_epoch)).where(HistoryChunkRow.job_id == job_id)
    return session.scalar(query) or 0


def summaries(session: Session, job_ids: Sequence[str]) -> dict[str, list[MetricSummaryRow]]:
    """The summaries of the metrics of some jobs, by job."""
    query = (
        select(MetricSummaryRow)
        .where(MetricSummaryRow.job_id.in_(job_ids))
        .order_by(MetricSummaryRow.metric)
    )
    found: dict[str, list[MetricSummaryRow]] = {job_id: [] for job_id in job_ids}
    for row in session.scalars(query):
        found[row.job_id].append(row)
    return found


def metrics_of(session: Session, job_id: str) -> list[str]:
    """The metrics that a job has written, loss first."""
    query = select(HistoryChunkRow.metrics).where(HistoryChunkRow.job_id == job_id).limit(1)
    return list(session.scalar(query) or ["loss"])


def check_metrics(known: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise Invalid for a metric that the job does not have."""
    faults = [
        Fault("/metrics", "unknown_name", unknown_name("metric", metric, known))
        for metric in wanted
        if metric not in known
    ]
    if faults:
        raise Invalid(faults)


def sample(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    points: int,
    method: str,
) -> Series:
    """At most `points` rows of epochs first..last: the range first, then the sampling.

    minmax keeps the first and last row and the smallest and largest of each bucket of every
    metric; lttb the shape (Steinarsson 2013); mean gives a bucket's mean at its first epoch.
    Raises Invalid where the points are too few for the metrics.
    """
    least = sampling.fewest_points(len(metrics))
    if points < least:
        detail = f"For {len(metrics)} metrics at least {least} points are needed."
        raise Invalid([Fault("/points", "out_of_range", detail)])
    last = min(last, last_epoch(session, job_id))
    total = count(session, job_id, first=first, last=last)
    if total <= points:
        return rows(session, job_id, metrics=metrics, first=first, last=last)
    wanted: dict[str, Any] = {"metrics": metrics, "first": first, "last": last}
    if method == "minmax" and last - first + 1 >= points * pyramid.SIZES[0]:
        series = _minmax_from_pyramid(session, job_id, points=points, **wanted)
    else:
        series = _reduced(rows(session, job_id, **wanted), points, method)
    return Series(series.epoch, series.columns, total, sampled=True)


def _reduced(whole: Series, points: int, method: str) -> Series:
    """At most `points` rows of a series that is at hand; its metrics share the epoch axis."""
    if method == "mean":
        groups = sampling.bucket_of(whole.total, points)
        starts = [stretch.start for stretch in sampling.stretches(groups)]
        means = {name: sampling.means(groups, values) for name, values in whole.columns.items()}
        return Series(whole.epoch[starts], means, whole.total, sampled=True)
    values = list(whole.columns.values())
    if method == "lttb":
        stay = sampling.shape(whole.epoch.astype(np.float64), values, points)
    else:
        stay = sampling.extremes(values, points)
    columns = {name: values[stay] for name, values in whole.columns.items()}
    return Series(whole.epoch[stay], columns, whole.total, sampled=True)


def _minmax_from_pyramid(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    points: int,
) -> Series:
    """minmax over a long range: extremes from the pyramid, ragged ends from their chunks."""
    # One bucket less: on the pyramid's grid the range may begin and end inside a bucket.
    buckets = sampling.buckets_within(points, len(metrics)) - 1
    width = -(-(last - first + 1) // max(1, buckets))
    size = max(size for size in pyramid.SIZES if size <= width)
    width = -(-width // size) * size
    inner_first = -(-(first - 1) // size) * size + 1
    inner_last = last // size * size
    ends = [
        rows(session, job_id, metrics=metrics, first=first, last=inner_first - 1),
        rows(session, job_id, metrics=metrics, first=inner_last + 1, last=last),
    ]
    kept: dict[int, dict[str, float]] = {}
    for metric in metrics:
        extremes = pyramid.extremes(
            session, job_id, metric, size=size, first=inner_first, last=inner_last
        )
        epochs = np.concatenate([ends[0].epoch, extremes.epoch, ends[1].epoch])
        values = np.concatenate([ends[0].columns[metric], extremes.value, ends[1].columns[metric]])
        order = np.argsort(epochs, kind="stable")
        epochs, values = epochs[order], values[order]
        groups = (epochs - 1) // width if buckets else np.zeros_like(epochs)
        for index in sampling.minmax(groups, values):
            found = kept.setdefault(int(epochs[index]), {})
            if values[index] != 0:  # SQLite forgets the sign of zero; the chunk knows it
                found[metric] = float(values[index])
    for end in _first_and_last(session, job_id, first, last):
        kept.setdefault(end, {})
    return _filled_in(session, job_id, metrics, kept)


def _first_and_last(session: Session, job_id: str, first: int, last: int) -> list[int]:
    """The first and the last epoch that there are of first..last."""
    chunks = select(HistoryChunkRow).where(*overlapping(job_id, first, last)).limit(1)
    head = session.scalars(chunks.order_by(HistoryChunkRow.first_epoch)).one()
    tail = session.scalars(chunks.order_by(HistoryChunkRow.first_epoch.desc())).one()
    # Neither is empty: a chunk that reaches out of the range at one end begins or ends inside it.
    epochs = [within(chunk, [], first, last)[0] for chunk in (head, tail)]
    return [int(epochs[0][0]), int(epochs[1][-1])]


def _filled_in(
    session: Session, job_id: str, metrics: Sequence[str], kept: dict[int, dict[str, float]]
) -> Series:
    """The kept epochs with every metric's value, read where the pyramid did not give it."""
    missing = sorted(epoch for epoch, values in kept.items() if len(values) < len(metrics))
    while missing:
        chunk = session.scalars(
            select(HistoryChunkRow)
            .where(*overlapping(job_id, missing[0], missing[0]))
            .order_by(HistoryChunkRow.first_epoch.desc())
            .limit(1)
        ).one()
        epochs, columns = within(chunk, metrics, missing[0], chunk.last_epoch)
        here = [epoch for epoch in missing if epoch <= chunk.last_epoch]
        for epoch, index in zip(here, np.searchsorted(epochs, here), strict=True):
            kept[epoch] = {m: float(v[index]) for m, v in zip(metrics, columns, strict=True)}
        missing = missing[len(here) :]
    in_order = sorted(kept)
    columns_of = {m: np.array([kept[epoch][m] for epoch in in_order]) for m in metrics}
    return Series(np.array(in_order, np.int64), columns_of, len(in_order), sampled=True)


def _compare(
    session: Session,
    job_id: str,
    epochs: Epochs,
    columns: Mapping[str, Floats],
    known: NDArray[np.bool_],
) -> list[int]:
    """The epochs whose rows are not, to the last bit, what was written before."""
    if not len(epochs):
        return []
    before = rows(
        session, job_id, metrics=list(columns), first=int(epochs[0]), last=int(epochs[-1])
    )
    differs = ~np.isin(epochs, before.epoch)
    if differs.all():
        return [int(epoch) for epoch in epochs]
    index = np.minimum(np.searchsorted(before.epoch, epochs), len(before.epoch) - 1)
    for name, values in columns.items():
        was = before.columns[name][index].view(np.int64)
        differs |= was != np.ascontiguousarray(values[known]).view(np.int64)
    return [int(epoch) for epoch in epochs[differs]]
