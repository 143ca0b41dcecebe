"""The contract to read: the OpenAPI document says what is sent, and the page stays at home."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.trace import NetworkTraceSpec
from service.app import create_app


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """The service without a database: documents need none."""
    return create_app(Settings(database_url="sqlite:////nonexistent/none.sqlite")).test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = client.get("/v1/openapi.json").get_json()
    return found


def body_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]["requestBody"]
    return found


def test_every_post_but_a_wish_says_what_its_body_is(document: dict[str, Any]) -> None:
    """
    A wish (cancel, pause, ...) is said by its address alone.
    """
    without = {
        path.rsplit("/", 1)[-1]
        for path, item in document["paths"].items()
        if "requestBody" not in item.get("post", {"requestBody": None})
    }

    assert {"cancel", "drain", "pause", "resume", "retry", "revoke"} == without


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("/v1/networks", NetworkSpec),
        ("/v1/networks/validate", NetworkSpec),
        ("/v1/jobs", JobSpec),
        ("/v1/trace", NetworkTraceSpec),
    ],
)
def test_the_examples_would_be_accepted(
    document: dict[str, Any], path: str, spec: type[Any]
) -> None:
    example = body_of(document, path)["content"]["application/json"]["example"]

    parse(spec, example)  # raises Invalid where it is not


def test_both_forms_of_a_trace_are_described(document: dict[str, Any]) -> None:
    forms = body_of(document, "/v1/trace")["content"]["application/json"]["schema"]["anyOf"]
    names = [form["$ref"].rsplit("/", 1)[-1] for form in forms]

    assert ["NetworkTraceSpec", "JobTraceSpec"] == names
    assert set(names) <= set(document["components"]["schemas"])


def test_every_reference_of_the_document_leads_somewhere(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    text = client.get("/v1/openapi.json").get_data(as_text=True)
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', text))

    assert wanted <= set(document["components"]["schemas"])


def test_headers_have_the_names_that_are_sent(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/jobs"]["post"]["parameters"]

    assert ["Idempotency-Key"] == [p["name"] for p in parameters if p["in"] == "header"]


def test_the_page_asks_for_nothing_outside(client: FlaskClient) -> None:
    """
    What the page names is served here, and its policy forbids the browser everything else.
    """
    page = client.get("/v1/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.get_data(as_text=True))
    policy = page.headers["Content-Security-Policy"]

    assert 200 == page.status_code
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert 5 == len(named)
    for address in named:
        assert address.startswith(("/v1/", "data:"))
        if address.startswith("/v1/"):
            with client.get(address) as answer:
                assert 200 == answer.status_code, address


@pytest.mark.parametrize(
    "path", ["/v1/docs/js/nothing.js", "/v1/docs/js/../__init__.py", "/v1/docs/images/swagger.svg"]
)
def test_no_other_file_is_served(client: FlaskClient, path: str) -> None:
    assert 404 == client.get(path).status_code
