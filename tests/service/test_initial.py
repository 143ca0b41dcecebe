"""Warm starts: a training that begins with the weights of another job, or of a file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from werkzeug.test import TestResponse

from tests.jobs import iris_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service

NPZ, SAFETENSORS = "application/x-npz", "application/vnd.safetensors"


def upload(
    client: CheckingClient, content: bytes, kind: str = NPZ, query: str = ""
) -> TestResponse:
    return client.post(f"/v1/weights{query}", data=content, content_type=kind)


def archive(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{name.replace("__", "."): array for name, array in arrays.items()})
    return out.getvalue()


def weights_of(client: CheckingClient, job: str, snapshot: str | int) -> dict[str, Any]:
    path = f"/v1/jobs/{job}/snapshots/{snapshot}/weights"
    found: dict[str, Any] = client.get(path).get_json()["weights"]
    return found


def begun(service: Service, initial: dict[str, Any], **training: Any) -> dict[str, Any]:
    return service.trained(iris_job(epochs=2, **training) | {"initial": initial})


@pytest.mark.parametrize("snapshot", ["final", "best", "initial", 10])
def test_a_training_begins_with_any_snapshot_of_any_job(
    taught: Service, iris_trained: dict[str, Any], snapshot: str | int
) -> None:
    job = begun(taught, {"job": iris_trained["id"], "snapshot": snapshot})

    assert "succeeded" == job["status"]
    assert {"job": iris_trained["id"], "snapshot": snapshot, "layers": None} == job["initial"]
    assert weights_of(taught.client, iris_trained["id"], snapshot) == weights_of(
        taught.client, job["id"], "initial"
    )
    assert weights_of(taught.client, job["id"], "initial") != weights_of(
        taught.client, job["id"], "final"
    )


@pytest.mark.parametrize("kind", [NPZ, SAFETENSORS])
def test_a_training_begins_with_a_file_that_was_exported(
    taught: Service, iris_trained: dict[str, Any], kind: str
) -> None:
    """
    On the way out and in again no bit is lost, and the job needs the upload no more.
    """
    client = taught.client
    form = "npz" if kind == NPZ else "safetensors"
    exported = client.get(f"/v1/jobs/{iris_trained['id']}/snapshots/best/weights?format={form}")
    made = upload(client, exported.get_data(), kind, "?name=mine")
    again = upload(client, exported.get_data(), kind)
    submitted = taught.submit(iris_job(epochs=2) | {"initial": {"weights": made.get_json()["id"]}})
    deleted = client.delete(made.headers["Location"])
    taught.train()
    job = client.get(f"/v1/jobs/{submitted['id']}").get_json()

    assert [201, 200, 204] == [made.status_code, again.status_code, deleted.status_code]
    assert {name.replace("__", "."): list(array.shape) for name, array in WHOLE.items()} == (
        made.get_json()["arrays"]
    )
    assert "succeeded" == job["status"]
    assert weights_of(client, iris_trained["id"], "best") == weights_of(
        client, job["id"], "initial"
    )
    assert 404 == client.get(made.headers["Location"]).status_code


def test_some_layers_are_taken_and_the_others_drawn(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    names = [layer["name"] for layer in iris_trained["network"]["layers"]]
    initial = {"job": iris_trained["id"], "layers": names[:1]}
    warm = weights_of(taught.client, begun(taught, initial, seed=5)["id"], "initial")
    cold = taught.trained(iris_job(epochs=1, seed=5))
    drawn = weights_of(taught.client, cold["id"], "initial")
    given = weights_of(taught.client, iris_trained["id"], "final")

    assert given[f"{names[0]}.weight"] == warm[f"{names[0]}.weight"]
    assert drawn[f"{names[-1]}.weight"] == warm[f"{names[-1]}.weight"]


def test_a_clone_begins_with_what_its_parent_began_with(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    parent = begun(taught, {"job": iris_trained["id"]})
    path = f"/v1/jobs/{parent['id']}/clone"
    clone = taught.client.post(path, json={"name": "again"}).get_json()
    taught.train()

    for which in ("initial", "final"):
        assert weights_of(taught.client, parent["id"], which) == weights_of(
            taught.client, clone["id"], which
        )


def shaped(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {name: np.zeros(shape) for name, shape in shapes.items()}


WHOLE = shaped(hidden__weight=(5, 4), hidden__bias=(5,), output__weight=(3, 5), output__bias=(3,))


@pytest.mark.parametrize(
    ("arrays", "code", "said"),
    [
        (WHOLE | shaped(hidden__weight=(4, 5)), "shape_mismatch", "hidden.weight has shape (4, 5)"),
        ({"hidden__weight": np.zeros((5, 4))}, "missing_array", "hidden.bias of shape (5,)"),
        (WHOLE | shaped(hiden__bias=(5,)), "unknown_array", "Did you mean 'hidden.bias'"),
        (WHOLE | {"output__bias": np.array([0, np.nan, 0])}, "not_finite", "output.bias"),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused_by_name(
    taught: Service, arrays: dict[str, Any], code: str, said: str
) -> None:
    made = upload(taught.client, archive(**arrays)).get_json()
    job = iris_job() | {"initial": {"weights": made["id"]}}
    refused = taught.client.post("/v1/jobs", json=job)

    assert code in faults(refused).values()
    assert {"/initial/weights"} == set(faults(refused))
    assert said in details(refused)


@pytest.mark.parametrize(
    ("initial", "expected"),
    [
        ({"weights": "wts_none"}, {"/initial/weights": "not_found"}),
        ({"job": "job_none"}, {"/initial/job": "not_found"}),
        ({"job": "{job}", "snapshot": 7}, {"/initial/snapshot": "not_found"}),
        ({"job": "{job}", "layers": ["hiden"]}, {"/initial/layers/0": "unknown_name"}),
        ({"job": "{job}", "epoch": 7}, {"/initial/epoch": "unknown_field"}),
        ({}, {"/initial/job": "missing"}),
    ],
)
def test_what_is_not_there_is_refused_by_its_place(
    taught: Service,
    iris_trained: dict[str, Any],
    initial: dict[str, Any],
    expected: dict[str, str],
) -> None:
    asked = {k: iris_trained["id"] if v == "{job}" else v for k, v in initial.items()}
    refused = taught.client.post("/v1/jobs", json=iris_job() | {"initial": asked})

    assert expected == faults(refused)


EMPTY = b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither a NumPy archive nor safetensors"),
        (b"PK\x03\x04" + bytes(50), "no NumPy archive"),
        (archive(a=np.array(["x"])), "holds <U1"),
        (archive(a=np.zeros((2, 2, 2))), "(2, 2, 2)"),
        (archive(a=np.zeros(3, int)), "holds int64"),
        (save({"a": np.zeros(3, np.int8)}), "weights are floats"),
        (EMPTY, "no arrays"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(
    taught: Service, content: bytes, said: str
) -> None:
    refused = upload(taught.client, content)

    assert 422 == refused.status_code
    assert said in details(refused)


def test_uploads_are_listed_newest_first(service: Service) -> None:
    made = [
        upload(service.client, archive(a=np.full(2, float(n)))).get_json()["id"] for n in range(3)
    ]
    listed = service.client.get("/v1/weights").get_json()["data"]

    assert made[::-1] == [each["id"] for each in listed]
    assert 415 == upload(service.client, b"x", "text/plain").status_code
