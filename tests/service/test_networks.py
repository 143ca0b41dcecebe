"""Networks over HTTP: every fault of a definition is told at once, at its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.jobs import MAZUR, mazur_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service


def changed(**changes: Any) -> dict[str, Any]:
    """Mazur's network with other fields in its first layer."""
    network = copy.deepcopy(MAZUR)
    network["layers"][0] |= changes
    return network


def chain(*layers: dict[str, Any], inputs: int = 2) -> dict[str, Any]:
    """Layers of logistic units, one after the other."""
    shown = [{"units": 2, "activation": "logistic", **layer} for layer in layers]
    return {"inputs": inputs, "layers": shown}


def test_a_network_is_made_and_read_back(client: CheckingClient) -> None:
    made = client.post("/v1/networks", json=MAZUR)
    network = made.get_json()
    read = client.get(made.headers["Location"])

    assert 201 == made.status_code
    assert ("network", "mazur", 12) == (
        network["object"],
        network["name"],
        network["parameter_count"],
    )
    assert network["id"].startswith("net_")
    assert network == read.get_json()
    for given, kept in zip(MAZUR["layers"], network["definition"]["layers"], strict=True):
        assert given.items() <= kept.items()


def test_times_are_rfc_3339_in_utc_with_milliseconds(client: CheckingClient) -> None:
    created_at = client.post("/v1/networks", json=MAZUR).get_json()["created_at"]

    assert len("2026-01-01T00:00:00.000Z") == len(created_at)
    assert created_at.endswith("Z")


def test_layers_are_named_by_their_place(client: CheckingClient) -> None:
    def names(layers: int) -> list[str]:
        made = client.post("/v1/networks", json=chain(*[{}] * layers)).get_json()
        return [layer["name"] for layer in made["definition"]["layers"]]

    assert ["output"] == names(1)
    assert ["hidden", "output"] == names(2)
    assert ["hidden1", "hidden2", "output"] == names(3)


def test_a_layer_is_fed_by_the_one_before_it(client: CheckingClient) -> None:
    made = client.post("/v1/networks", json=chain({}, {}, {})).get_json()

    assert [["inputs"], ["hidden1"], ["hidden2"]] == [
        layer["from"] for layer in made["definition"]["layers"]
    ]


def test_a_valid_definition_is_measured_and_not_stored(client: CheckingClient) -> None:
    """
    2-2-2: 2 x 2 weights and 2 biases a layer; a multiply and an add for each of 8 weights.
    """
    verdict = client.post("/v1/networks/validate", json=MAZUR).get_json()

    assert verdict == {
        "valid": True,
        "errors": [],
        "parameter_count": 12,
        "layer_shapes": [
            {"name": "hidden", "weight": [2, 2], "bias": [2], "others": {}},
            {"name": "output", "weight": [2, 2], "bias": [2], "others": {}},
        ],
        "flops_per_sample": 16,
    }
    assert [] == client.get("/v1/networks").get_json()["data"]


def test_a_shortcut_widens_what_a_unit_takes(client: CheckingClient) -> None:
    """
    Rumelhart's network for XOR: one hidden unit, and an output that sees the inputs too.
    """
    network = chain({"units": 1}, {"units": 1, "from": ["inputs", "hidden"]})
    verdict = client.post("/v1/networks/validate", json=network).get_json()

    assert [[1, 2], [1, 3]] == [shape["weight"] for shape in verdict["layer_shapes"]]
    assert 7 == verdict["parameter_count"]


def test_what_is_invalid_is_a_verdict_when_asked_for_one(client: CheckingClient) -> None:
    """
    The same faults that a POST would be refused with.
    """
    network = changed(units=-1, activation="sigmoid")
    verdict = client.post("/v1/networks/validate", json=network)
    refused = client.post("/v1/networks", json=network)

    assert 200 == verdict.status_code
    assert not verdict.get_json()["valid"]
    assert refused.get_json()["errors"] == verdict.get_json()["errors"]


def test_all_faults_are_told_at_once(client: CheckingClient) -> None:
    network = {
        "inputs": 0,
        "name": 7,
        "nmae": "twice wrong",
        "layers": [
            {"units": -2, "activation": "sigmoid"},
            {"activation": "tanh", "weights": [["a"]], "from": ["hiden"]},
            {"units": 1, "activation": {"name": "elu", "alpha": "NaN"}},
        ],
    }

    assert {
        "/inputs": "out_of_range",
        "/name": "wrong_type",
        "/nmae": "unknown_field",
        "/layers/0": "unused_layer",
        "/layers/0/units": "out_of_range",
        "/layers/0/activation": "unknown_name",
        "/layers/1/units": "missing",
        "/layers/1/weights/0/0": "wrong_type",
        "/layers/1/from/0": "unknown_name",
        "/layers/2/activation/alpha": "not_finite",
    } == faults(client.post("/v1/networks", json=network))


