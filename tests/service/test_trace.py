"""One training step over HTTP, every number under its textbook name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.jobs import MAZUR, iris_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service

STEP = {"network": MAZUR, "inputs": [0.05, 0.10], "targets": [0.01, 0.99]}


def traced(client: CheckingClient, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/trace", json=STEP | changes)
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def trainable() -> dict[str, Any]:
    """Mazur's network with biases that move."""
    return MAZUR | {"layers": [layer | {"train_biases": True} for layer in MAZUR["layers"]]}


@pytest.mark.parametrize(
    ("network", "numbers"),
    [(MAZUR, "biases_frozen_as_in_the_article"), (trainable(), "biases_trained")],
)
def test_every_number_of_the_reference_is_found_under_its_name(
    client: CheckingClient, mazur: dict[str, Any], network: dict[str, Any], numbers: str
) -> None:
    """
    To 12 digits; none of the reference's names is left out.
    """
    trace = traced(client, network=network)
    found = {**trace, **trace["values"]}
    expected = mazur[numbers]["first_update"]

    assert set(expected) <= set(found)
    assert len(expected) >= 23
    for name, value in expected.items():
        assert value == pytest.approx(found[name], rel=1e-12, abs=0), name


def test_every_digit_that_the_article_prints_is_found(
    client: CheckingClient, mazur: dict[str, Any]
) -> None:
    """
    To the digits printed. The errors after updates are not of this one step, or layerwise.
    """
    trace = traced(client)
    values = {**trace["values"], "dE_dout_h1": trace["values"]["dE_total_dout_h1"]}
    values |= {f"dE_d{weight}": slope for weight, slope in trace["gradient"].items()}
    values |= {f"{weight}+": value for weight, value in trace["updated_weights"].items()}
    printed = {name: value for name, value in mazur["published"].items() if "after" not in name}

    assert len(printed) >= 18
    for name, value in printed.items():
        decimals = len(str(value).partition(".")[2])
        assert value == round(values[name], decimals), name


@pytest.mark.parametrize("order", ["simultaneous", "layerwise"])
def test_the_error_after_the_step_is_the_references(
    client: CheckingClient, mazur: dict[str, Any], order: str
) -> None:
    trace = traced(client, update_order=order)

    assert order == trace["update_order"]
    for updates, error, outputs in (
        ("0", "error_before", "outputs"),
        ("1", "error_after", "outputs_after"),
    ):
        assert mazur[order][updates]["error"] == pytest.approx(trace[error], rel=1e-12)
        assert mazur[order][updates]["outputs"] == pytest.approx(trace[outputs], rel=1e-12)


def test_layerwise_prints_the_articles_error(client: CheckingClient, mazur: dict[str, Any]) -> None:
    error = traced(client, update_order="layerwise")["error_after"]

    assert mazur["published"]["E_after_first_update"] == round(error, 9)


def test_the_steps_are_told_in_the_order_of_a_textbook(client: CheckingClient) -> None:
    steps = traced(client)["steps"]
    phases = [step["phase"] for step in steps]
    symbols = [step["symbol"] for step in steps]
    told = ["net_h1", "out_h1", "net_o1", "out_o1", "E_total", "delta_o1", "delta_h1", "w1+"]

    assert ["forward", "error", "backward", "update"] == list(dict.fromkeys(phases))
    assert told == sorted(told, key=symbols.index)
    assert all(step["formula"] and step["meaning"] for step in steps)


def test_a_stored_network_is_traced_by_its_id(client: CheckingClient) -> None:
    network = client.post("/v1/networks", json=MAZUR).get_json()["id"]

    assert traced(client) == traced(client, network=network)


def test_a_sample_may_be_a_matrix_of_one_row(client: CheckingClient) -> None:
    assert traced(client) == traced(client, inputs=[[0.05, 0.10]], targets=[[0.01, 0.99]])


def test_drawn_weights_come_from_the_seed(client: CheckingClient) -> None:
    network = {"inputs": 2, "layers": [{"units": 2, "activation": "tanh"}]}
    one, two, other = (traced(client, network=network, seed=seed) for seed in (1, 1, 2))

    assert one == two
    assert one["values"] != other["values"]


