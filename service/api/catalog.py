"""/v1/catalog: every part of the engine, from its own definition."""

from __future__ import annotations

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.parts import catalog
from service.answers import answer, packed, tagged
from service.parameters import NoQuery
from service.representations import CatalogOut

api = APIBlueprint("catalog", __name__, url_prefix="/v1", abp_tags=[Tag(name="Service")])


@api.get("/catalog", summary="List every part", responses={200: CatalogOut})
def get_catalog(query: NoQuery) -> Response:
    """Activations, losses, optimizers and the rest: formula, source, settings and defaults."""
    return tagged(packed(answer({"object": "catalog", "parts": catalog()})))
