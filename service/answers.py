"""Writing answers: strict JSON with ETags, one form for lists, times and numbers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Response, request

from backpropd.store.paging import Page


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer. What holds numbers that may be NaN is made json_safe by its writer."""
    return Response(encoded(body), status, headers, content_type="application/json")


def encoded(body: Any) -> bytes:
    """Strict JSON; arrays of finite numbers are written as they are."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def resource(body: Any) -> Response:
    """One resource, with an ETag that If-None-Match is compared to."""
    return tagged(answer(body))


def tagged(out: Response) -> Response:
    """The answer with an ETag of its content; 304 where If-None-Match has it."""
    out.set_etag(hashlib.sha256(out.get_data()).hexdigest()[:32])
    return out.make_conditional(request)  # type: ignore[return-value]


def packed(out: Response) -> Response:
    """The answer, compressed for who can read that: for large ones that hold no secret."""
    out.headers["Vary"] = "Accept-Encoding"
    if request.accept_encodings.quality("gzip") > 0:
        out.set_data(gzip.compress(out.get_data(), mtime=0))
        out.headers["Content-Encoding"] = "gzip"
    return out


def listed(page: Page[Any], represent: Callable[[Any], dict[str, Any]]) -> Response:
    """A page of a list."""
    return answer(
        {
            "object": "list",
            "data": [represent(row) for row in page.rows],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
    )


def time(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if instant is None:
        return None
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
