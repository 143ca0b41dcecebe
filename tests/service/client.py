"""A client that holds every answer against what the contract says of all of them."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PROBLEM = "application/problem+json"


class CheckingClient(FlaskClient):
    """Flask's test client; an answer that breaks the contract fails the test that got it."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        answer = super().open(*args, **options)
        check(answer)
        return answer


def check(answer: TestResponse) -> None:
    """Strict JSON, a request id, the headers of safety; a refusal is a problem document."""
    assert answer.headers["X-Request-Id"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "DENY" == answer.headers["X-Frame-Options"]
    assert "no-referrer" == answer.headers["Referrer-Policy"]
    readable = "json" in (answer.content_type or "") and "Content-Encoding" not in answer.headers
    text = answer.get_data(as_text=True) if readable else None
    if text and answer.mimetype != "application/x-ndjson":
        strict(text)
    if answer.status_code >= 400 and answer.request.path != "/readyz":
        _check_problem(answer)


def strict(text: str) -> Any:
    """The JSON value of a text that is strictly JSON: without NaN and Infinity."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def _check_problem(answer: TestResponse) -> None:
    assert PROBLEM == answer.content_type
    if answer.request.method == "HEAD":
        return
    problem = strict(answer.get_data(as_text=True))
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert answer.status_code == problem["status"]
    assert answer.headers["X-Request-Id"] == problem["request_id"]
    assert "Traceback" not in answer.get_data(as_text=True)
    for fault in problem.get("errors", []):
        assert {"pointer", "code", "detail"} == set(fault) - {"position"}
        assert fault["pointer"] == "" or fault["pointer"].startswith("/")


def faults(answer: TestResponse) -> dict[str, str]:
    """Pointer -> code of every fault of a request that means nothing."""
    assert 422 == answer.status_code, answer.get_data(as_text=True)
    return {fault["pointer"]: fault["code"] for fault in answer.get_json()["errors"]}


def details(answer: TestResponse) -> str:
    """What a refusal says to a person, all of it."""
    problem = answer.get_json()
    assert "errors" in problem, problem
    return "\n".join(fault["detail"] for fault in problem["errors"])
