"""Every epoch of a job: written once, in exact chunks, read in ranges and sampled without a loss.

Beside the chunks stands a pyramid of extremes, so that a few hundred points of a million epochs
need no more than the few rows that hold them; and a summary of each metric for lists. Where a job
asked for it, each of its batches is written in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.store import pyramid
from backpropd.store.axes import BATCHES, EPOCHS, Axis
from backpropd.store.chunks import Floats
from backpropd.store.history_points import compare, sample
from backpropd.store.history_rows import (
    Positions,
    Series,
    Span,
    chunks_of,
    count,
    last_row,
    rows,
)
from backpropd.store.leases import Lease
from backpropd.store.tables import MetricSummaryRow

# Rows as they lie, and their points, are read here too: a caller needs this one module.
__all__ = [
    "BATCHES",
    "EPOCHS",
    "Axis",
    "Series",
    "Span",
    "append",
    "check_metrics",
    "compare",
    "count",
    "last_row",
    "metrics_of",
    "rows",
    "sample",
    "summaries",
]


def append(
    session: Session,
    lease: Lease,
    at: Positions,
    columns: Mapping[str, Floats],
    *,
    axis: Axis = EPOCHS,
    span: Span | None = None,
) -> list[int]:
    """Write rows, in the transaction of a beat; `at` ascends, and `span` is when they were made.

    Rows that are there already, because the job went on from a checkpoint before them, are
    compared and never written twice; where they differ is returned.
    """
    last = last_row(session, lease.job_id, axis)
    known = at <= last
    differing = _compare(session, lease.job_id, at[known], columns, known, axis)
    at = at[~known]
    columns = {name: values[~known] for name, values in columns.items()}
    if len(at):
        chunks = list(chunks_of(lease, at, columns, axis=axis, span=span))
        session.execute(insert(axis.chunk), chunks)
        pyramid.add(session, lease, at, columns, axis=axis, begun=last > 0)
        if axis is EPOCHS:
            pyramid.summarize(session, lease, at, columns, begun=last > 0)
    return differing


def summaries(session: Session, job_ids: Sequence[str]) -> dict[str, list[MetricSummaryRow]]:
    """The summaries of the metrics of some jobs, by job."""
    found: dict[str, list[MetricSummaryRow]] = {job_id: [] for job_id in job_ids}
    for row in session.scalars(_summaries(), {"job_ids": list(job_ids)}):
        found[row.job_id].append(row)
    return found


@cache
def _summaries() -> Any:
    of_jobs = MetricSummaryRow.job_id.in_(bindparam("job_ids", expanding=True))
    return select(MetricSummaryRow).where(of_jobs).order_by(MetricSummaryRow.metric)


def metrics_of(session: Session, job_id: str, axis: Axis = EPOCHS) -> list[str]:
    """The metrics that a job has written, loss first."""
    return list(session.scalar(_first_metrics(axis), {"job_id": job_id}) or ["loss"])


@cache
def _first_metrics(axis: Axis) -> Any:
    table = axis.chunk
    query = select(table.metrics).where(table.job_id == bindparam("job_id"))
    return query.order_by(table.first).limit(1)


def check_metrics(known: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise Invalid for a metric that the job does not have."""
    faults = [
        Fault("/metrics", "unknown_name", unknown_name("metric", metric, known))
        for metric in wanted
        if metric not in known
    ]
    if faults:
        raise Invalid(faults)


def _compare(
    session: Session,
    job_id: str,
    at: Positions,
    columns: Mapping[str, Floats],
    known: NDArray[np.bool_],
    axis: Axis,
) -> list[int]:
    """Where rows are not, to the last bit, what was written before."""
    if not len(at):
        return []
    before = rows(
        session, job_id, metrics=list(columns), first=int(at[0]), last=int(at[-1]), axis=axis
    )
    differs = ~np.isin(at, before.at)
    if differs.all():
        return [int(place) for place in at]
    index = np.minimum(np.searchsorted(before.at, at), len(before.at) - 1)
    for name, values in columns.items():
        was = before.columns[name][index].view(np.int64)
        differs |= was != np.ascontiguousarray(values[known]).view(np.int64)
    return [int(place) for place in at[differs]]
