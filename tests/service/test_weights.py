"""Weights over HTTP: exact in every format, and put to use through what training did to inputs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from backpropd.data.builtin import builtin
from backpropd.store import snapshots
from tests.jobs import MAZUR, mazur_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service


def read(client: CheckingClient, job: dict[str, Any], which: Any = "final") -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}/snapshots/{which}/weights").get_json()
    return found


def predict(client: CheckingClient, job: dict[str, Any], inputs: Any, **options: Any) -> Any:
    return client.post(f"/v1/jobs/{job['id']}/predict", json={"inputs": inputs, **options})


def test_snapshots_say_why_they_were_kept(taught: Service, iris_trained: dict[str, Any]) -> None:
    listed = taught.client.get(f"/v1/jobs/{iris_trained['id']}/snapshots").get_json()["data"]
    kinds = [(each["epoch"], each["kind"]) for each in listed if each["kind"] != "best"]

    assert [(0, "initial"), (10, "every"), (20, "every"), (30, "every"), (30, "final")] == kinds
    assert 1 == sum(each["kind"] == "best" for each in listed)
    for each in listed:
        # 4-5-3: 43 numbers of 8 bytes.
        assert ("snapshot", iris_trained["id"], 43 * 8) == (
            each["object"],
            each["job"],
            each["bytes"],
        )
        assert each["sha256"] == taught.client.get(each["links"]["weights"]).get_json()["sha256"]


def test_weights_before_training_are_those_that_were_given(
    taught: Service, mazur_trained: dict[str, Any]
) -> None:
    weights = read(taught.client, mazur_trained, "initial")

    assert ("weights", 0, "initial") == (weights["object"], weights["epoch"], weights["kind"])
    assert weights["weights"] == {
        f"{layer['name']}.{kind}": layer[field]
        for layer in MAZUR["layers"]
        for kind, field in (("weight", "weights"), ("bias", "biases"))
    }


def test_json_and_npz_hold_the_same_bits(taught: Service, iris_trained: dict[str, Any]) -> None:
    """
    Through text and back nothing is lost: each is the snapshot, bit for bit.
    """
    weights = read(taught.client, iris_trained)["weights"]
    path = f"/v1/jobs/{iris_trained['id']}/snapshots/final/weights"
    archive = taught.client.get(f"{path}?format=npz")
    with np.load(io.BytesIO(archive.get_data()), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    with taught.database.read() as session:
        row = snapshots.find(session, iris_trained["id"], "final")
        stored = snapshots.content(session, row)

    assert "application/x-npz" == archive.content_type
    assert f"{iris_trained['id']}-30.npz" in archive.headers["Content-Disposition"]
    shapes = {
        "hidden.weight": (5, 4),
        "hidden.bias": (5,),
        "output.weight": (3, 5),
        "output.bias": (3,),
    }
    assert shapes == {name: array.shape for name, array in arrays.items()}
    for name, array in arrays.items():
        assert array.tobytes() == np.array(weights[name]).tobytes()
    assert stored == b"".join(arrays[name].tobytes() for name in shapes)


def test_a_network_with_these_weights_begins_where_the_job_ended(
    taught: Service, iris_trained: dict[str, Any], service: Service
) -> None:
    """
    What was read can be sent: the round trip goes through a definition, too.
    """
    weights = read(taught.client, iris_trained)["weights"]
    layers = [
        {
            "units": units,
            "activation": activation,
            "weights": weights[f"{name}.weight"],
            "biases": weights[f"{name}.bias"],
        }
        for name, units, activation in (("hidden", 5, "tanh"), ("output", 3, "softmax"))
    ]
    again = service.trained(
        {
            "network": {"inputs": 4, "layers": layers},
            "dataset": "builtin:iris",
            "training": {"epochs": 1, "loss": "cross_entropy"},
        }
    )

    assert weights == read(service.client, again, "initial")["weights"]


def test_an_epoch_names_its_snapshot(taught: Service, iris_trained: dict[str, Any]) -> None:
    tenth, best = (read(taught.client, iris_trained, which) for which in (10, "best"))
    val_loss = iris_trained["metrics"]["val_loss"]

    assert (10, "every") == (tenth["epoch"], tenth["kind"])
    assert val_loss["min_epoch"] == best["epoch"]
    last = read(taught.client, iris_trained, 30)["weights"]
    assert last == read(taught.client, iris_trained, "final")["weights"]


@pytest.mark.parametrize("which", [11, 31, 999_999_999])
def test_an_epoch_that_was_not_kept_is_not_found(
    taught: Service, iris_trained: dict[str, Any], which: int
) -> None:
    refused = taught.client.get(f"/v1/jobs/{iris_trained['id']}/snapshots/{which}/weights")

    assert 404 == refused.status_code
    assert f"no snapshot '{which}'" in refused.get_json()["detail"]


@pytest.mark.parametrize("which", ["checkpoint", "every", "-1", "last", "1e3", "9999999999"])
def test_what_names_no_snapshot_is_refused(
    taught: Service, iris_trained: dict[str, Any], which: str
) -> None:
    refused = taught.client.get(f"/v1/jobs/{iris_trained['id']}/snapshots/{which}/weights")

    assert ["/snapshot"] == list(faults(refused))


def test_a_job_that_waits_has_no_weights_yet(service: Service) -> None:
    job = service.submit(mazur_job())

    assert [] == service.client.get(f"/v1/jobs/{job['id']}/snapshots").get_json()["data"]
    for which in ("initial", "final", "best", "0"):
        path = f"/v1/jobs/{job['id']}/snapshots/{which}/weights"
        assert 404 == service.client.get(path).status_code
    assert 404 == predict(service.client, job, [[0, 0]]).status_code


def test_the_articles_outputs_are_predicted(
    taught: Service, mazur_trained: dict[str, Any], mazur: dict[str, Any]
) -> None:
    answer = predict(taught.client, mazur_trained, [[0.05, 0.10]]).get_json()

    assert ("prediction", 1000, None, None) == (
        answer["object"],
        answer["epoch"],
        answer["classes"],
        answer["probabilities"],
    )
    assert mazur["simultaneous"]["1000"]["outputs"] == pytest.approx(
        answer["outputs"][0], rel=1e-12
    )


def test_flowers_are_told_apart_in_their_own_units(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    """
    Inputs come in centimetres; the scaling that training used is applied by the service.
    """
    iris = builtin("iris")
    rows = list(range(0, 150, 5))
    answer = predict(taught.client, iris_trained, iris.inputs[rows].tolist()).get_json()
    truth = [(iris.classes or ())[k] for k in iris.targets[rows].argmax(axis=1)]

    assert 0.9 <= np.mean([a == b for a, b in zip(truth, answer["classes"], strict=True)])
    for outputs, probabilities, named in zip(
        answer["outputs"], answer["probabilities"], answer["classes"], strict=True
    ):
        assert list(iris.classes or ()) == list(probabilities)
        assert outputs == list(probabilities.values())
        assert 1 == pytest.approx(sum(outputs))
        assert named == max(probabilities, key=lambda name: probabilities[name])


def test_a_snapshot_can_be_asked_to_predict(taught: Service, iris_trained: dict[str, Any]) -> None:
    row = [[5.1, 3.5, 1.4, 0.2]]
    answers = [
        predict(taught.client, iris_trained, row, snapshot=which).get_json()
        for which in ("initial", 10, "best", "final", 30)
    ]

    best = iris_trained["metrics"]["val_loss"]["min_epoch"]
    assert [0, 10, best, 30, 30] == [answer["epoch"] for answer in answers]
    assert answers[3]["outputs"] == answers[4]["outputs"] != answers[0]["outputs"]


def test_one_output_tells_two_classes_apart(service: Service) -> None:
    job = service.trained(
        {
            "network": {
                "inputs": 1,
                "layers": [
                    {
                        "units": 1,
                        "activation": "logistic",
                        "weights": [[100.0]],
                        "biases": [-50.0],
                        "train_weights": False,
                        "train_biases": False,
                    }
                ],
            },
            "dataset": {"inputs": [[0], [1]], "targets": [[0], [1]]},
            "training": {"epochs": 1, "loss": "binary_cross_entropy"},
        }
    )
    answer = predict(service.client, job, [[0], [1]]).get_json()

    assert ["0", "1"] == answer["classes"]
    assert [[1, 0], [0, 1]] == [
        pytest.approx([row["0"], row["1"]]) for row in answer["probabilities"]
    ]


def test_rows_of_another_length_are_each_named(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    refused = predict(taught.client, iris_trained, [[1, 2, 3, 4], [1, 2, 3], [1], [1, 2, 3, 4]])

    assert {"/inputs/1": "shape_mismatch", "/inputs/2": "shape_mismatch"} == faults(refused)
    assert "3 values are given; the network takes 4" in details(refused)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/inputs": "missing"}),
        ({"inputs": []}, {"/inputs": "out_of_range"}),
        ({"inputs": [[]]}, {"/inputs/0": "out_of_range"}),
        ({"inputs": [[1, 2, 3, "NaN"]]}, {"/inputs/0/3": "not_finite"}),
        ({"inputs": [[1, 2, 3, "4"]]}, {"/inputs/0/3": "wrong_type"}),
        ({"inputs": [1, 2, 3, 4]}, {f"/inputs/{i}": "wrong_type" for i in range(4)}),
        ({"inputs": [[1, 2, 3, 4]], "snapshot": -1}, {"/snapshot": "out_of_range"}),
        ({"inputs": [[1, 2, 3, 4]], "snapshots": "best"}, {"/snapshots": "unknown_field"}),
    ],
)
def test_inputs_that_are_no_rows_are_refused(
    taught: Service, iris_trained: dict[str, Any], body: dict[str, Any], expected: dict[str, str]
) -> None:
    path = f"/v1/jobs/{iris_trained['id']}/predict"

    assert expected == faults(taught.client.post(path, json=body))


@pytest.mark.parametrize("snapshot", ["checkpoint", "every", "nothing", "10", 11, 2**31, 2**63])
def test_who_predicts_with_a_snapshot_that_is_not_there_is_told(
    service_on_both: Service, snapshot: Any
) -> None:
    """
    An epoch larger than the database can hold is one that is not there, too.
    """
    job = service_on_both.submit(mazur_job())
    refused = predict(service_on_both.client, job, [[0, 0]], snapshot=snapshot)

    assert 404 == refused.status_code


def test_the_largest_inputs_give_an_answer(taught: Service, iris_trained: dict[str, Any]) -> None:
    """
    Scaled they may be infinite; what comes of it is no number, or one, and strict JSON either way.
    """
    answer = predict(taught.client, iris_trained, [[1.7e308, -1.7e308, 1.7e308, -1.7e308]])

    assert 200 == answer.status_code
    assert 3 == len(answer.get_json()["outputs"][0])


def test_which_flowers_are_taken_for_which_is_counted(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    path = f"/v1/jobs/{iris_trained['id']}/confusion"
    training, validation = (
        taught.client.get(f"{path}?split={split}").get_json()
        for split in ("training", "validation")
    )

    assert (120, 30) == tuple(np.sum(each["matrix"]) for each in (training, validation))
    assert iris_trained["final"]["accuracy"] == training["accuracy"]
    assert iris_trained["final"]["val_accuracy"] == validation["accuracy"]
    assert {"setosa", "versicolor", "virginica"} == set(training["per_class"])


def test_what_has_no_classes_has_no_confusion(
    taught: Service, mazur_trained: dict[str, Any]
) -> None:
    refused = taught.client.get(f"/v1/jobs/{mazur_trained['id']}/confusion")

    assert 422 == refused.status_code
    assert "regression" in details(refused)
