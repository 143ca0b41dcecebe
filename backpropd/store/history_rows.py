"""Rows of history as they lie in their chunks: made once, read in ranges.

A chunk holds up to 4,096 evenly spaced rows, so that millions of epochs are some hundred rows of
SQL; chunks.py is what their payload looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Integer, String, bindparam, case, func, select
from sqlalchemy.orm import Session

from backpropd.store.axes import EPOCHS, Axis
from backpropd.store.chunks import Floats, pack, unpack
from backpropd.store.leases import Lease

CHUNK_ROWS = 4096
CHUNKS_AT_ONCE = 32

Positions = NDArray[np.int64]
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of history: where they stand on their axis, and a column for each metric."""

    at: Positions  # epochs, or updates
    columns: dict[str, Floats]
    total: int  # rows in the range, sampled or not
    sampled: bool


def chunks_of(
    lease: Lease,
    at: Positions,
    columns: Mapping[str, Floats],
    *,
    axis: Axis = EPOCHS,
    span: Span | None = None,
) -> Iterator[dict[str, Any]]:
    """New rows as chunks; `at` ascends, and `span` is when they were computed."""
    for rows in _evenly_spaced(at):
        yield {
            "tenant_id": lease.tenant_id,
            "job_id": lease.job_id,
            "first": int(at[rows][0]),
            "last": int(at[rows][-1]),
            "stride": int(at[rows][1] - at[rows][0]) if rows.stop - rows.start > 1 else 1,
            "count": rows.stop - rows.start,
            "attempt": lease.attempt,
            "metrics": list(columns),
            "payload": pack([values[rows] for values in columns.values()]),
            "began_at": _instant(span, rows.start, len(at)),
            "ended_at": _instant(span, rows.stop, len(at)),
        }


def rows(
    session: Session,
    job_id: str,
    *,
    metrics: Sequence[str],
    first: int,
    last: int,
    limit: int | None = None,
    axis: Axis = EPOCHS,
) -> Series:
    """The rows first..last (both included), each one; at most the first `limit`."""
    pieces: list[tuple[Positions, list[Floats]]] = []
    found = 0
    for chunk in _chunks(session, job_id, first, last, limit, axis):
        pieces.append(within(chunk, metrics, first, last))
        found += len(pieces[-1][0])
        if limit is not None and found >= limit:
            break
    at = _joined([positions for positions, _ in pieces], np.int64)[:limit]
    columns = {
        metric: _joined([values[index] for _, values in pieces], np.float64)[:limit]
        for index, metric in enumerate(metrics)
    }
    return Series(at, columns, len(at), sampled=False)


def rows_at(
    session: Session,
    job_id: str,
    at: Positions,
    *,
    metrics: Sequence[str],
    axis: Axis = EPOCHS,
) -> dict[str, Floats]:
    """The columns of these rows, which are there; `at` ascends."""
    bounds = within_bounds(job_id, int(at[0]), int(at[-1]))
    starts = np.fromiter(session.scalars(_starts(axis), bounds), np.int64)
    holding = np.searchsorted(starts, at, side="right") - 1
    columns = {metric: np.empty(len(at)) for metric in metrics}
    needed = starts[np.unique(holding)].tolist()
    for low in range(0, len(needed), CHUNKS_AT_ONCE):
        some = {"job_id": job_id, "starts": needed[low : low + CHUNKS_AT_ONCE]}
        for chunk in session.execute(_these(axis), some).all():
            inside = slice(*np.searchsorted(at, [chunk.first, chunk.last + 1]))
            index = (at[inside] - chunk.first) // chunk.stride
            for metric, values in zip(metrics, _columns(chunk, metrics), strict=True):
                columns[metric][inside] = values[index]
    return columns


def count(session: Session, job_id: str, *, first: int, last: int, axis: Axis = EPOCHS) -> int:
    """How many rows there are of first..last."""
    return int(session.scalar(_count(axis), within_bounds(job_id, first, last)) or 0)


def last_row(session: Session, job_id: str, axis: Axis = EPOCHS) -> int:
    """The last row that is written; 0 where none is."""
    return session.scalar(_last(axis), {"job_id": job_id}) or 0


def ends(
    session: Session, job_id: str, *, metrics: Sequence[str], first: int, last: int, axis: Axis
) -> list[tuple[int, dict[str, float]]]:
    """The first and the last of the rows first..last: where they stand, and their values."""
    found = []
    # Neither is empty: a chunk that reaches out of the range at one end begins or ends inside it.
    for index in (0, -1):
        bounds = within_bounds(job_id, first, last)
        chunk = session.execute(_end(axis, last=index == -1), bounds).one()
        at, columns = within(chunk, metrics, first, last)
        values = {m: float(v[index]) for m, v in zip(metrics, columns, strict=True)}
        found.append((int(at[index]), values))
    return found


