"""A trained network at work: rows with words and gaps, files, other datasets, and figures."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from werkzeug.test import TestResponse

from backpropd.data.builtin import builtin
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service

RNG = np.random.default_rng(4)
PLANTS = [
    (round(float(size), 2), "red" if size > 5 else "blue", "tall" if size > 5 else "small")
    for size in RNG.uniform(0, 10, 60)
]
CSV = "size,colour,kind\n" + "".join(f"{s},{c},{k}\n" for s, c, k in PLANTS)
HOUSES = "area,rooms,price\n" + "".join(
    f"{a},{a // 30},{a * 2000 + 50_000}\n" for a in range(30, 200, 3)
)


def trained(service: Service, csv_text: str, options: str, outputs: int, **training: Any) -> str:
    """The id of a job on this file."""
    dataset = service.client.post(
        f"/v1/datasets?{options}", data=csv_text, content_type="text/csv"
    ).get_json()
    activation = "softmax" if outputs > 1 else "linear"
    loss = "cross_entropy" if outputs > 1 else "mean_squared_error"
    job = service.trained(
        {
            "network": {
                "inputs": len(dataset["inputs"]),
                "layers": [
                    {"units": 6, "activation": "tanh"},
                    {"units": outputs, "activation": activation},
                ],
            },
            "dataset": dataset["id"],
            "training": {
                "epochs": 60,
                "batch_size": 4,
                "loss": loss,
                "seed": 3,
                "optimizer": {"name": "adam", "learning_rate": 0.03},
                **training,
            },
        }
    )
    assert "succeeded" == job["status"], job["error"]
    return str(job["id"])


@pytest.fixture(scope="module")
def plants(taught: Service) -> str:
    return trained(taught, CSV, "scaling=standard&missing=median", 2)


@pytest.fixture(scope="module")
def houses(taught: Service) -> str:
    return trained(taught, HOUSES, "scaling=standard&target_scaling=standard", 1)


def predict(client: CheckingClient, job: str, inputs: Any) -> TestResponse:
    return client.post(f"/v1/jobs/{job}/predict", json={"inputs": inputs})


def predict_file(client: CheckingClient, job: str, text: str, query: str = "") -> TestResponse:
    return client.post(f"/v1/jobs/{job}/predict{query}", data=text, content_type="text/csv")


def evaluate(client: CheckingClient, job: str, dataset: Any) -> TestResponse:
    return client.post(f"/v1/jobs/{job}/evaluate", json={"dataset": dataset})


def test_every_way_to_say_a_row_gives_the_same(taught: Service, plants: str) -> None:
    rows = [{"size": 9.0, "colour": "red"}, {"size": 1.0, "colour": "blue"}]
    lists, encoded = [[9.0, "red"], [1.0, "blue"]], [[9.0, 0, 1], [1.0, 1, 0]]
    answers = [predict(taught.client, plants, each).get_json() for each in (rows, lists, encoded)]
    answers.append(predict_file(taught.client, plants, "colour,size\nred,9\nblue,1\n").get_json())

    assert ["tall", "small"] == answers[0]["classes"]
    assert ["small", "tall"] == answers[0]["targets"] == list(answers[0]["probabilities"][0])
    for other in answers[1:]:
        assert answers[0]["outputs"] == other["outputs"]


def test_missing_and_unknown_words_count_as_training_says(taught: Service, plants: str) -> None:
    known = sorted(size for size, _, _ in PLANTS)
    median = float(np.median(known))
    answer = predict(taught.client, plants, [[None, "red"], [median, "red"]]).get_json()
    unknown = predict(taught.client, plants, [[3.0, "green"], {"size": 3.0}]).get_json()
    from_file = predict_file(taught.client, plants, "size,colour\n,red\n3,green\n").get_json()

    assert answer["outputs"][0] == answer["outputs"][1] == from_file["outputs"][0]
    assert ["row 0, column 'colour': 'green' was not there in training; it counts as none"] == (
        unknown["warnings"]
    )
    assert unknown["outputs"][0] == from_file["outputs"][1] != unknown["outputs"][1]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([[1.0]], {"/inputs/0": "shape_mismatch"}),
        ([["x", "red"]], {"/inputs/0/0": "wrong_type"}),
        ([[True, "red"]], {"/inputs/0/0": "wrong_type"}),
        ([[1.0, ["red"]]], {"/inputs/0/1": "wrong_type"}),
        ([[10**400, "red"]], {"/inputs/0/0": "not_finite"}),
        ([{"size": 1.0, "hue": "red"}], {"/inputs/0/hue": "unknown_name"}),
        ([{"size/x": 1.0}], {"/inputs/0/size~1x": "unknown_name"}),
        ({"size": 1.0}, {"/inputs": "wrong_type"}),
    ],
)
def test_rows_that_do_not_fit_are_refused_cell_by_cell(
    taught: Service, plants: str, inputs: Any, expected: dict[str, str]
) -> None:
    assert expected == faults(predict(taught.client, plants, inputs))


def test_what_training_refused_is_refused_in_predictions(taught: Service, houses: str) -> None:
    rows = [[None, 1], {"area": 50}]

    assert {"/inputs/0/0": "missing", "/inputs/1/rooms": "missing"} == faults(
        predict(taught.client, houses, rows)
    )
    assert "row 3, column 'rooms': the cell is empty" in details(
        predict_file(taught.client, houses, "area,rooms\n50,1\n60,\n")
    )


def test_values_come_in_the_targets_own_units(taught: Service, houses: str) -> None:
    answer = predict(taught.client, houses, [[60, 2], [150, 5]]).get_json()

    assert [170_000, 350_000] == pytest.approx([y for (y,) in answer["outputs"]], rel=0.05)
    assert (["price"], None) == (answer["targets"], answer["classes"])


def test_a_file_is_answered_as_a_file(taught: Service, plants: str, houses: str) -> None:
    """
    As many rows as came in; without names the columns go by their order.
    """
    answer = predict_file(taught.client, plants, "9,red\n1,blue\n", "?format=csv&header=false")
    rows = list(csv.reader(io.StringIO(answer.get_data(as_text=True))))
    prices = predict_file(taught.client, houses, HOUSES, "?format=csv&snapshot=initial")

    assert "text/csv" == answer.mimetype
    assert ["class", "probability of small", "probability of tall"] == rows[0]
    assert ["tall", "small"] == [row[0] for row in rows[1:]]
    assert 1 + len(HOUSES.splitlines()[1:]) == len(prices.get_data(as_text=True).splitlines())


def test_an_array_is_rows_in_order(taught: Service, iris_trained: dict[str, Any]) -> None:
    X = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    out = io.BytesIO()
    np.savez(out, X=X)
    path = f"/v1/jobs/{iris_trained['id']}/predict"
    answer = taught.client.post(path, data=out.getvalue(), content_type="application/x-npz")

    assert (
        answer.get_json()["outputs"]
        == (predict(taught.client, iris_trained["id"], X.tolist()).get_json()["outputs"])
    )


@pytest.mark.parametrize(
    ("text", "query", "said"),
    [
        ("size,hue\n1,red\n", "", "lacks columns of the training data: colour"),
        ("size,colour\nbig,red\n", "", "row 2, column 'size': 'big' is not a number"),
        ("size,colour\n1,red\n2\n", "", "1 cells, where the first row has 2"),
        ("size,colour\n1,red\n", "?targets=size", "means nothing here"),
        ("size,colour\n1,red\n", "?snapshot=newest", "match"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    taught: Service, plants: str, text: str, query: str, said: str
) -> None:
    answer = predict_file(taught.client, plants, text, query)

    assert 422 == answer.status_code
    assert said in answer.get_data(as_text=True)


def test_an_evaluation_says_what_scikit_learn_says(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    iris = builtin("iris")
    truth = iris.labels
    assert truth is not None
    answer = evaluate(taught.client, iris_trained["id"], "builtin:iris").get_json()
    predicted = predict(taught.client, iris_trained["id"], iris.inputs.tolist()).get_json()
    P = np.array(predicted["outputs"])

    assert (150, "classification") == (answer["rows"], answer["task"])
    assert metrics.confusion_matrix(truth, P.argmax(axis=1)).tolist() == answer["matrix"]
    assert metrics.log_loss(truth, P) == pytest.approx(answer["metrics"]["log_loss"])
    assert metrics.roc_auc_score(truth, P, multi_class="ovr") == pytest.approx(
        answer["metrics"]["roc_auc"]
    )
    report = metrics.classification_report(
        truth, P.argmax(axis=1), target_names=iris.classes, output_dict=True
    )
    for name, figures in answer["per_class"].items():
        assert report[name] == pytest.approx(
            {
                "precision": figures["precision"],
                "recall": figures["recall"],
                "f1-score": figures["f1"],
                "support": figures["support"],
            }
        )
    bins = answer["calibration"]["bins"]
    assert 150 == sum(each["count"] for each in bins)
    right = sum(each["count"] * each["accuracy"] for each in bins if each["count"])
    assert answer["metrics"]["accuracy"] * 150 == pytest.approx(right)


def test_columns_and_classes_are_found_by_name(taught: Service, plants: str) -> None:
    """
    Another file with its columns in another order, other words and one class alone.
    """
    other = "kind,colour,size,extra\n" + "".join(f"{k},{c},{s},1\n" for s, c, k in PLANTS)
    same = taught.client.post(
        "/v1/datasets?targets=kind", data=other, content_type="text/csv"
    ).get_json()
    by_name = evaluate(taught.client, plants, same["id"]).get_json()
    green = CSV + "2,green,huge\n"
    larger = taught.client.post("/v1/datasets", data=green, content_type="text/csv").get_json()

    assert 60 == by_name["rows"] == np.sum(by_name["matrix"])
    assert by_name["metrics"]["accuracy"] > 0.9
    assert {"/dataset": "unknown_class"} == faults(evaluate(taught.client, plants, larger["id"]))
    assert {"/dataset": "task_mismatch"} == faults(
        evaluate(taught.client, plants, {"inputs": [[1, 2, 3]], "targets": [[2.5]]})
    )
    assert {"/dataset": "not_found"} == faults(evaluate(taught.client, plants, "ds_none"))


def test_a_regression_is_evaluated_in_its_own_units(taught: Service, houses: str) -> None:
    rows = {"inputs": [[60, 2], [90, 3], [150, 5]], "targets": [[170_000], [230_000], [350_000]]}
    answer = evaluate(taught.client, houses, rows | {"task": "regression"}).get_json()
    price = answer["targets"]["price"]

    assert price["metrics"]["r2"] > 0.9
    points = price["points"]
    assert [170_000, 230_000, 350_000] == points["actual"]
    residuals = [a - p for a, p in zip(points["actual"], points["predicted"], strict=True)]
    assert residuals == points["residual"]
    assert np.mean(np.abs(residuals)) == pytest.approx(price["metrics"]["mean_absolute_error"])
    assert 3 == sum(price["residuals"]["histogram"]["counts"])


@pytest.mark.parametrize("target", [1e308, 1e20, 0.0])
def test_any_number_may_be_measured(taught: Service, houses: str, target: float) -> None:
    rows = {"inputs": [[60, 2]], "targets": [[target]], "task": "regression"}
    answer = evaluate(taught.client, houses, rows)

    assert 200 == answer.status_code
    assert (target > 1e150) == (answer.get_json()["targets"]["price"]["metrics"] is None)


def test_groups_stay_together_in_a_job(taught: Service) -> None:
    text = "who,x,y\n" + "".join(f"p{i % 5},{i},{i % 3 + 0.5}\n" for i in range(40))
    dataset = taught.client.post(
        "/v1/datasets?groups=who", data=text, content_type="text/csv"
    ).get_json()
    network = {"inputs": 1, "layers": [{"units": 1, "activation": "linear"}]}
    training = {
        "epochs": 1,
        "loss": "mean_squared_error",
        "optimizer": {"name": "sgd", "learning_rate": 1e-5},
    }
    job = {"network": network, "dataset": dataset["id"], "training": training}
    made = taught.trained({**job, "training": {**training, "validation": {"fraction": 0.4}}})
    refused = taught.client.post(
        "/v1/jobs",
        json={**job, "training": {**training, "validation": {"folds": 6, "fold": 0}}},
    )

    assert dataset["grouped"]
    assert "grouped" == made["training"]["validation"]["method"]
    assert {"/training/validation/method": "out_of_range"} == faults(refused)
    stratified = {**training, "validation": {"fraction": 0.4, "method": "stratified"}}
    refused = taught.client.post("/v1/jobs", json={**job, "training": stratified})
    assert {"/training/validation/method": "contradiction"} == faults(refused)
