"""Every refusal as one kind of document: RFC 9457, `application/problem+json`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask, Response, g
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import HTTPException

from backpropd.data.table import Damaged
from backpropd.spec.base import cut_off, faults_from
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.search import BadSearch
from backpropd.store.errors import (
    Busy,
    Corrupt,
    IdempotencyConflict,
    InUse,
    NotFound,
    WrongState,
)

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 1


class FaultOut(BaseModel):
    """One thing wrong with a request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body; /NAME of a parameter.")
    code: str = Field(description="For programs.")
    detail: str = Field(description="For people.")
    position: int | None = Field(
        default=None, description="Of a filter or an order: the character, counted from 1."
    )


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FaultOut] | None = Field(default=None, description="All faults of the request.")
    allowed_actions: list[str] | None = Field(default=None, description="With 409.")
    jobs: list[str] | None = Field(default=None, description="With 409: who needs it.")


class Refusal(Exception):
    """A request that is refused before it means anything."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.headers = headers or {}


class BadParameter(Exception):
    """A filter or an order that cannot be read, as the value of a parameter."""

    def __init__(self, name: str, error: BadSearch) -> None:
        self.detail = f"{name}: {error}"
        self.fault = {
            "pointer": f"/{name}",
            "code": "bad_search",
            "detail": error.detail,
            "position": error.position,
        }


TITLES = {
    400: "Bad request",
    401: "No valid key",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Invalid",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


def document(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """A problem as a JSON object."""
    return {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(g, "request_id", ""),
        **more,
    }


def response(status: int, code: str, detail: str, **more: Any) -> Response:
    """A problem as an answer."""
    return as_response(document(status, code, detail, **more))


def as_response(problem: dict[str, Any]) -> Response:
    """A problem document as an answer."""
    answer = Response(
        json.dumps(problem, allow_nan=False), problem["status"], content_type=CONTENT_TYPE
    )
    if problem["status"] == 503:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    if problem["status"] == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def of_faults(faults: Sequence[Fault]) -> dict[str, Any]:
    """The problem that a request with these faults has."""
    if len(faults) == 1:
        detail = faults[0].detail
    else:
        detail = f"{len(faults)} faults: see errors."
    errors = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in faults]
    return document(422, "invalid", detail, errors=errors)


def of_exception(error: Exception) -> dict[str, Any]:
    """The problem that an exception is to the client; what nobody foresaw tells no more."""
    for kind, describe in _KNOWN.items():
        if isinstance(error, kind):
            return describe(error)
    log.error("unforeseen", exc_info=error)
    return document(500, "internal", "The server met an error that was not foreseen.")


def of_validation(error: ValidationError) -> Response:
    """For the framework: pydantic's errors as an answer."""
    return as_response(of_faults(cut_off(faults_from(error))))


def install(app: Flask) -> None:
    """Let every exception of the app become a problem document."""

    @app.errorhandler(Exception)
    def on_error(error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.code is None and error.response is not None:
            ready: Response = error.response  # type: ignore[assignment]
            return ready
        answer = as_response(of_exception(error))
        if isinstance(error, Refusal):
            answer.headers.update(error.headers)
        if isinstance(error, HTTPException):
            for name, value in error.get_headers():
                if name.lower() == "allow":
                    answer.headers[name] = value
        return answer


def _corrupt(error: Corrupt | Damaged) -> dict[str, Any]:
    log.error("stored content is damaged", exc_info=error)
    return document(500, "corrupt", str(error))


def _of_http(error: HTTPException) -> dict[str, Any]:
    status = error.code or 500
    codes = {
        400: "bad_request",
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
        415: "unsupported_media_type",
    }
    details = {
        404: "There is nothing at this address.",
        413: "The body is larger than what GET /v1/limits allows.",
    }
    detail = details.get(status) or (error.description or "The request was refused.")
    return document(status, codes.get(status, "refused"), detail)


_KNOWN: dict[type[Exception], Callable[[Any], dict[str, Any]]] = {
    Invalid: lambda e: of_faults(e.faults),
    BadParameter: lambda e: document(400, "bad_search", e.detail, errors=[e.fault]),
    Refusal: lambda e: document(e.status, e.code, e.detail),
    NotFound: lambda e: document(404, "not_found", str(e)),
    WrongState: lambda e: document(409, "wrong_state", str(e), allowed_actions=e.allowed_actions),
    InUse: lambda e: document(409, "in_use", str(e), jobs=e.jobs),
    IdempotencyConflict: lambda e: document(422, "idempotency_conflict", str(e)),
    Busy: lambda e: document(503, "busy", str(e)),
    # The limit that service/gunicorn_conf.py sets on every connection.
    BlockingIOError: lambda e: document(408, "too_slow", "The rest of the body did not come."),
    Corrupt: _corrupt,
    Damaged: _corrupt,
    HTTPException: _of_http,
}
