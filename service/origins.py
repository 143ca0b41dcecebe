"""Requests that a browser makes for a foreign page are refused.

A page elsewhere can make its visitor's browser ask a server on the visitor's own machine: by a form
(cross-site request), or by a name that it lets point to 127.0.0.1 (DNS rebinding). The first shows
in Origin and Sec-Fetch-Site, the second in Host.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.sansio.utils import host_is_trusted

from service.context import context
from service.problems import Refusal

LOOPBACK = ("localhost", ".localhost", "127.0.0.1")
LOOPBACK_6 = "[::1]"
SAFE = {"GET", "HEAD", "OPTIONS"}


def install(app: Flask) -> None:
    """Refuse foreign hosts, and whatever would write and comes from a foreign page."""

    @app.before_request
    def check_host() -> None:
        settings = context().settings
        if settings.hosts:
            trusted = host_is_trusted(request.host, settings.hosts)
        else:
            trusted = settings.keys_required or _is_loopback(request.host)
        if not trusted:
            detail = "This server is not asked under this name; see BACKPROPD_TRUSTED_HOSTS."
            raise Refusal(421, "misdirected", detail)

    @app.before_request
    def check_origin() -> None:
        if request.method in SAFE:
            return
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        if foreign or request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            detail = "A page of another site may not ask for this."
            raise Refusal(403, "cross_site", detail)


def _is_loopback(host: str) -> bool:
    valid = host_is_trusted(host)
    return host_is_trusted(host, LOOPBACK) or (valid and host.startswith(LOOPBACK_6))
