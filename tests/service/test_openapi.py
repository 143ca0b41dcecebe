"""The OpenAPI document against the service: what it says of each operation is what is answered.

A new operation fails here by name until a real call of it is written down.
"""

from __future__ import annotations

import copy
import io
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from safetensors.numpy import save as safetensors
from werkzeug.test import TestResponse

from backpropd.store import workers
from tests.jobs import MAZUR, iris_job, mazur_job
from tests.service.client import PROBLEM
from tests.service.conftest import Service, key_of

CSV = b"a,b,kind\n1,2,x\n3,4,y\n5,6,x\n"
STEP = {"network": MAZUR, "inputs": [0.05, 0.10], "targets": [0.01, 0.99]}
SAFETENSORS = "application/vnd.safetensors"
NOT_OPERATIONS = ("/v1/openapi.json", "/v1/docs")  # the document itself, and the page that shows it

PARAMETER = re.compile(r"<(?:[^:>]+:)?([^>]+)>")  # in an address as Flask writes it


@dataclass(frozen=True)
class Call:
    """A real request; {names} in its address are those of `Ids`."""

    operation: str
    status: int = 200
    query: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


def body(value: Any) -> dict[str, Any]:
    return {"json": value}


def csv_body() -> dict[str, Any]:
    return {"data": CSV, "content_type": "text/csv"}


def archive() -> dict[str, Any]:
    out = io.BytesIO()
    np.savez(out, **{"output.weight": np.eye(2)})
    return {"data": out.getvalue(), "content_type": "application/x-npz"}


def flowers() -> dict[str, Any]:
    return {"data": b"5.1,3.5,1.4,0.2\n", "content_type": "text/csv"}


