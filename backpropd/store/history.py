"""Every epoch of a job: written once, in exact chunks, read in ranges and sampled without a loss.

Beside the chunks stands a pyramid of extremes, so that a few hundred points of a million epochs
need no more than the few rows that hold them; and a summary of each metric for lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.store import pyramid
from backpropd.store.chunks import Floats, pack, unpack
from backpropd.store.leases import Lease
from backpropd.store.sampling import bucket_of, lttb, minmax
from backpropd.store.tables import HistoryChunkRow, MetricSummaryRow

CHUNK_ROWS = 4096
CHUNKS_AT_ONCE = 32

Epochs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of history: an epoch axis and a column for each metric."""

    epoch: Epochs
    columns: dict[str, Floats]
    total: int  # rows in the range, sampled or not
    sampled: bool


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
        for rows in _evenly_spaced(epochs):
            session.add(_chunk(lease, epochs[rows], {n: v[rows] for n, v in columns.items()}))
        pyramid.add(session, lease, epochs, columns)
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


def rows(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    limit: int | None = None,
) -> Series:
    """The rows of epochs first..last (both included), each one; at most the first `limit`."""
    pieces: list[tuple[Epochs, list[Floats]]] = []
    count = 0
    for chunk in _chunks(session, job_id, first, last):
        pieces.append(_within(chunk, metrics, first, last))
        count += len(pieces[-1][0])
        if limit is not None and count >= limit:
            break
    epoch = _joined([epochs for epochs, _ in pieces], np.int64)[:limit]
    columns = {
        metric: _joined([values[index] for _, values in pieces], np.float64)[:limit]
        for index, metric in enumerate(metrics)
    }
    return Series(epoch, columns, len(epoch), sampled=False)


