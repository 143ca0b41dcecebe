"""/v1/jobs/ID/history, batches and layers: every row, whole or sampled; several jobs together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.engine import STATISTICS
from backpropd.export.numbers import json_safe
from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.spec.limits import LIMITS
from backpropd.store import history, history_places, jobs
from backpropd.store.database import Session
from backpropd.store.history import BATCHES, EPOCHS, Axis, Series
from backpropd.store.tables import JobRow
from service import history_files
from service.answers import resource
from service.auth import tenant
from service.context import database
from service.history_files import Columns, Table
from service.parameters import BatchesQuery, HistoryQuery, JobPath, LayersQuery, RowsOfHistory
from service.representations import BatchesOut, HistoryOut, LayersOut

api = APIBlueprint("history", __name__, url_prefix="/v1", abp_tags=[Tag(name="History")])

FOREVER = 2**62
LAYERS = "layers."  # what columns of statistics begin with: layers.LAYER.STATISTIC
BLOCK_ROWS = 20_000  # of a stream, each read in a transaction of its own


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rows of which job."""

    job: JobRow
    axis: Axis
    by: str  # of what the range is, and what is told beside the axis: epoch, update or time
    metrics: list[str]
    first: int
    last: int


@api.get("/jobs/<job_id>/history", summary="Read the history", responses={200: HistoryOut})
def get_history(path: JobPath, query: HistoryQuery) -> Response:
    """Rows of history. Row k is what the forward passes of epoch k saw, before its updates.

    The range is applied first; then, with points, the sampling. Whatever the range counts, rows
    are told by epoch; with `by`, by update or time too.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        metrics = _metrics(session, job.id, query.metrics)
        wanted = _Wanted(job, EPOCHS, query.by, metrics, *_range(session, job, query))
        return _answered(session, wanted, query, "history")


@api.get("/jobs/<job_id>/batches", summary="Read every batch", responses={200: BatchesOut})
def get_batches(path: JobPath, query: BatchesQuery) -> Response:
    """The loss of every batch, as its forward pass saw it, before its update.

    Batch k of the training is followed by update k. Written where the job asked for it:
    "history": {"batches": true}.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        _check_measured(job, "batches")
        wanted = _Wanted(job, BATCHES, "update", ["loss"], query.first, query.last or FOREVER)
        return _answered(session, wanted, query, "batches")