CALLS = [
    Call("GET /healthz"),
    Call("GET /readyz"),
    Call("GET /v1/limits"),
    Call("GET /v1/catalog"),
    Call("POST /v1/networks", 201, options=body(MAZUR)),
    Call("POST /v1/networks", 422, options=body({"inputs": 0})),
    Call("POST /v1/networks", 400, options={"data": "{", "content_type": "application/json"}),
    Call("POST /v1/networks", 415, options={"data": "{}", "content_type": "text/plain"}),
    Call("POST /v1/networks/validate", options=body(MAZUR)),
    Call("POST /v1/networks/validate", options=body({"inputs": 0})),
    Call("GET /v1/networks"),
    Call("GET /v1/networks", query="?limit=1"),
    Call("GET /v1/networks/{network_id}"),
    Call("GET /v1/networks/{network_id}", 404, ids={"network_id": "net_x"}),
    Call("DELETE /v1/networks/{network_id}", 409),
    Call("DELETE /v1/networks/{network_id}", 204, ids={"network_id": "{unused_network}"}),
    Call("POST /v1/datasets", 201, options=csv_body()),
    Call("POST /v1/datasets", 200, options=csv_body()),
    Call("POST /v1/datasets", 200, "?validate_only=true", options=csv_body()),
    Call("POST /v1/datasets", 422, "?targets=c", options=csv_body()),
    Call("POST /v1/datasets", 201, options=body({"inputs": [[1]], "targets": [[2.5]]})),
    Call("GET /v1/datasets"),
    Call("GET /v1/datasets/builtin"),
    Call("GET /v1/datasets/{dataset_id}"),
    Call("GET /v1/datasets/{dataset_id}/schema"),
    Call("GET /v1/datasets/{dataset_id}/rows", query="?limit=3"),
    Call("DELETE /v1/datasets/{dataset_id}", 409),
    Call("DELETE /v1/datasets/{dataset_id}", 204, ids={"dataset_id": "{unused_dataset}"}),
    Call("POST /v1/jobs", 202, options=body(mazur_job())),
    Call("POST /v1/jobs", 200, "?validate_only=true", options=body(iris_job())),
    Call("POST /v1/jobs", 422, options=body({})),
    Call("POST /v1/jobs/batch", options=body({"jobs": [mazur_job(), {}]})),
    Call("GET /v1/jobs"),
    Call("GET /v1/jobs", query="?limit=1"),
    Call("GET /v1/jobs", 422, "?limit=0"),
    Call("GET /v1/jobs/{job_id}"),
    Call("GET /v1/jobs/{job_id}", ids={"job_id": "{waiting}"}),
    Call("GET /v1/jobs/{job_id}", ids={"job_id": "{diverged}"}),
    Call("GET /v1/jobs/{job_id}", 404, ids={"job_id": "job_x"}),
    Call("GET /v1/jobs/{job_id}/attempts"),
    Call("GET /v1/jobs/{job_id}/events"),
    Call("GET /v1/jobs/{job_id}/events", query="?limit=1"),
    Call("GET /v1/jobs/{job_id}/events/stream"),
    Call("POST /v1/jobs/{job_id}/pause", 202, ids={"job_id": "{waiting}"}),
    Call("POST /v1/jobs/{job_id}/resume", 202, ids={"job_id": "{waiting}"}),
    Call("POST /v1/jobs/{job_id}/retry", 202, ids={"job_id": "{waiting}"}),
    Call("POST /v1/jobs/{job_id}/cancel", 202, ids={"job_id": "{waiting}"}),
    Call("POST /v1/jobs/{job_id}/cancel", 409),
    Call("POST /v1/jobs/{job_id}/extend", 202, options=body({"epochs": 3})),
    Call("POST /v1/jobs/{job_id}/clone", 202, options=body({"training": {"epochs": 3}})),
    Call("DELETE /v1/jobs/{job_id}", 204, ids={"job_id": "{waiting}"}),
    Call("GET /v1/jobs/{job_id}/history"),
    Call("GET /v1/jobs/{job_id}/history", query="?points=12"),
    Call("GET /v1/jobs/{job_id}/history", query="?format=csv"),
    Call("GET /v1/jobs/{job_id}/history", query="?format=ndjson"),
    Call("GET /v1/jobs/{job_id}/history", query="?format=npz"),
    Call("GET /v1/jobs/{job_id}/history", ids={"job_id": "{diverged}"}),
    Call("GET /v1/jobs/{job_id}/layers"),
    Call("GET /v1/jobs/{job_id}/history", query="?by=update&from=2"),
    Call("GET /v1/jobs/{job_id}/history", query="?by=time&from=0"),
    Call("GET /v1/jobs/{job_id}/history", query="?format=parquet"),
    Call("GET /v1/jobs/{job_id}/batches"),
    Call("GET /v1/jobs/{job_id}/confusion"),
    Call("POST /v1/history/compare", options=body({"jobs": ["{job_id}"]})),
    Call("POST /v1/history/compare", options=body({"jobs": ["{job_id}"], "by": "time"})),
    Call("GET /v1/jobs/{job_id}/snapshots"),
    Call("GET /v1/jobs/{job_id}/snapshots", ids={"job_id": "{diverged}"}),
    Call("GET /v1/jobs/{job_id}/snapshots/{snapshot}/weights"),
    *(
        Call("GET /v1/jobs/{job_id}/snapshots/{snapshot}/weights", query=f"?format={each}")
        for each in ("npz", "safetensors", "onnx", "python")
    ),
    Call("POST /v1/jobs/{job_id}/predict", options=body({"inputs": [[5.1, 3.5, 1.4, 0.2]]})),
    Call("POST /v1/jobs/{job_id}/predict", query="?format=csv", options=flowers()),
    Call("POST /v1/jobs/{job_id}/predict", 422, options=csv_body()),
    Call("POST /v1/jobs/{job_id}/evaluate", options=body({"dataset": "builtin:iris"})),
    Call("POST /v1/jobs/{job_id}/evaluate", 422, options=body({"dataset": "builtin:wine"})),
    Call("POST /v1/weights", 201, options=archive()),
    Call("POST /v1/weights", 200, options=archive()),
    Call("POST /v1/weights", 422, options={"data": b"x", "content_type": "application/x-npz"}),
    Call("POST /v1/weights", 415, options=csv_body()),
    Call("GET /v1/weights"),
    Call("GET /v1/weights/{weights_id}"),
    Call("GET /v1/weights/{weights_id}", 404, ids={"weights_id": "wts_x"}),
    Call("DELETE /v1/weights/{weights_id}", 204),
    Call("POST /v1/trace", options=body(STEP)),
    Call("POST /v1/trace", options=body({"job": "{job_id}"})),
    Call("POST /v1/trace", 422, options=body({})),
    Call("GET /metrics"),
    Call("GET /v1/workers"),
    Call("POST /v1/workers/{worker_id}/drain", 202),
    Call("POST /v1/workers/{worker_id}/resume", 202),
    Call("POST /v1/workers/{worker_id}/drain", 404, ids={"worker_id": "nobody"}),
    Call("GET /v1/whoami"),
    Call("GET /v1/whoami", 401),
    Call("POST /v1/keys/{key_id}/rotate", 201, options=body({"overlap_seconds": 60})),
    Call("POST /v1/keys/{key_id}/rotate", 422, options=body({"overlap_seconds": -1})),
    Call("POST /v1/keys/{key_id}/revoke"),
    Call("POST /v1/keys/{key_id}/revoke", 404, ids={"key_id": "key_x"}),
    Call("GET /v1/keys"),
    Call("GET /v1/audit"),
    Call("POST /v1/keys", 422, options=body({"owner": "A"})),
    Call("POST /v1/keys", 201, options=body({"owner": "a"})),
]


def diverging() -> dict[str, Any]:
    return {
        "network": {"inputs": 1, "layers": [{"units": 1, "activation": "linear"}]},
        "dataset": {"inputs": [[1e3], [2e3]], "targets": [[1.0], [5.0]]},
        "training": {
            "epochs": 1000,
            "loss": "mean_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 1e3},
        },
    }


def worker_of(service: Service) -> str:
    """A worker that is there."""
    with service.database.write() as session:
        workers.seen(session, "w", host="here", version="1", queue="cpu", slots=1)
    return "w"


