"""Where an epoch lies on the other axes: the updates made by then, and the time.

A row of epoch k stands at update k * updates_per_epoch, after which the epoch was through, and at
the time when it was; within a chunk each row took as long as the others.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.store.axes import EPOCHS
from backpropd.store.history_rows import Positions, overlapping, within_bounds
from backpropd.store.tables import HistoryChunkRow, JobRow

Seconds = NDArray[np.float64]
FOREVER = 2**31 - 1
NONE = (1, 0)  # a range without a row


def epochs_of_updates(job: JobRow, first: int | None, last: int | None) -> tuple[int, int]:
    """The epochs that were through with one of the updates first..last."""
    each = job.updates_per_epoch
    if each is None:
        return NONE
    return -(-(first or 1) // each), FOREVER if last is None else min(last // each, FOREVER)


def epochs_of_time(
    session: Session, job: JobRow, first: float | datetime | None, last: float | datetime | None
) -> tuple[int, int]:
    """The epochs that were through at an instant first..last, or so many seconds after the start.

    An epoch whose time was not written down is in no such range.
    """
    if job.started_at is None:
        return NONE
    low, high = _seconds(job, first), _seconds(job, last)
    if low is None and high is None:
        return 1, FOREVER
    spread = _spread(session, job, 1, FOREVER)
    if not spread:
        return NONE
    begins, ends = _lasting(job, spread)
    first_epoch, last_epoch = 1, FOREVER
    if low is not None:
        place = int(np.searchsorted(ends, low, side="left"))
        if place == len(spread):
            return NONE
        times = _times(spread[place], begins[place], ends[place])
        row = int(np.searchsorted(times, low, side="left"))
        first_epoch = spread[place].first + spread[place].stride * row
    if high is not None:
        place = int(np.searchsorted(ends, high, side="right"))
        if place < len(spread):
            times = _times(spread[place], begins[place], ends[place])
            row = int(np.searchsorted(times, high, side="right"))
            last_epoch = spread[place].first + spread[place].stride * row - 1
    return first_epoch, last_epoch


def updates_at(job: JobRow, epochs: Positions) -> Positions:
    """The updates that were made when each of these epochs was through."""
    return epochs * (job.updates_per_epoch or 0)


def times_at(session: Session, job: JobRow, epochs: Positions) -> Seconds:
    """When each of these epochs was through: seconds since the job was started; `epochs` ascends.

    NaN where that was not written down.
    """
    seconds = np.full(len(epochs), np.nan)
    if not len(epochs) or job.started_at is None:
        return seconds
    spread = _spread(session, job, int(epochs[0]), int(epochs[-1]))
    begins, ends = _lasting(job, spread)
    edges = [np.searchsorted(epochs, [chunk.first, chunk.last + 1]) for chunk in spread]
    for place, (low, high) in enumerate(edges):
        if low < high:
            rows = (epochs[low:high] - spread[place].first) // spread[place].stride
            seconds[low:high] = _times(spread[place], begins[place], ends[place], rows)
    return seconds


def _seconds(job: JobRow, instant: float | datetime | None) -> float | None:
    if isinstance(instant, datetime):
        assert job.started_at is not None
        return (instant - job.started_at) / timedelta(seconds=1)
    return instant


def _spread(session: Session, job: JobRow, first: int, last: int) -> list[Any]:
    """Which rows each chunk holds, and when they were computed, where that is known."""
    return list(session.execute(_lasted(), within_bounds(job.id, first, last)))


@cache
def _lasted() -> Any:
    table = HistoryChunkRow
    parts = (table.first, table.last, table.stride, table.count, table.began_at, table.ended_at)
    known = table.ended_at.is_not(None)
    return select(*parts).where(*overlapping(EPOCHS), known).order_by(table.first)


def _lasting(job: JobRow, spread: list[Any]) -> tuple[Seconds, Seconds]:
    """When each chunk was begun and ended, in seconds since the start.

    A clock that was set back does not make time run backwards.
    """
    start, second = job.started_at, timedelta(seconds=1)
    pairs = [((c.began_at - start) / second, (c.ended_at - start) / second) for c in spread]
    instants = np.maximum.accumulate(np.array(pairs).reshape(-1))
    return instants[::2], instants[1::2]


def _times(chunk: Any, began: float, ended: float, rows: Positions | None = None) -> Seconds:
    """When rows of a chunk were through, to the microsecond."""
    rows = np.arange(chunk.count) if rows is None else rows
    times: Seconds = np.round(began + (ended - began) * (rows + 1) / chunk.count, 6)
    return times
