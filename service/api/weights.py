"""/v1/jobs/ID/snapshots and /predict: what was learned, and its use."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from numpy.typing import NDArray

from backpropd.data.scaling import Scaling
from backpropd.export.numbers import json_safe
from backpropd.export.weights import FORMATS, named_weights, theta_of
from backpropd.spec.base import parse
from backpropd.spec.build import build_network
from backpropd.spec.faults import Fault, Invalid, pointer_to
from backpropd.spec.network import NetworkSpec
from backpropd.spec.predict import PredictSpec
from backpropd.store import jobs, networks, snapshots
from backpropd.store.database import Session
from backpropd.store.tables import JobRow, SnapshotRow
from service.answers import answer, tagged, time
from service.auth import tenant
from service.context import database
from service.openapi import BODY, CONFLICT
from service.parameters import JobPath, NoQuery, SnapshotPath, WeightsQuery
from service.representations import PredictionOut, SnapshotList, WeightsOut

api = APIBlueprint("weights", __name__, url_prefix="/v1", abp_tags=[Tag(name="Weights")])

Theta = NDArray[np.floating[Any]]


def load(session: Session, job: JobRow, which: str | int) -> tuple[SnapshotRow, NetworkSpec, Theta]:
    """A snapshot of a job, its network's definition, and its weights theta (P,)."""
    snapshot = snapshots.find(session, job.id, which)
    definition = networks.find(session, job.tenant_id, job.network_id).definition
    content = snapshots.content(session, snapshot)
    theta = theta_of(content, job.spec["training"]["dtype"])
    return snapshot, parse(NetworkSpec, definition), theta


@api.get("/jobs/<job_id>/snapshots", summary="List snapshots", responses={200: SnapshotList})
def list_snapshots(path: JobPath, query: NoQuery) -> Response:
    """Which weights were kept, of which epoch, and why."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        rows = snapshots.all_of(session, job.id)
    data = [_represent(row) for row in rows]
    return answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})


@api.get(
    "/jobs/<job_id>/snapshots/<snapshot>/weights",
    summary="Read weights",
    responses={200: WeightsOut},
)
def get_weights(path: SnapshotPath, query: WeightsQuery) -> Response:
    """Weights as {layer}.weight of shape (units, fan_in) and {layer}.bias of shape (units,)."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        snapshot, network, theta = load(session, job, path.which)
    chosen = FORMATS[query.format]
    about = {"job": job.id, "epoch": snapshot.epoch, "kind": snapshot.kind}
    about = {"object": "weights", **about, "sha256": snapshot.sha256}
    file = f"{job.id}-{snapshot.epoch}.{query.format}"
    out = Response(
        chosen.write(named_weights(network, theta), about),
        content_type=chosen.content_type,
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )
    return tagged(out)


@api.post(
    "/jobs/<job_id>/predict", summary="Predict", responses={200: PredictionOut, **BODY, **CONFLICT}
)
def predict(path: JobPath, body: PredictSpec, query: NoQuery) -> Response:
    """Outputs for rows of inputs, through the very scaling that training used."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        snapshot, spec, theta = load(session, job, body.snapshot)
    _check_rows(body, spec)
    assert job.encoding is not None  # written before the first snapshot
    network = build_network(spec, dtype=job.spec["training"]["dtype"])
    with np.errstate(over="ignore", invalid="ignore"):
        X = Scaling.from_json(job.encoding["scaling"]).apply(np.array(body.inputs))
        Y = network.predict(theta, X.astype(network.dtype))
    about = {"object": "prediction", "job": job.id, "epoch": snapshot.epoch}
    return answer({**about, "outputs": json_safe(Y), **_classes(Y, job.encoding)})


def _classes(Y: Theta, encoding: dict[str, Any]) -> dict[str, Any]:
    """What outputs (N, O) mean in a classification: the class, and how sure the network is."""
    names = encoding["classes"]
    if encoding["task"] != "classification" or names is None:
        return {"classes": None, "probabilities": None}
    if Y.shape[1] == 1:  # one output says how far it is the second class
        Y = np.concatenate([1 - Y, Y], axis=1)
    probabilities = [dict(zip(names, json_safe(row), strict=True)) for row in Y]
    return {"classes": [names[k] for k in Y.argmax(axis=1)], "probabilities": probabilities}


def _check_rows(body: PredictSpec, network: NetworkSpec) -> None:
    faults = [
        Fault(
            pointer_to("inputs", index),
            "shape_mismatch",
            f"{len(row)} values are given; the network takes {network.inputs}.",
        )
        for index, row in enumerate(body.inputs)
        if len(row) != network.inputs
    ]
    if faults:
        raise Invalid(faults[:100])


def _represent(row: SnapshotRow) -> dict[str, Any]:
    which = row.epoch if row.kind == "every" else row.kind
    return {
        "object": "snapshot",
        "id": row.id,
        "created_at": time(row.created_at),
        "job": row.job_id,
        "epoch": row.epoch,
        "kind": row.kind,
        "metrics": row.metrics,
        "bytes": row.size,
        "sha256": row.sha256,
        "links": {"weights": f"/v1/jobs/{row.job_id}/snapshots/{which}/weights"},
    }
