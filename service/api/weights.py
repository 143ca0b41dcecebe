"""/v1/jobs/ID/snapshots: what was learned, in every format."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.export.model import MissingExtra
from backpropd.export.steps import NotExportable
from backpropd.export.weights import FORMATS
from backpropd.spec.faults import Fault, Invalid
from backpropd.store import jobs, snapshots
from backpropd.store.tables import SnapshotRow
from service.answers import answer, tagged, time
from service.auth import tenant
from service.context import database
from service.models import load_model
from service.parameters import JobPath, NoQuery, SnapshotPath, WeightsQuery
from service.problems import Refusal
from service.representations import SnapshotList, WeightsOut

api = APIBlueprint("weights", __name__, url_prefix="/v1", abp_tags=[Tag(name="Weights")])


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
    """Weights as {layer}.weight of shape (units, fan_in) and {layer}.bias of shape (units,).

    An ONNX graph and a Python file hold the whole way from raw values to classes or units, too.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        snapshot, model = load_model(session, job, path.which)
    chosen = FORMATS[query.format]
    file = f"{job.id}-{snapshot.epoch}.{chosen.ending}"
    try:
        content = chosen.write(model)
    except NotExportable as error:
        raise Invalid([Fault("/format", "not_exportable", f"{error}.")]) from None
    except MissingExtra as error:
        raise Refusal(406, "not_installed", f"{error}.") from None
    out = Response(
        content,
        content_type=chosen.content_type,
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )
    return tagged(out)


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