@pytest.mark.parametrize(
    ("network", "closest"),
    [
        (changed(activation="logistik"), "logistic"),
        (changed(weigths=[[1.0]]), "weights"),
        (chain({}, {"from": ["hidde1"]}, {"from": ["hidden2"]}), "hidden1"),
        (changed(weights=None, init="glorot_unifrom"), "glorot_uniform"),
    ],
)
def test_the_closest_known_name_is_offered(
    client: CheckingClient, network: dict[str, Any], closest: str
) -> None:
    assert f"Did you mean '{closest}'?" in details(client.post("/v1/networks", json=network))


@pytest.mark.parametrize(
    ("network", "pointer", "code"),
    [
        (changed(weights=[[0.1, 0.2]]), "/layers/0/weights", "shape_mismatch"),
        (changed(weights=[[0.1], [0.2]]), "/layers/0/weights/0", "shape_mismatch"),
        (changed(weights=[[0.1, 0.2], [0.3]]), "/layers/0/weights/1", "shape_mismatch"),
        (changed(biases=[0.1]), "/layers/0/biases", "shape_mismatch"),
        (changed(use_bias=False), "/layers/0/biases", "contradiction"),
        (changed(weights=[[0.1, "NaN"], [0, 0]]), "/layers/0/weights/0/1", "not_finite"),
        (changed(weights=[[0.1, None], [0, 0]]), "/layers/0/weights/0/1", "wrong_type"),
        (changed(weights=[[0.1, True], [0, 0]]), "/layers/0/weights/0/1", "wrong_type"),
        (changed(biases=["Infinity", 0]), "/layers/0/biases/0", "not_finite"),
        (changed(units=2.0), "/layers/0/units", "wrong_type"),
        (changed(units="2"), "/layers/0/units", "wrong_type"),
        (changed(units=10**9), "/layers/0/units", "out_of_range"),
        (changed(dropout=1.0), "/layers/0/dropout", "out_of_range"),
        (changed(l2=-0.1), "/layers/0/l2", "out_of_range"),
        (changed(name="output"), "/layers/1/name", "duplicate"),
        (changed(name="inputs"), "/layers/0/name", "reserved"),
        (changed(name="a.b"), "/layers/0/name", "bad_value"),
        (changed(**{"from": []}) | {"layers": []}, "/layers", "out_of_range"),
        (changed() | {"inputs": 8193}, "/inputs", "out_of_range"),
        (chain({"units": 8192}, {"units": 8192}, inputs=8192), "/layers", "too_large"),
        (chain(*[{}] * 65), "/layers", "out_of_range"),
    ],
)
def test_a_fault_is_told_at_its_place(
    client: CheckingClient, network: dict[str, Any], pointer: str, code: str
) -> None:
    assert (pointer, code) in faults(client.post("/v1/networks", json=network)).items()


def test_a_cycle_is_shown_as_it_goes_round(client: CheckingClient) -> None:
    network = chain({"name": "a", "from": ["b"]}, {"name": "b", "from": ["a"]}, {"from": ["b"]})
    refused = client.post("/v1/networks", json=network)

    assert {"/layers/0/from": "cycle"} == faults(refused)
    assert "a -> b -> a" in details(refused) or "b -> a -> b" in details(refused)


def test_networks_are_listed_newest_first_a_page_at_a_time(client: CheckingClient) -> None:
    made = [client.post("/v1/networks", json=MAZUR).get_json()["id"] for _ in range(5)]
    first = client.get("/v1/networks?limit=3").get_json()
    second = client.get(f"/v1/networks?limit=3&cursor={first['next_cursor']}").get_json()

    assert made[::-1] == [each["id"] for page in (first, second) for each in page["data"]]
    assert (True, False, None) == (first["has_more"], second["has_more"], second["next_cursor"])


def test_a_network_that_no_job_needs_is_deleted(service_on_both: Service) -> None:
    client = service_on_both.client
    path = client.post("/v1/networks", json=MAZUR).headers["Location"]

    assert [204, 404, 404] == [
        client.delete(path).status_code,
        client.delete(path).status_code,
        client.get(path).status_code,
    ]


def test_a_network_in_use_stays_and_its_jobs_are_named(service_on_both: Service) -> None:
    client = service_on_both.client
    network = client.post("/v1/networks", json=MAZUR).get_json()["id"]
    jobs = [service_on_both.submit(mazur_job() | {"network": network})["id"] for _ in range(2)]
    refused = client.delete(f"/v1/networks/{network}")

    assert 409 == refused.status_code
    assert "in_use" == refused.get_json()["code"]
    assert set(jobs) == set(refused.get_json()["jobs"])
    assert 200 == client.get(f"/v1/networks/{network}").status_code


def test_weights_survive_both_databases_to_the_last_bit(service_on_both: Service) -> None:
    """
    PostgreSQL keeps JSON as decimal numbers; what comes out is the float64 that went in.
    """
    given = [[0.1 + 0.2, 5e-324], [1.7976931348623157e308, -1e22]]
    made = service_on_both.client.post("/v1/networks", json=changed(weights=given))
    read = service_on_both.client.get(made.headers["Location"]).get_json()

    assert given == read["definition"]["layers"][0]["weights"]