def test_a_step_of_a_job_begins_with_its_snapshot(
    taught: Service, mazur_trained: dict[str, Any], mazur: dict[str, Any]
) -> None:
    """
    From the initial weights it is the article's first step; from the final ones the 1,001st.
    """
    job = mazur_trained["id"]
    first, last = (
        taught.client.post("/v1/trace", json={"job": job, "snapshot": which}).get_json()
        for which in ("initial", "final")
    )

    assert traced(taught.client) == first
    assert mazur["simultaneous"]["1000"]["error"] == pytest.approx(last["error_before"], rel=1e-12)
    assert mazur_trained["final"]["loss"] == pytest.approx(last["error_before"], rel=1e-12)


def test_a_row_of_a_jobs_dataset_is_scaled_as_in_training(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    """
    Each step sees what predicting sees.
    """
    body = {"job": iris_trained["id"], "snapshot": "best", "row": 149}
    trace = taught.client.post("/v1/trace", json=body).get_json()
    row = taught.client.get(f"/v1/datasets/{iris_trained['dataset_id']}/rows?limit=150").get_json()[
        "inputs"
    ][149]
    predicted = taught.client.post(
        f"/v1/jobs/{iris_trained['id']}/predict", json={"inputs": [row], "snapshot": "best"}
    ).get_json()

    assert predicted["outputs"][0] == pytest.approx(trace["outputs"], rel=1e-12)
    assert "cross_entropy" == trace["loss"]
    assert [0, 0, 1] == trace["targets"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"inputs": [1]}, {"/inputs": "shape_mismatch"}),
        (
            {"inputs": [1, 2, 3], "targets": [1], "loss": "cross_entropy"},
            {"/inputs": "shape_mismatch", "/targets": "shape_mismatch", "/loss": "loss_mismatch"},
        ),
        ({"inputs": []}, {"/inputs": "out_of_range"}),
        ({"inputs": [[1, 2], [3, 4]]}, {"/inputs/0": "wrong_type", "/inputs/1": "wrong_type"}),
        ({"inputs": ["NaN", 0]}, {"/inputs/0": "not_finite"}),
        ({"learning_rate": -0.5}, {"/learning_rate": "out_of_range"}),
        ({"learning_rate": 0}, {"/learning_rate": "out_of_range"}),
        ({"update_order": "random"}, {"/update_order": "unknown_name"}),
        ({"loss": "half_squared"}, {"/loss": "unknown_name"}),
        ({"network": "net_nobody"}, {"/network": "not_found"}),
        ({"optimizer": "adam"}, {"/optimizer": "unknown_field"}),
        (
            {"network": {"inputs": 100, "layers": [{"units": 100, "activation": "tanh"}]}},
            {
                "/inputs": "shape_mismatch",
                "/targets": "shape_mismatch",
                "/network": "too_large",
            },
        ),
    ],
)
def test_what_makes_no_step_is_refused(
    client: CheckingClient, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    assert expected == faults(client.post("/v1/trace", json=STEP | changes))


def test_what_makes_no_step_of_a_job_is_refused(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    def refusal(**body: Any) -> Any:
        return taught.client.post("/v1/trace", json={"job": iris_trained["id"], **body})

    assert {"/row": "out_of_range"} == faults(refusal(row=150))
    assert "150 rows, counted from 0" in details(refusal(row=10**400))
    assert {"/row": "out_of_range"} == faults(refusal(row=-1))
    assert {"/inputs": "unknown_field"} == faults(refusal(inputs=[1]))
    for missing in (refusal(job="job_nobody"), refusal(snapshot=7), refusal(snapshot="every")):
        assert 404 == missing.status_code


def test_a_job_that_waits_has_no_step_to_show(service: Service) -> None:
    job = service.submit(iris_job())["id"]

    assert 404 == service.client.post("/v1/trace", json={"job": job}).status_code


@pytest.mark.parametrize("large", [1e308, -1e308, 1e5])
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "linear", "softmax"])
def test_the_largest_numbers_are_traced_too(
    client: CheckingClient, activation: str, large: float
) -> None:
    """
    What overflows is Infinity or NaN, as a word; nothing breaks.
    """
    network = {"inputs": 2, "layers": [{"units": 2, "activation": activation}]}
    trace = traced(
        client, network=network, inputs=[large, -large], targets=[0, 1], loss="mean_squared_error"
    )

    assert trace["steps"]
