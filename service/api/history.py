"""/v1/jobs/ID/history: every epoch, whole or sampled, and several jobs side by side."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from flask import Response, stream_with_context
from flask_openapi3 import APIBlueprint, Tag

from backpropd.engine import STATISTICS
from backpropd.export.numbers import json_safe
from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.spec.limits import LIMITS
from backpropd.spec.predict import CompareSpec
from backpropd.store import history, jobs
from backpropd.store.database import Session
from backpropd.store.history import Series
from service.answers import answer, resource
from service.auth import tenant
from service.context import database
from service.openapi import BODY
from service.parameters import HistoryQuery, JobPath, LayersQuery, NoQuery
from service.representations import ComparisonOut, HistoryOut, LayersOut

api = APIBlueprint("history", __name__, url_prefix="/v1", abp_tags=[Tag(name="History")])

FOREVER = 2**31 - 1
LAYERS = "layers."  # what columns of statistics begin with: layers.LAYER.STATISTIC
BLOCK_ROWS = 20_000  # of a stream, each read in a transaction of its own


@api.get("/jobs/<job_id>/history", summary="Read the history", responses={200: HistoryOut})
def get_history(path: JobPath, query: HistoryQuery) -> Response:
    """Rows of history. Row k is what the forward passes of epoch k saw, before its updates.

    The range is applied first; then, with points, the sampling.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        metrics = _metrics(session, job.id, query.metrics)
        if query.format in ("csv", "ndjson") and query.points is None:
            return _stream(job.id, metrics, query)
        series = _series(session, job.id, metrics, query)
    if query.format == "npz":
        return Response(_npz(series), content_type="application/x-npz")
    if query.format != "json":
        lines = "".join(_lines(query.format, metrics, iter([series])))
        return Response(lines, content_type=_CONTENT_TYPES[query.format])
    return resource(_represent(path.job_id, series, LIMITS.history_page))


@api.get("/jobs/<job_id>/layers", summary="Read layers' statistics", responses={200: LayersOut})
def get_layers(path: JobPath, query: LayersQuery) -> Response:
    """Norms, update ratios, dead and saturated units of every layer, for every epoch.

    Measured where the job asked for it: "history": {"layers": true}.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        if not job.spec["history"]["layers"]:
            detail = 'This job was submitted without "history": {"layers": true}.'
            raise Invalid([Fault("/job_id", "not_measured", detail)])
        columns = _statistics(history.metrics_of(session, job.id), query.stat)
        rows = HistoryQuery.model_validate(query.model_dump(exclude={"stat"}, by_alias=True))
        series = _series(session, job.id, columns, rows)
    shown = _represent(job.id, series, LIMITS.history_page)
    layers: dict[str, dict[str, Any]] = {}
    for name, values in shown.pop("series").items():
        _, layer, statistic = name.split(".")
        layers.setdefault(layer, {})[statistic] = values
    return resource({**shown, "object": "layers", "layers": layers})


@api.post("/history/compare", summary="Compare jobs", responses={200: ComparisonOut, **BODY})
def compare(body: CompareSpec, query: NoQuery) -> Response:
    """The sampled curves of up to 100 jobs, in the order asked for."""
    found = []
    with database().read() as session:
        for job_id in body.jobs:
            job = jobs.find(session, tenant(), job_id)
            known = history.metrics_of(session, job.id)
            metrics = [metric for metric in body.metrics if metric in known]
            if not metrics:
                history.check_metrics(known, body.metrics)
            series = history.sample(
                session,
                job.id,
                metrics=metrics,
                first=1,
                last=FOREVER,
                points=max(body.points, 2 + 2 * len(metrics)),
                method="minmax",
            )
            found.append(_represent(job.id, series, None))
    return answer({"object": "history_comparison", "data": found})


def _metrics(session: Session, job_id: str, asked: str | None) -> list[str]:
    known = history.metrics_of(session, job_id)
    if asked is None:
        return [name for name in known if not name.startswith(LAYERS)]
    wanted = list(dict.fromkeys(name.strip() for name in asked.split(",")))
    if history.last_epoch(session, job_id):
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


def _series(session: Session, job_id: str, metrics: list[str], query: HistoryQuery) -> Series:
    first, last = _first(query), query.last or FOREVER
    if query.points is not None:
        return history.sample(
            session,
            job_id,
            metrics=metrics,
            first=first,
            last=last,
            points=query.points,
            method=query.method,
        )
    # One row more than a page, to know whether there is another page.
    limit = LIMITS.history_page + 1 if query.format == "json" else None
    series = history.rows(session, job_id, metrics=metrics, first=first, last=last, limit=limit)
    total = history.count(session, job_id, first=first, last=last)
    return Series(series.epoch, series.columns, total, sampled=False)


def _first(query: HistoryQuery) -> int:
    if query.cursor is None:
        return query.first
    if not query.cursor.isdecimal() or len(query.cursor) > 10:
        detail = "This is no cursor that a history has given."
        raise Invalid([Fault("/cursor", "bad_cursor", detail)])
    return int(query.cursor)


def _represent(job_id: str, series: Series, page: int | None) -> dict[str, Any]:
    more = page is not None and len(series.epoch) > page
    return {
        "object": "history",
        "job": job_id,
        "total": series.total,
        "sampled": series.sampled,
        "epoch": series.epoch[:page].tolist(),
        "series": {name: json_safe(values[:page]) for name, values in series.columns.items()},
        "has_more": more,
        "next_cursor": str(series.epoch[page]) if more and page is not None else None,
    }


_CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}


def _stream(job_id: str, metrics: list[str], query: HistoryQuery) -> Response:
    """A long history line by line; no transaction lasts longer than a block of it."""
    db = database()

    def blocks() -> Iterator[Series]:
        first, last = _first(query), query.last or FOREVER
        while True:
            with db.read() as session:
                series = history.rows(
                    session, job_id, metrics=metrics, first=first, last=last, limit=BLOCK_ROWS
                )
            yield series
            if len(series.epoch) < BLOCK_ROWS:
                return
            first = int(series.epoch[-1]) + 1

    lines = _lines(query.format, metrics, blocks())
    return Response(stream_with_context(lines), content_type=_CONTENT_TYPES[query.format])


def _lines(kind: str, metrics: list[str], blocks: Iterator[Series]) -> Iterator[str]:
    """CSV or newline-delimited JSON, a block at a time; every digit is kept."""
    if kind == "csv":
        yield ",".join(["epoch", *metrics]) + "\n"
    for series in blocks:
        columns = [series.columns[metric].tolist() for metric in metrics]
        rows = zip(series.epoch.tolist(), *columns, strict=True)
        if kind == "csv":
            yield "".join(",".join(map(repr, row)) + "\n" for row in rows)
        else:
            names = ["epoch", *metrics]
            yield "".join(
                json.dumps(dict(zip(names, json_safe(row), strict=True))) + "\n" for row in rows
            )


def _npz(series: Series) -> bytes:
    out = io.BytesIO()
    np.savez(out, epoch=series.epoch, **series.columns)  # type: ignore[arg-type]
    return out.getvalue()
