"""The application: blueprints, problem documents, and what every answer carries."""

from __future__ import annotations

import re
import uuid

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from backpropd.settings import Settings
from backpropd.spec.limits import LIMITS
from backpropd.store.database import Database
from service import auth, documents, origins, problems, rates
from service.api import (
    catalog,
    datasets,
    descendants,
    evaluation,
    health,
    history,
    jobs,
    keys,
    networks,
    trace,
    weights,
)
from service.bell import Bell
from service.context import Context, attach
from service.openapi import Document
from service.requests import StrictRequest
from service.web import pages

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
FORM_MEMORY_BYTES = 512 * 1024  # of the fields beside a file
FORM_PARTS = 20


def create_app(
    settings: Settings, *, database: Database | None = None, bell: Bell | None = None
) -> Flask:
    """The HTTP service on the database and broker of these settings, or on those given."""
    app = Document(__name__)
    app.request_class = StrictRequest
    app.url_map.merge_slashes = False  # an address with a doubled slash is another address
    app.config.update(
        MAX_CONTENT_LENGTH=LIMITS.body_bytes,
        MAX_FORM_MEMORY_SIZE=FORM_MEMORY_BYTES,
        MAX_FORM_PARTS=FORM_PARTS,
    )
    database = database or Database(settings.database_url)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies
        )
    attach(app, Context(settings, database, bell or Bell(settings.broker_url)))
    problems.install(app)
    _install_headers(app)
    rates.install(app)
    origins.install(app)
    for noun in (
        networks,
        datasets,
        jobs,
        descendants,
        history,
        weights,
        evaluation,
        trace,
        catalog,
        keys,
        health,
    ):
        app.register_api(noun.api)
    documents.install(app)
    pages.install(app)
    auth.install(app, rates.Rates(settings.rate_per_key))
    return app


def _install_headers(app: Flask) -> None:
    @app.before_request
    def name_request() -> None:
        asked = request.headers.get("X-Request-Id", "")
        g.request_id = asked if REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex

    @app.before_request
    def refuse_encoded() -> None:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            detail = f"Send the body as it is; Content-Encoding {encoding[:40]!r} is not read."
            raise problems.Refusal(415, "unsupported_encoding", detail)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response
