"""The application: blueprints, problem documents, and what every answer carries."""

from __future__ import annotations

import logging
import re
import uuid

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from backpropd import logs
from backpropd.settings import Settings
from backpropd.spec.limits import LIMITS
from backpropd.store.database import Database
from service import auth, documents, metrics, origins, problems, rates
from service.api import (
    catalog,
    comparison,
    datasets,
    descendants,
    evaluation,
    health,
    history,
    initial_weights,
    jobs,
    keys,
    networks,
    predictions,
    trace,
    weights,
    workers,
)
from service.api import streams as streams_api
from service.bell import Bell
from service.context import Context, attach
from service.handover import Handover
from service.openapi import Document
from service.requests import StrictRequest
from service.streams import Streams
from service.web import pages

log = logging.getLogger(__name__)

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
    streams = Streams(database)
    app.wsgi_app = Handover(app.wsgi_app, streams)  # type: ignore[method-assign]
    attach(app, Context(settings, database, bell or Bell(settings.broker_url), streams))
    problems.install(app)
    _install_headers(app)
    metrics.install(app)
    rates.install(app)
    origins.install(app)
    for noun in (
        networks,
        datasets,
        jobs,
        streams_api,
        descendants,
        history,
        comparison,
        weights,
        initial_weights,
        predictions,
        evaluation,
        trace,
        catalog,
        keys,
        workers,
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
        logs.unbind()
        logs.bind(request_id=g.request_id)

    @app.before_request
    def refuse_encoded() -> None:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            detail = f"Send the body as it is; Content-Encoding {encoding[:40]!r} is not read."
            raise problems.Refusal(415, "unsupported_encoding", detail)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        said = ("%s %s %d", request.method, request.path, response.status_code)
        log.log(_level(response.status_code), *said, extra={"key": _key()})
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _level(status: int) -> int:
    """Reads, and requests that were refused, are told on demand: they come in floods."""
    changed = request.method not in ("GET", "HEAD", "OPTIONS") and status < 400
    return logging.INFO if changed or status >= 500 else logging.DEBUG


def _key() -> str | None:
    """Whose key the request came with, for the log."""
    return g.principal.key_id if "principal" in g else None