def count(session: Session, job_id: str, *, first: int, last: int) -> int:
    """How many rows there are of epochs first..last."""
    query = select(
        HistoryChunkRow.first_epoch, HistoryChunkRow.last_epoch, HistoryChunkRow.stride
    ).where(*_overlapping(job_id, first, last))
    total = 0
    for start, end, stride in session.execute(query):
        below = -(-(max(first, start) - start) // stride)
        total += (min(last, end) - start) // stride - below + 1
    return total


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
    """About `points` rows, never more, of epochs first..last: the range first, then the sampling.

    minmax keeps the first and last row and the smallest and largest of each bucket of every
    metric; lttb the shape (Steinarsson 2013); mean gives a bucket's mean at its first epoch.
    """
    least = 2 + 2 * len(metrics)
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
        whole = rows(session, job_id, **wanted)
        series = _mean(whole, points) if method == "mean" else _chosen(whole, points, method)
    return Series(series.epoch, series.columns, total, sampled=True)


def _chosen(whole: Series, points: int, method: str) -> Series:
    """The rows of a series that minmax or lttb keep; metrics share the epoch axis."""
    n, metrics = len(whole.epoch), len(whole.columns)
    kept = [np.array([0, n - 1])]
    for values in whole.columns.values():
        if method == "lttb":
            kept.append(lttb(whole.epoch.astype(float), values, max(3, points // metrics)))
        else:
            kept.append(minmax(bucket_of(n, _buckets(points, metrics)), values))
    stay = np.unique(np.concatenate(kept))[:points] if method == "lttb" else None
    stay = np.unique(np.concatenate(kept)) if stay is None else np.unique([*stay[:-1], n - 1])
    columns = {name: values[stay] for name, values in whole.columns.items()}
    return Series(whole.epoch[stay], columns, n, sampled=True)


def _mean(whole: Series, points: int) -> Series:
    buckets = bucket_of(len(whole.epoch), points)
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    sizes = np.diff(np.append(starts, len(buckets)))
    columns = {n: np.add.reduceat(v, starts) / sizes for n, v in whole.columns.items()}
    return Series(whole.epoch[starts], columns, len(whole.epoch), sampled=True)


def _buckets(points: int, metrics: int) -> int:
    """How many buckets leave room for two rows a metric each, and the first and last row."""
    return max(1, (points - 2) // (2 * metrics))


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
    width = -(-(last - first + 1) // max(1, _buckets(points, len(metrics)) - 1))
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
        for index in minmax((epochs - 1) // width, values):
            kept.setdefault(int(epochs[index]), {})[metric] = float(values[index])
    for end in _first_and_last(session, job_id, metrics, first, last):
        kept.setdefault(end, {})
    return _filled_in(session, job_id, metrics, kept)


def _first_and_last(
    session: Session, job_id: str, metrics: Sequence[str], first: int, last: int
) -> list[int]:
    head = rows(session, job_id, metrics=metrics[:1], first=first, last=last, limit=1)
    tail = session.scalars(
        select(HistoryChunkRow)
        .where(*_overlapping(job_id, first, last))
        .order_by(HistoryChunkRow.first_epoch.desc())
        .limit(1)
    ).one()
    return [int(head.epoch[0]), int(_within(tail, metrics[:1], first, last)[0][-1])]


def _filled_in(
    session: Session, job_id: str, metrics: Sequence[str], kept: dict[int, dict[str, float]]
) -> Series:
    """The kept epochs with every metric's value, read where the pyramid did not give it."""
    missing = sorted(epoch for epoch, values in kept.items() if len(values) < len(metrics))
    while missing:
        chunk = session.scalars(
            select(HistoryChunkRow)
            .where(*_overlapping(job_id, missing[0], missing[0]))
            .order_by(HistoryChunkRow.first_epoch.desc())
            .limit(1)
        ).one()
        epochs, columns = _within(chunk, metrics, missing[0], chunk.last_epoch)
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
    index = np.minimum(np.searchsorted(before.epoch, epochs), len(before.epoch) - 1)
    for name, values in columns.items():
        was = before.columns[name][index].view(np.int64)
        differs |= was != np.ascontiguousarray(values[known]).view(np.int64)
    return [int(epoch) for epoch in epochs[differs]]


def _chunk(lease: Lease, epochs: Epochs, columns: Mapping[str, Floats]) -> HistoryChunkRow:
    return HistoryChunkRow(
        tenant_id=lease.tenant_id,
        job_id=lease.job_id,
        first_epoch=int(epochs[0]),
        last_epoch=int(epochs[-1]),
        stride=int(epochs[1] - epochs[0]) if len(epochs) > 1 else 1,
        count=len(epochs),
        attempt=lease.attempt,
        metrics=list(columns),
        payload=pack(list(columns.values())),
    )


def _evenly_spaced(epochs: Epochs) -> Iterator[slice]:
    """Stretches of one stride each, none longer than a chunk."""
    start = 0
    while start < len(epochs):
        end = min(start + CHUNK_ROWS, len(epochs))
        steps = np.diff(epochs[start:end])
        breaks = np.flatnonzero(steps != steps[0]) if len(steps) else steps
        if len(breaks):
            end = start + int(breaks[0]) + 1
        yield slice(start, end)
        start = end


def _overlapping(job_id: str, first: int, last: int) -> tuple[Any, ...]:
    return (
        HistoryChunkRow.job_id == job_id,
        HistoryChunkRow.first_epoch <= last,
        HistoryChunkRow.last_epoch >= first,
    )


def _chunks(session: Session, job_id: str, first: int, last: int) -> Iterator[HistoryChunkRow]:
    """The chunks that hold epochs first..last, a few at a time; no cursor is left open."""
    after = 0
    while True:
        query = (
            select(HistoryChunkRow)
            .where(*_overlapping(job_id, first, last), HistoryChunkRow.first_epoch > after)
            .order_by(HistoryChunkRow.first_epoch)
            .limit(CHUNKS_AT_ONCE)
        )
        found = session.scalars(query).all()
        yield from found
        if len(found) < CHUNKS_AT_ONCE:
            return
        after = found[-1].first_epoch


def _within(
    chunk: HistoryChunkRow, metrics: Sequence[str], first: int, last: int
) -> tuple[Epochs, list[Floats]]:
    """A chunk's rows of epochs first..last."""
    epochs = chunk.first_epoch + chunk.stride * np.arange(chunk.count, dtype=np.int64)
    inside = slice(*np.searchsorted(epochs, [first, last + 1]))
    columns = dict(zip(chunk.metrics, unpack(chunk.payload, len(chunk.metrics)), strict=True))
    return epochs[inside], [columns[metric][inside] for metric in metrics]


def _joined(pieces: list[Any], dtype: Any) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
