"""Serving the pages: one document for every page, and the files it is made of.

The files lie under an address that holds the hash of them all. So each of them may be kept for
ever, and modules that import each other by relative paths stay of one version, without a build.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, request

FILES = Path(__file__).parent / "static"
SHELL = "index.html"
# Where a page is; what it shows is up to static/app.js.
ADDRESSES = (
    "/",
    "/step-by-step",
    "/compare",
    "/jobs/new",
    "/jobs/<job_id>",
    "/jobs/<job_id>/network",
)
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing from elsewhere, nothing inline, and no text that is taken for markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent."""

    content: bytes
    compressed: bytes
    content_type: str
    etag: str


def install(app: Flask) -> None:
    """Serve the pages."""
    blueprint = Blueprint("web", __name__)
    for address in ADDRESSES:
        blueprint.add_url_rule(address, "page", page)
    blueprint.add_url_rule("/assets/<digest>/<path:name>", "asset", asset)
    Flask.register_blueprint(app, blueprint)


def page(job_id: str = "") -> Response:
    """The document that every page is drawn into."""
    response = _send(shell(), "no-cache")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def asset(digest: str, name: str) -> Response:
    """A file of the pages, of exactly this version."""
    known, files = assets()
    if digest != known or name not in files:
        abort(404)
    return _send(files[name], FOR_EVER)


@cache
def assets() -> tuple[str, dict[str, File]]:
    """The hash of all files, and the files by name."""
    paths = sorted(p for p in FILES.rglob("*") if p.suffix in CONTENT_TYPES and p.name != SHELL)
    files = {str(p.relative_to(FILES)): _file(p.read_bytes(), p.suffix) for p in paths}
    named = "".join(f"{name} {file.etag}\n" for name, file in files.items())
    return hashlib.sha256(named.encode()).hexdigest()[:16], files


@cache
def shell() -> File:
    """The document, with the address under which the files of this version lie."""
    digest, _ = assets()
    text = (FILES / SHELL).read_text(encoding="utf-8").replace("{digest}", digest)
    return _file(text.encode(), ".html")


def _file(content: bytes, suffix: str) -> File:
    etag = hashlib.sha256(content).hexdigest()[:32]
    return File(content, gzip.compress(content, 9, mtime=0), CONTENT_TYPES[suffix], etag)


def _send(file: File, cache_control: str) -> Response:
    """The file, compressed for who can read that; 304 for who has it."""
    response = Response(file.content, content_type=file.content_type)
    response.headers["Cache-Control"] = cache_control
    response.headers["Vary"] = "Accept-Encoding"
    etag = file.etag
    if request.accept_encodings.quality("gzip") > 0:
        response.set_data(file.compressed)
        response.headers["Content-Encoding"] = "gzip"
        etag += "-gzip"
    response.set_etag(etag)
    return response.make_conditional(request)  # type: ignore[return-value]
