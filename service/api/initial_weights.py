"""/v1/weights: weights of elsewhere, to begin trainings with (`initial` of a job)."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.data import sandbox
from backpropd.spec.limits import LIMITS
from backpropd.store import weights
from backpropd.store.tables import WeightsRow
from service.answers import answer, listed, resource, time
from service.auth import tenant
from service.context import database
from service.openapi import BODY
from service.parameters import NoQuery, PageQuery, WeightsPath, WeightsUploadQuery
from service.representations import UploadedWeightsList, UploadedWeightsOut
from service.uploads import received_body
from service.weight_files import ARCHIVE, read_weights

api = APIBlueprint("initial_weights", __name__, url_prefix="/v1", abp_tags=[Tag(name="Weights")])

MEDIA_TYPES = (
    "application/x-npz",
    "application/npz",
    "application/vnd.safetensors",
    "application/octet-stream",
)


@api.post(
    "/weights",
    summary="Upload weights",
    responses={201: UploadedWeightsOut, 200: UploadedWeightsOut, **BODY},
)
def create_weights(query: WeightsUploadQuery) -> Response:
    """Store weights to begin with: 201 for new ones, 200 for content that is there already.

    A NumPy archive or safetensors, with {layer}.weight of shape (units, fan_in), {layer}.bias of
    shape (units,), and whatever else the layers have.
    """
    with received_body(request, MEDIA_TYPES) as folder:
        arrays = sandbox.run(read_weights, folder, LIMITS)
        content = (folder / ARCHIVE).read_bytes()
    with database().write() as session:
        row, new = weights.keep(session, tenant(), content=content, arrays=arrays, name=query.name)
    headers = {"Location": f"/v1/weights/{row.id}"}
    return answer(_represent(row), 201 if new else 200, headers)


@api.get("/weights", summary="List uploaded weights", responses={200: UploadedWeightsList})
def list_weights(query: PageQuery) -> Response:
    """Your uploaded weights, newest first."""
    with database().read() as session:
        page = weights.list_page(session, tenant(), limit=query.limit, cursor=query.cursor)
    return listed(page, _represent)


@api.get(
    "/weights/<weights_id>", summary="Read uploaded weights", responses={200: UploadedWeightsOut}
)
def get_uploaded(path: WeightsPath, query: NoQuery) -> Response:
    """The names and shapes of uploaded weights."""
    with database().read() as session:
        row = weights.find(session, tenant(), path.weights_id)
    return resource(_represent(row))


@api.delete("/weights/<weights_id>", summary="Delete uploaded weights", responses={204: None})
def delete_uploaded(path: WeightsPath, query: NoQuery) -> Response:
    """Delete uploaded weights; jobs that began with them have a copy."""
    with database().write() as session:
        weights.delete(session, tenant(), path.weights_id)
    return Response(status=204)


def _represent(row: WeightsRow) -> dict[str, Any]:
    return {
        "object": "uploaded_weights",
        "id": row.id,
        "created_at": time(row.created_at),
        "name": row.name,
        "sha256": row.sha256,
        "bytes": row.size,
        "arrays": row.arrays,
    }
