"""/v1/history/compare: the curves of several jobs on one axis, and how the jobs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from numpy.typing import NDArray

from backpropd.export.numbers import json_safe
from backpropd.spec.differences import differences
from backpropd.spec.predict import CompareSpec
from backpropd.store import history, history_places, jobs, networks, sampling
from backpropd.store.database import Session
from backpropd.store.history import Series
from backpropd.store.tables import JobRow
from service.answers import answer
from service.auth import tenant
from service.context import database
from service.openapi import BODY
from service.parameters import NoQuery
from service.representations import ComparisonOut

api = APIBlueprint("comparison", __name__, url_prefix="/v1", abp_tags=[Tag(name="History")])

Places = NDArray[Any]


@api.post("/history/compare", summary="Compare jobs", responses={200: ComparisonOut, **BODY})
def compare(body: CompareSpec, query: NoQuery) -> Response:
    """The sampled curves of up to 100 jobs, in the order asked for, and how their jobs differ.

    Every job keeps its own rows, exact, without losing an extreme. `axis` is where the buckets
    begin that all of them share; `aligned` has each job's smallest and largest value in every
    bucket, null where it has no row there. Where there are as many buckets as rows, both are the
    value itself.
    """
    with database().read() as session:
        found = jobs.find_all(session, tenant(), body.jobs)
        compared = history.compare(session, list(found), metrics=body.metrics, points=body.points)
        places = {
            job_id: _places(session, found[job_id], body.by, series)
            for job_id, series in compared.curves.items()
        }
        definitions = networks.definitions(session, [job.network_id for job in found.values()])
    if body.by == "epoch":
        width = compared.grid.width
        axis = np.arange(1, compared.last + 1, width)
    else:
        axis = _even(list(places.values()), sampling.buckets_within(body.points, len(body.metrics)))
    data = [
        _curve(found[job_id], body.by, compared.curves[job_id], places[job_id], axis)
        for job_id in body.jobs
    ]
    definitions_of = [_definition(found[job_id], definitions) for job_id in body.jobs]
    return answer(
        {
            "object": "history_comparison",
            "by": body.by,
            "axis": axis.tolist(),
            "data": data,
            "differences": differences(definitions_of),
        }
    )


def _places(session: Session, job: JobRow, by: str, series: Series) -> Places:
    if by == "update":
        return history_places.updates_at(job, series.at)
    if by == "time":
        return history_places.times_at(session, job, series.at)
    return series.at


def _even(places: Sequence[Places], buckets: int) -> Places:
    """Where so many buckets of one width begin, from 0 to the largest place of all."""
    ends = [np.nanmax(each) for each in places if len(each) and not np.isnan(each).all()]
    if not ends:
        return np.empty(0)
    return np.linspace(0, float(max(ends)), buckets, endpoint=False)


def _curve(job: JobRow, by: str, series: Series, places: Places, axis: Places) -> dict[str, Any]:
    return {
        "object": "history",
        "job": job.id,
        "name": job.name,
        "total": series.total,
        "sampled": series.sampled,
        "epoch": series.at.tolist(),
        **({} if by == "epoch" else {by: json_safe(places)}),
        "series": {name: json_safe(values) for name, values in series.columns.items()},
        "aligned": {
            name: _aligned(places, values, axis) for name, values in series.columns.items()
        },
    }


def _aligned(places: Places, values: Places, axis: Places) -> dict[str, list[Any]]:
    """The smallest and largest value in each bucket of the axis; null where there is none."""
    bucket = np.searchsorted(axis, places, side="right") - 1
    inside = bucket >= 0
    bucket, values = bucket[inside], values[inside]
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    out: dict[str, list[Any]] = {}
    for name, winner in (("min", np.fmin), ("max", np.fmax)):
        column: list[Any] = [None] * len(axis)
        if len(starts):
            extremes = json_safe(winner.reduceat(values, starts).tolist())
            for place, value in zip(bucket[starts].tolist(), extremes, strict=True):
                column[place] = value
        out[name] = column
    return out


def _definition(job: JobRow, networks_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What was asked for, its names left out."""
    network = {k: v for k, v in networks_of[job.network_id].items() if k != "name"}
    asked = {k: job.spec[k] for k in ("dataset", "training", "history", "snapshots")}
    return {"network": network, **asked}