@api.get("/jobs/<job_id>/layers", summary="Read layers' statistics", responses={200: LayersOut})
def get_layers(path: JobPath, query: LayersQuery) -> Response:
    """Norms, update ratios, dead and saturated units of every layer, for every epoch.

    Measured where the job asked for it: "history": {"layers": true}.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        _check_measured(job, "layers")
        columns = _statistics(history.metrics_of(session, job.id), query.stat)
        wanted = _Wanted(job, EPOCHS, query.by, columns, *_range(session, job, query))
        return _answered(session, wanted, query, "layers")


def _answered(session: Session, wanted: _Wanted, query: RowsOfHistory, kind: str) -> Response:
    history_files.check_format(query.format)
    if query.format != "json":
        return _file(session, wanted, query)
    shown = _represent(session, wanted, _series(session, wanted, query), kind)
    if kind == "layers":
        shown["layers"] = _by_layer(shown.pop("series"))
    return resource(shown)


def _check_measured(job: JobRow, what: str) -> None:
    if not job.spec["history"].get(what):
        detail = f'This job was submitted without "history": {{"{what}": true}}.'
        raise Invalid([Fault("/job_id", "not_measured", detail)])


def _metrics(session: Session, job_id: str, asked: str | None) -> list[str]:
    known = history.metrics_of(session, job_id)
    if asked is None:
        return [name for name in known if not name.startswith(LAYERS)]
    wanted = list(dict.fromkeys(name.strip() for name in asked.split(",")))
    if history.last_row(session, job_id):
        history.check_metrics(known, wanted)
    return wanted


def _statistics(known: list[str], asked: str | None) -> list[str]:
    """The columns of the statistics that are wanted."""
    wanted = list(STATISTICS) if asked is None else [name.strip() for name in asked.split(",")]
    for name in wanted:
        if name not in STATISTICS:
            detail = unknown_name("statistic", name, list(STATISTICS))
            raise Invalid([Fault("/stat", "unknown_name", detail)])
    return [each for each in known if each.startswith(LAYERS) and each.rpartition(".")[2] in wanted]


def _by_layer(series: dict[str, Any]) -> dict[str, dict[str, Any]]:
    layers: dict[str, dict[str, Any]] = {}
    for name, values in series.items():
        _, layer, statistic = name.split(".")
        layers.setdefault(layer, {})[statistic] = values
    return layers


def _range(session: Session, job: JobRow, query: HistoryQuery | LayersQuery) -> tuple[int, int]:
    """The epochs of the range, whatever it counts."""
    first, last = query.first, query.last
    if query.by == "time":
        return history_places.epochs_of_time(session, job, first, last)
    assert isinstance(first, int | None)
    assert isinstance(last, int | None)
    if query.by == "update":
        return history_places.epochs_of_updates(job, first, last)
    return first or 1, last or history_places.FOREVER


def _series(session: Session, wanted: _Wanted, query: RowsOfHistory) -> Series:
    rows: dict[str, Any] = {"metrics": wanted.metrics, "last": wanted.last, "axis": wanted.axis}
    job_id, first = wanted.job.id, wanted.first
    if query.points is not None:
        points: dict[str, Any] = {"points": query.points, "method": query.method}
        return history.sample(session, job_id, first=first, **points, **rows)
    start = max(first, _place_of(query.cursor))
    # One row more than a page, to know whether there is another page.
    limit = LIMITS.history_page + 1 if query.format == "json" else None
    series = history.rows(session, job_id, first=start, limit=limit, **rows)
    total = history.count(session, job_id, first=first, last=wanted.last, axis=wanted.axis)
    return Series(series.at, series.columns, total, sampled=False)


def _place_of(cursor: str | None) -> int:
    if cursor is None:
        return 1
    if not cursor.isdecimal() or not cursor.isascii() or len(cursor) > 18:
        detail = "This is no cursor that a history has given."
        raise Invalid([Fault("/cursor", "bad_cursor", detail)])
    return int(cursor)


def _represent(session: Session, wanted: _Wanted, series: Series, kind: str) -> dict[str, Any]:
    page = LIMITS.history_page
    more = len(series.at) > page
    at = series.at[:page]
    places = _places(session, wanted.job, wanted.by, at) if wanted.axis is EPOCHS else {}
    return {
        "object": kind,
        "job": wanted.job.id,
        "total": series.total,
        "sampled": series.sampled,
        wanted.axis.name: at.tolist(),
        **{name: json_safe(values) for name, values in places.items()},
        "series": {name: json_safe(values[:page]) for name, values in series.columns.items()},
        "has_more": more,
        "next_cursor": str(series.at[page]) if more else None,
    }


def _places(session: Session, job: JobRow, by: str, epochs: Any) -> dict[str, Any]:
    """Where epochs stand on another axis than their own."""
    if by == "update":
        return {"update": history_places.updates_at(job, epochs)}
    if by == "time":
        return {"time": history_places.times_at(session, job, epochs)}
    return {}


def _file(session: Session, wanted: _Wanted, query: RowsOfHistory) -> Response:
    """A long history piece by piece; no transaction lasts longer than a block of it."""
    db, job_id, axis = database(), wanted.job.id, wanted.axis
    kinds: dict[str, type] = {axis.name: np.int64}
    if axis is EPOCHS and wanted.by != "epoch":
        kinds[wanted.by] = np.int64 if wanted.by == "update" else np.float64
    kinds |= dict.fromkeys(wanted.metrics, np.float64)

    def columns(session: Session, series: Series) -> Columns:
        places = {} if axis is BATCHES else _places(session, wanted.job, wanted.by, series.at)
        return {axis.name: series.at, **places, **series.columns}

    # What a running job writes meanwhile is not in it.
    first = max(wanted.first, _place_of(query.cursor))
    last = min(wanted.last, history.last_row(session, job_id, axis))
    if query.points is not None:
        series = _series(session, wanted, query)
        sampled = columns(session, series)
        table = Table(kinds, len(series.at), lambda: iter([sampled]))
    else:
        rows = history.count(session, job_id, first=first, last=last, axis=axis)

        def blocks() -> Iterator[Columns]:
            start, left = first, rows
            while left:
                with db.read() as reading:
                    block = history.rows(
                        reading,
                        job_id,
                        metrics=wanted.metrics,
                        first=start,
                        last=last,
                        limit=BLOCK_ROWS,
                        axis=axis,
                    )
                    if not len(block.at):
                        # Broken off where nobody can take it for whole.
                        raise ConnectionAbortedError("the job was deleted while it was read")
                    found = columns(reading, block)
                yield found
                start, left = int(block.at[-1]) + 1, left - len(block.at)

        table = Table(kinds, rows, blocks)
    pieces = history_files.written(query.format, table)
    out = Response(pieces, content_type=history_files.CONTENT_TYPES[query.format])
    name = f"{job_id}-{'history' if axis is EPOCHS else 'batches'}.{query.format}"
    out.headers["Content-Disposition"] = f'inline; filename="{name}"'
    return out
