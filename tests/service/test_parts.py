"""The catalog, statistics of layers, and confusion matrices over HTTP."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest

from backpropd.engine import PARTS, STATISTICS
from tests.jobs import iris_job, mazur_job
from tests.service.client import CheckingClient, faults
from tests.service.conftest import Service


def test_the_catalog_has_every_part(client: CheckingClient) -> None:
    answer = client.get("/v1/catalog")
    parts = answer.get_json()["parts"]

    assert {kind: list(registry) for kind, registry in PARTS.items()} == {
        kind: [part["name"] for part in shown] for kind, shown in parts.items()
    }
    tanh = next(part for part in parts["activation"] if part["name"] == "tanh")
    assert {"slope": 1.0} == tanh["defaults"]
    assert "1 - y^2" in tanh["derivative"]
    assert 100 == tanh["schema"]["properties"]["slope"]["maximum"]
    again = client.get("/v1/catalog", headers={"If-None-Match": answer.headers["ETag"]})
    assert 304 == again.status_code


def test_what_the_catalog_says_may_be_asked_for(client: CheckingClient) -> None:
    """
    Each activation, initializer and normalization with all its defaults written out.
    """
    parts = client.get("/v1/catalog").get_json()["parts"]
    for field, kind in (
        ("activation", "activation"),
        ("init", "init"),
        ("normalization", "normalization"),
    ):
        for part in parts[kind]:
            layer = {"units": 2, "activation": "tanh"}
            layer[field] = {"name": part["name"], **part["defaults"]}
            body = {"inputs": 3, "layers": [layer]}
            verdict = client.post("/v1/networks/validate", json=body).get_json()

            assert verdict["valid"], (part["name"], verdict)


def layers(service: Service, job: dict[str, Any], query: str = "") -> Any:
    return service.client.get(f"/v1/jobs/{job['id']}/layers?{query}")


def test_statistics_of_layers_are_read_apart_from_the_history(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    found = layers(taught, iris_trained).get_json()
    history = taught.client.get(f"/v1/jobs/{iris_trained['id']}/history").get_json()

    assert {"hidden", "output"} == set(found["layers"])
    for statistics in found["layers"].values():
        assert set(STATISTICS) == set(statistics)
        assert all(len(values) == 30 for values in statistics.values())
    assert list(range(1, 31)) == found["epoch"]
    assert not [name for name in history["series"] if name.startswith("layers.")]
    assert not [name for name in iris_trained["metrics"] if name.startswith("layers.")]


def test_some_statistics_of_some_epochs(taught: Service, iris_trained: dict[str, Any]) -> None:
    found = layers(taught, iris_trained, "stat=weight_norm,update_ratio&from=5&to=7").get_json()

    assert [5, 6, 7] == found["epoch"]
    assert {"weight_norm", "update_ratio"} == set(found["layers"]["output"])
    assert min(found["layers"]["output"]["weight_norm"]) > 0


def test_statistics_that_are_not_there(taught: Service, iris_trained: dict[str, Any],
                                       mazur_trained: dict[str, Any]) -> None:  # fmt: skip
    assert {"/stat": "unknown_name"} == faults(layers(taught, iris_trained, "stat=weight_nrom"))
    assert {"/job_id": "not_measured"} == faults(layers(taught, mazur_trained))
    assert 404 == taught.client.get("/v1/jobs/job_none/layers").status_code


def confusion(service: Service, job: dict[str, Any], query: str = "") -> Any:
    return service.client.get(f"/v1/jobs/{job['id']}/confusion?{query}")


@pytest.mark.parametrize(("split", "rows"), [("training", 120), ("validation", 30)])
def test_the_confusion_matrix_is_of_the_very_split(
    taught: Service, iris_trained: dict[str, Any], split: str, rows: int
) -> None:
    found = confusion(taught, iris_trained, f"split={split}").get_json()
    matrix = np.array(found["matrix"])
    measured = "accuracy" if split == "training" else "val_accuracy"

    assert rows == matrix.sum()
    assert ["setosa", "versicolor", "virginica"] == found["classes"]
    assert iris_trained["final"][measured] == pytest.approx(np.trace(matrix) / rows)
    assert found["accuracy"] == pytest.approx(iris_trained["final"][measured])
    for k, name in enumerate(found["classes"]):
        figures = found["per_class"][name]
        assert matrix[k].sum() == figures["support"]
        assert figures["recall"] == pytest.approx(matrix[k, k] / matrix[k].sum())


def test_a_confusion_matrix_of_another_snapshot(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    initial = confusion(taught, iris_trained, "snapshot=initial").get_json()
    tenth = confusion(taught, iris_trained, "snapshot=10").get_json()

    assert (0, 10) == (initial["epoch"], tenth["epoch"])
    assert initial["accuracy"] < tenth["accuracy"]


def test_confusion_that_cannot_be(
    taught: Service, mazur_trained: dict[str, Any], iris_trained: dict[str, Any]
) -> None:
    assert {"/job_id": "contradiction"} == faults(confusion(taught, mazur_trained))
    assert "/snapshot" in faults(confusion(taught, iris_trained, "snapshot=newest"))
    assert "/split" in faults(confusion(taught, iris_trained, "split=test"))
    assert 404 == confusion(taught, iris_trained, "snapshot=11").status_code


def test_a_job_without_validation_has_no_matrix_of_it(service: Service) -> None:
    job = service.trained(iris_job(validation=None, epochs=2) | {"snapshots": {}})

    assert {"/split": "contradiction"} == faults(confusion(service, job, "split=validation"))
    assert 150 == np.sum(confusion(service, job).get_json()["matrix"])


def test_a_waiting_job_has_nothing_to_show(service: Service) -> None:
    job = service.submit(mazur_job())

    assert 404 == confusion(service, job).status_code


def test_predictions_and_traces_know_every_part(service: Service) -> None:
    """
    Tied weights, a shared bias and a sloped activation in predict and trace.
    """
    network = {
        "inputs": 2,
        "layers": [
            {"units": 2, "activation": {"name": "tanh", "slope": 0.5}, "tied": [[1, -1], [2, 1]],
             "share_bias": True},
            {"units": 1, "activation": "linear"},
        ],
    }  # fmt: skip
    job = service.trained(
        {
            "network": network,
            "dataset": "builtin:xor",
            "training": {"loss": "huber", "epochs": 3, "seed": 1, "metrics": []},
        }
    )
    weights = service.client.get(f"/v1/jobs/{job['id']}/snapshots/final/weights").get_json()
    W, b = (np.array(weights["weights"][f"hidden.{kind}"]) for kind in ("weight", "bias"))
    V, c = (np.array(weights["weights"][f"output.{kind}"]) for kind in ("weight", "bias"))
    assert W[0, 0] == -W[0, 1] == W[1, 1]
    assert b[0] == b[1]

    rows = [[0.0, 1.0], [1.0, 1.0]]
    outputs = service.client.post(f"/v1/jobs/{job['id']}/predict", json={"inputs": rows})
    expected = np.tanh(0.5 * (np.array(rows) @ W.T + b)) @ V.T + c
    assert outputs.get_json()["outputs"] == pytest.approx(expected)
    traced = service.client.post("/v1/trace", json={"job": job["id"], "row": 1}).get_json()
    assert {"w1", "w2", "w3", "w4"} == set(traced["gradient"])
    assert {"b1", "b2_o1"} == set(traced["bias_gradient"])


def test_what_cannot_be_traced_says_so(client: CheckingClient) -> None:
    layer = {"units": 1, "activation": "tanh", "normalization": "layer_norm"}
    body = {
        "network": {"inputs": 2, "layers": [layer]},
        "inputs": [1, 2],
        "targets": [0.5],
    }
    answer = client.post("/v1/trace", json=body)

    assert {"/network": "not_traceable"} == faults(answer)


@pytest.mark.parametrize("path", ["/v1/openapi.json", "/v1/catalog"])
def test_what_is_large_is_compressed_for_who_can_read_it(client: CheckingClient, path: str) -> None:
    plain = client.get(path)
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    known = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}

    assert plain.get_data() == gzip.decompress(packed.get_data())
    assert 4 * len(packed.get_data()) < len(plain.get_data())
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert 304 == client.get(path, headers=known).status_code