def within(
    chunk: Any, metrics: Sequence[str], first: int, last: int
) -> tuple[Positions, list[Floats]]:
    """A chunk's rows of first..last, a column for each metric."""
    at = chunk.first + chunk.stride * np.arange(chunk.count, dtype=np.int64)
    inside = slice(*np.searchsorted(at, [first, last + 1]))
    return at[inside], [values[inside] for values in _columns(chunk, metrics)]


def _columns(chunk: Any, metrics: Sequence[str]) -> list[Floats]:
    wanted = [chunk.metrics.index(metric) for metric in metrics]
    return unpack(chunk.payload, len(chunk.metrics), wanted)


def _evenly_spaced(at: Positions) -> Iterator[slice]:
    """Stretches of one stride each, none longer than a chunk."""
    start = 0
    while start < len(at):
        end = min(start + CHUNK_ROWS, len(at))
        steps = np.diff(at[start:end])
        breaks = np.flatnonzero(steps != steps[0]) if len(steps) else steps
        if len(breaks):
            end = start + int(breaks[0]) + 1
        yield slice(start, end)
        start = end


def _chunks(
    session: Session, job_id: str, first: int, last: int, limit: int | None, axis: Axis
) -> Iterator[Any]:
    """The chunks that hold rows first..last, a few at a time; no cursor is left open.

    Where only `limit` rows are wanted, no more chunks are read than may hold them.
    """
    after = 0
    # A page of full chunks lies in two of them; short ones are asked for again, in larger numbers.
    some = CHUNKS_AT_ONCE if limit is None else min(CHUNKS_AT_ONCE, limit // CHUNK_ROWS + 2)
    while True:
        bounds = within_bounds(job_id, first, last)
        found = session.execute(_next(axis), {**bounds, "after": after, "some": some}).all()
        yield from found
        if len(found) < some:
            return
        after, some = found[-1].first, CHUNKS_AT_ONCE


# Statements, each made once: making one takes longer than the database needs to answer it.


def within_bounds(job_id: str, first: int, last: int) -> dict[str, Any]:
    """What the statements take that ask for rows first..last of a job."""
    return {"job_id": job_id, "from": first, "to": last}


def overlapping(axis: Axis) -> tuple[Any, ...]:
    """The conditions under which a chunk reaches into the rows of `within_bounds`."""
    table, before = axis.chunk, axis.other_chunk
    of_job: Any = bindparam("job_id", type_=String)
    first, last = bindparam("from", type_=BigInteger), bindparam("to", type_=BigInteger)
    # Chunks do not overlap: the search begins at the last one that begins before the range does.
    start = select(func.max(before.first)).where(before.job_id == of_job, before.first <= first)
    return (
        table.job_id == of_job,
        table.first <= last,
        table.last >= first,
        table.first >= func.coalesce(start.scalar_subquery(), 0),
    )


def _parts(axis: Axis) -> Any:
    """What of a chunk says its rows."""
    table = axis.chunk
    return select(table.first, table.last, table.stride, table.count, table.metrics, table.payload)


@cache
def _next(axis: Axis) -> Any:
    table = axis.chunk
    after = table.first > bindparam("after")
    query = _parts(axis).where(*overlapping(axis), after).order_by(table.first)
    return query.limit(bindparam("some", type_=Integer))


@cache
def _end(axis: Axis, *, last: bool) -> Any:
    first = axis.chunk.first
    return _parts(axis).where(*overlapping(axis)).order_by(first.desc() if last else first).limit(1)


@cache
def _starts(axis: Axis) -> Any:
    return select(axis.chunk.first).where(*overlapping(axis)).order_by(axis.chunk.first)


@cache
def _these(axis: Axis) -> Any:
    table = axis.chunk
    starts: Any = bindparam("starts", expanding=True)
    return _parts(axis).where(table.job_id == bindparam("job_id"), table.first.in_(starts))


@cache
def _last(axis: Axis) -> Any:
    table = axis.chunk
    query = select(table.last).where(table.job_id == bindparam("job_id"))
    return query.order_by(table.first.desc()).limit(1)


@cache
def _count(axis: Axis) -> Any:
    table, first, last = (
        axis.chunk,
        bindparam("from", type_=BigInteger),
        bindparam("to", type_=BigInteger),
    )
    start, stride = table.first, table.stride
    below = case((start < first, (first - start + stride - 1) // stride), else_=0)
    upto = case((table.last > last, (last - start) // stride + 1), else_=table.count)
    return select(func.sum(upto - below)).where(*overlapping(axis))


def _instant(span: Span | None, row: int, of: int) -> datetime | None:
    """When `row` of so many rows were through, if each took as long as the others."""
    return None if span is None else span[0] + (span[1] - span[0]) * (row / of)


def _joined(pieces: list[Any], dtype: Any) -> NDArray[Any]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
