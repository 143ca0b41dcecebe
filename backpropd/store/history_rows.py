"""Rows of history as they lie in their chunks: made once, read in ranges.

A chunk holds up to 4,096 rows of evenly spaced epochs, so that millions of epochs are some hundred
rows of SQL; chunks.py is what their payload looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.store.chunks import Floats, pack, unpack
from backpropd.store.leases import Lease
from backpropd.store.tables import HistoryChunkRow

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


def chunks_of(
    lease: Lease, epochs: Epochs, columns: Mapping[str, Floats]
) -> Iterator[HistoryChunkRow]:
    """New rows as chunks; `epochs` ascends."""
    for rows in _evenly_spaced(epochs):
        yield _chunk(lease, epochs[rows], {name: v[rows] for name, v in columns.items()})


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
    found = 0
    for chunk in _chunks(session, job_id, first, last):
        pieces.append(within(chunk, metrics, first, last))
        found += len(pieces[-1][0])
        if limit is not None and found >= limit:
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
    ).where(*overlapping(job_id, first, last))
    total = 0
    for start, end, stride in session.execute(query):
        below = -(-(max(first, start) - start) // stride)
        total += (min(last, end) - start) // stride - below + 1
    return total


def overlapping(job_id: str, first: int, last: int) -> tuple[Any, ...]:
    """The conditions under which a chunk of the job reaches into epochs first..last."""
    return (
        HistoryChunkRow.job_id == job_id,
        HistoryChunkRow.first_epoch <= last,
        HistoryChunkRow.last_epoch >= first,
    )


def within(
    chunk: HistoryChunkRow, metrics: Sequence[str], first: int, last: int
) -> tuple[Epochs, list[Floats]]:
    """A chunk's rows of epochs first..last, a column for each metric."""
    epochs = chunk.first_epoch + chunk.stride * np.arange(chunk.count, dtype=np.int64)
    inside = slice(*np.searchsorted(epochs, [first, last + 1]))
    columns = dict(zip(chunk.metrics, unpack(chunk.payload, len(chunk.metrics)), strict=True))
    return epochs[inside], [columns[metric][inside] for metric in metrics]


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


def _chunks(session: Session, job_id: str, first: int, last: int) -> Iterator[HistoryChunkRow]:
    """The chunks that hold epochs first..last, a few at a time; no cursor is left open."""
    after = 0
    while True:
        query = (
            select(HistoryChunkRow)
            .where(*overlapping(job_id, first, last), HistoryChunkRow.first_epoch > after)
            .order_by(HistoryChunkRow.first_epoch)
            .limit(CHUNKS_AT_ONCE)
        )
        found = session.scalars(query).all()
        yield from found
        if len(found) < CHUNKS_AT_ONCE:
            return
        after = found[-1].first_epoch


def _joined(pieces: list[Any], dtype: Any) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