def stored(service: Service) -> dict[str, str]:
    """What the calls need, and its ids."""
    job = service.trained(iris_job() | {"history": {"layers": True, "batches": True}})
    diverged = service.trained(diverging())
    files = {"file": (io.BytesIO(b"a,b\n1,2.5\n"), "x.csv")}
    dataset = service.client.post("/v1/datasets", data=files).get_json()
    return {
        "job_id": job["id"],
        "network_id": job["network_id"],
        "dataset_id": job["dataset_id"],
        "snapshot": "final",
        "worker_id": worker_of(service),
        "waiting": service.submit(mazur_job())["id"],
        "diverged": diverged["id"],
        # A key, at the end: from then on nothing is answered without one.
        "unused_network": service.client.post("/v1/networks", json=MAZUR).get_json()["id"],
        "unused_dataset": dataset["id"],
        "key_id": key_of(service, "somebody")[0],
        "authorization": key_of(service, "local", "read", "write", "admin")[1]["Authorization"],
        "weights_id": service.client.post(
            "/v1/weights", data=safetensors({"a": np.zeros(1)}), content_type=SAFETENSORS
        ).get_json()["id"],
    }


@pytest.fixture(scope="module")
def document(taught: Service) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = taught.client.get("/v1/openapi.json").get_json()
    return found


def operations(document: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The value with every {name} in its texts replaced."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda name: ids[name[1]], value)
    if isinstance(value, dict):
        return {name: filled(item, ids) for name, item in value.items()}
    return [filled(item, ids) for item in value] if isinstance(value, list) else value


def send(service: Service, call: Call, ids: dict[str, str]) -> TestResponse:
    method, template = call.operation.split(" ")
    path = filled(template, ids | filled(call.ids, ids)) + call.query
    headers = {} if call.status == 401 else {"Authorization": ids["authorization"]}
    options = {"headers": headers, **filled(call.options, ids)}
    return service.client.open(path, method=method, **options)


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The schemas, with nothing allowed in an object that they do not name."""
    schemas = copy.deepcopy(document["components"])
    for schema in schemas["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return schemas


def held_against(document: dict[str, Any], call: Call, answer: TestResponse) -> list[str]:
    """Where the answer is not what the document says of this operation and status."""
    method, path = call.operation.split(" ")
    described = document["paths"][path][method.lower()]["responses"].get(str(answer.status_code))
    if described is None:
        return [f"{answer.status_code} is not described"]
    if answer.status_code == 204:
        return [] if not answer.get_data() else ["204 has a body"]
    media = described["content"].get(answer.mimetype)
    if media is None:
        return [f"{answer.status_code} as {answer.mimetype} is not described"]
    if answer.mimetype not in ("application/json", PROBLEM):
        return []
    schema = {"components": closed(document), **media["schema"]}
    found = Draft202012Validator(schema).iter_errors(answer.get_json())
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def test_every_answer_is_what_the_document_says(service: Service, document: dict[str, Any]) -> None:
    """
    Status, media type and body, where no field may be missing or one too many.
    """
    ids = stored(service)
    wrong = {}
    for call in CALLS:
        answer = send(service, call, ids)
        name = f"{call.operation}{call.query} {answer.status_code}"
        assert call.status == answer.status_code, (name, answer.get_data(as_text=True)[:500])
        if found := held_against(document, call, answer):
            wrong[name] = found

    assert {} == wrong


def test_every_operation_is_called(document: dict[str, Any]) -> None:
    """
    And each that does something is called where it succeeds.
    """
    assert set() == operations(document) - {call.operation for call in CALLS if call.status < 400}


def test_every_route_is_an_operation(service: Service, document: dict[str, Any]) -> None:
    routes = {
        f"{method} {PARAMETER.sub(lambda name: '{' + name[1] + '}', rule.rule)}"
        for rule in service.client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(NOT_OPERATIONS) and not rule.endpoint.startswith("web.")
    }

    assert operations(document) == routes


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)

    assert document["openapi"].startswith("3.1")


def test_every_operation_is_described_and_named_once(document: dict[str, Any]) -> None:
    described = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in described]

    assert len(names) == len(set(names))
    for operation in described:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    undescribed = [
        (path, method, parameter["name"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]

    assert [] == undescribed


def test_a_body_that_the_document_forbids_is_refused_and_one_it_allows_is_not(
    service: Service, document: dict[str, Any]
) -> None:
    """
    The document's schema of a job, asked the same questions as the service.
    """
    content = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    schema = {"components": document["components"], **content["application/json"]["schema"]}
    schema.pop("example", None)
    validator = Draft202012Validator(schema)
    for job in (mazur_job(), iris_job(), diverging()):
        assert [] == [error.message for error in validator.iter_errors(job)]
        assert 202 == service.client.post("/v1/jobs", json=job).status_code
    for bad in (mazur_job(epochs=0), mazur_job(loss="mse"), {}, mazur_job() | {"prioritty": 1}):
        assert not validator.is_valid(bad)
        assert 422 == service.client.post("/v1/jobs", json=bad).status_code
