"""The contract to read: the OpenAPI document, and Swagger UI over it.

A wheel carries Swagger UI, and the page's policy forbids the browser to load anything from outside
this server.
"""

from __future__ import annotations

from pathlib import Path

import flask_openapi3_swagger
from flask import Blueprint, Flask, Response, send_from_directory

from service.answers import answer, packed, tagged
from service.openapi import Document

SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"
# Swagger UI sets styles on its elements and draws its icons from data: URLs.
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " + (
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>backpropd: the HTTP contract</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/v1/docs/css/swagger-ui.css">
</head>
<body>
<noscript>This page needs scripts; the contract itself is <a href="/v1/openapi.json">here</a>.
</noscript>
<div id="contract"></div>
<script src="/v1/docs/js/swagger-ui-bundle.js"></script>
<script src="/v1/docs/start.js"></script>
</body>
</html>
"""
# No validatorUrl: Swagger UI would otherwise ask a server elsewhere about the document.
START = """SwaggerUIBundle({
  url: "/v1/openapi.json", dom_id: "#contract", deepLinking: true, validatorUrl: null,
  defaultModelsExpandDepth: 0, displayRequestDuration: true
});
"""


def install(app: Document) -> None:
    """Serve the document and the page."""
    blueprint = Blueprint("documents", __name__, url_prefix="/v1")
    blueprint.add_url_rule("/openapi.json", "openapi", lambda: tagged(packed(answer(app.api_doc))))
    blueprint.add_url_rule("/docs", "page", page)
    blueprint.add_url_rule("/docs/start.js", "start", start)
    blueprint.add_url_rule("/docs/<any(css, js):kind>/<name>", "asset", asset)
    Flask.register_blueprint(app, blueprint)


def page() -> Response:
    """Swagger UI."""
    response = Response(PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def start() -> Response:
    """What makes Swagger UI show our document."""
    return Response(START, mimetype="text/javascript")


def asset(kind: str, name: str) -> Response:
    """A file of Swagger UI's."""
    return send_from_directory(SWAGGER / kind, name)
