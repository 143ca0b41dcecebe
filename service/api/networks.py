"""/v1/networks: definitions, immutable once made."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.base import parse
from backpropd.spec.faults import Invalid
from backpropd.spec.network import NetworkSpec
from backpropd.store import networks
from backpropd.store.searchable import NETWORK_FIELDS
from backpropd.store.tables import NetworkRow
from service.answers import answer, listed, resource, time
from service.auth import tenant
from service.context import database
from service.openapi import BODY, CONFLICT
from service.parameters import NetworkPath, NoQuery, SearchQuery
from service.representations import NetworkList, NetworkOut, NetworkVerdict
from service.search import searched

api = APIBlueprint("networks", __name__, url_prefix="/v1", abp_tags=[Tag(name="Networks")])


def represent(row: NetworkRow) -> dict[str, Any]:
    """A network as the contract shows it."""
    spec = parse(NetworkSpec, row.definition)
    return {
        "object": "network",
        "id": row.id,
        "created_at": time(row.created_at),
        "name": row.name,
        "definition": row.definition,
        "sha256": row.sha256,
        "parameter_count": row.parameter_count,
        "layer_shapes": spec.layer_shapes(),
        "flops_per_sample": spec.flops_per_sample,
    }


@api.post("/networks", summary="Define a network", responses={201: NetworkOut, **BODY})
def create_network(body: NetworkSpec, query: NoQuery) -> Response:
    """Store a definition. A layer without weights is initialised from each job's seed."""
    with database().write() as session:
        row = networks.create(
            session,
            tenant(),
            definition=body.definition(),
            parameter_count=body.parameter_count,
        )
    return answer(represent(row), 201, {"Location": f"/v1/networks/{row.id}"})


@api.post("/networks/validate", summary="Check a definition", responses={200: NetworkVerdict})
def validate_network(query: NoQuery) -> Response:
    """Say whether a definition is valid, with every fault in it; nothing is stored."""
    try:
        spec = parse(NetworkSpec, request.get_json())
    except Invalid as invalid:
        errors = [
            {"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in invalid.faults
        ]
        nothing = dict.fromkeys(("parameter_count", "layer_shapes", "flops_per_sample"))
        return answer({"valid": False, "errors": errors, **nothing})
    return answer(
        {
            "valid": True,
            "errors": [],
            "parameter_count": spec.parameter_count,
            "layer_shapes": spec.layer_shapes(),
            "flops_per_sample": spec.flops_per_sample,
        }
    )


@api.get("/networks", summary="List networks", responses={200: NetworkList})
def list_networks(query: SearchQuery) -> Response:
    """Your networks that the filter finds, newest first where no order is given."""
    asked = searched(query, NETWORK_FIELDS)
    with database().read() as session:
        page = networks.list_page(session, tenant(), **asked)
    return listed(page, represent)


@api.get("/networks/<network_id>", summary="Read a network", responses={200: NetworkOut})
def get_network(path: NetworkPath, query: NoQuery) -> Response:
    """A definition with every default filled in."""
    with database().read() as session:
        row = networks.find(session, tenant(), path.network_id)
    return resource(represent(row))


@api.delete("/networks/<network_id>", summary="Delete a network", responses={204: None, **CONFLICT})
def delete_network(path: NetworkPath, query: NoQuery) -> Response:
    """Delete a network that no job needs."""
    with database().write() as session:
        networks.delete(session, tenant(), path.network_id)
    return Response(status=204)
