"""What may be asked: every fault at once, each with its place, and defaults filled in."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpropd.engine import PARTS
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, generators, initial_theta
from backpropd.spec.canonical import canonical_json, draw_seed, new_id
from backpropd.spec.faults import Invalid
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.parts import SPECS, catalog
from backpropd.spec.rules import check_job
from tests.jobs import MAZUR, iris_job, mazur_job


def faults(model: Any, raw: Any) -> dict[str, str]:
    """The faults of a request: code by pointer."""
    with pytest.raises(Invalid) as caught:
        parse(model, raw)
    return {fault.pointer: fault.code for fault in caught.value.faults}


def layer(**changes: Any) -> dict[str, Any]:
    return {"units": 2, "activation": "tanh", **changes}


def network(*layers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"inputs": 2, "layers": list(layers), **changes}


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_every_part_can_be_asked_for(kind: str) -> None:
    """
    Each part of the engine has its spec, its defaults make it, and the catalog shows it.
    """
    shown = {entry["name"]: entry for entry in catalog()[kind]}

    assert list(shown) == list(PARTS[kind])
    for name, part in PARTS[kind].items():
        spec = SPECS[kind][name]()  # type: ignore[call-arg]
        assert isinstance(spec.part, part)
        assert spec.short == name
        assert shown[name]["formula"]
        assert shown[name]["source"]
        assert shown[name]["description"]
        assert set(shown[name]["defaults"]) == {setting.name for setting in part.settings()}
        for setting in part.settings():
            assert setting.meaning, f"{name}.{setting.name}"


def test_layers_get_names_and_sources() -> None:
    spec = parse(NetworkSpec, network(layer(), layer(), layer()))

    assert [("hidden1", ("inputs",)), ("hidden2", ("hidden1",)), ("output", ("hidden2",))] == [
        (each.name, each.sources) for each in spec.layers
    ]


def test_a_definition_survives_a_round_trip_exactly() -> None:
    spec = parse(NetworkSpec, MAZUR)

    assert spec == parse(NetworkSpec, spec.definition())
    assert canonical_json(spec.definition()) == canonical_json(
        parse(NetworkSpec, spec.definition()).definition()
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives(number: float) -> None:
    spec = parse(NetworkSpec, {"inputs": 1, "layers": [layer(units=1, weights=[[number]])]})

    assert spec.definition()["layers"][0]["weights"] == [[number]]


def test_counts_and_shapes_are_those_of_the_engine() -> None:
    raw = network(layer(name="a"), layer(**{"from": ["inputs", "a"], "use_bias": False}))
    spec = parse(NetworkSpec, raw)
    built = build_network(spec, dtype="float64")

    assert built.parameter_count == spec.parameter_count == 2 * 2 + 2 + 2 * 4
    assert [4, 2] == [spec.layer_shapes()[1]["weight"][1], spec.layer_shapes()[0]["bias"][0]]
    assert spec.layer_shapes()[1]["bias"] is None
    assert spec.flops_per_sample == 2 * (4 + 8)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (network(layer(activation="tahn")), {"/layers/0/activation": "unknown_name"}),
        (network(layer(units=0)), {"/layers/0/units": "out_of_range"}),
        (network(layer(units=8193)), {"/layers/0/units": "out_of_range"}),
        (network(layer(units=2.5)), {"/layers/0/units": "wrong_type"}),
        (network(layer(units=True)), {"/layers/0/units": "wrong_type"}),
        (network(layer(unit=2)), {"/layers/0/unit": "unknown_field"}),
        (network(), {"/layers": "out_of_range"}),
        ({}, {"/inputs": "missing", "/layers": "missing"}),
        ([], {"": "wrong_type"}),
        (network(layer(name="inputs")), {"/layers/0/name": "reserved"}),
        (network(layer(name="1")), {"/layers/0/name": "bad_value"}),
        (network(layer(name="a"), layer(name="a")), {"/layers/1/name": "duplicate"}),
        (network(layer(**{"from": ["b"]})), {"/layers/0/from/0": "unknown_name"}),
        (network(layer(**{"from": ["inputs", "inputs"]})), {"/layers/0/from": "duplicate"}),
        (
            network(layer(name="a", **{"from": ["b"]}), layer(name="b"), layer()),
            {"/layers/0/from": "cycle"},
        ),
        (network(layer(name="a"), layer(**{"from": ["inputs"]})), {"/layers/0": "unused_layer"}),
        (network(layer(weights=[[1, 2]])), {"/layers/0/weights": "shape_mismatch"}),
        (network(layer(weights=[[1, 2], [3]])), {"/layers/0/weights/1": "shape_mismatch"}),
        (network(layer(weights=[[1, 2], [3, "NaN"]])), {"/layers/0/weights/1/1": "not_finite"}),
        (
            network(layer(weights=[[1, 2], [3, float("inf")]])),
            {"/layers/0/weights/1/1": "not_finite"},
        ),
        (network(layer(biases=[1])), {"/layers/0/biases": "shape_mismatch"}),
        (network(layer(biases=[1, 2], use_bias=False)), {"/layers/0/biases": "contradiction"}),
        (network(layer(init={"name": "unifrom"})), {"/layers/0/init/name": "unknown_name"}),
        (network(layer(init={})), {"/layers/0/init/name": "missing"}),
        (
            network(layer(init={"name": "uniform", "low": 1.0, "high": 1.0})),
            {"/layers/0/init/high": "out_of_range"},
        ),
        (network(layer(), name="a\0b"), {"/name": "bad_value"}),
        (network(layer(), name="\ud800"), {"/name": "bad_value"}),
        (network(layer(), name="x" * 201), {"/name": "out_of_range"}),
        (
            {"inputs": 8192, "layers": [layer(units=8192)]},
            {"/layers": "too_large"},
        ),
    ],
)
def test_a_fault_of_a_network_is_told_with_its_place(raw: Any, expected: dict[str, str]) -> None:
    assert faults(NetworkSpec, raw) == expected


def test_all_faults_of_a_job_come_at_once() -> None:
    raw = {
        "network": network(
            layer(units=0, activation="tnah"), layer(**{"from": ["hiden"]}), nme="x"
        ),
        "dataset": {"inputs": [[1, 2], [3]], "targets": [[1]]},
        "training": {
            "loss": "cross",
            "epochs": 0,
            "optimizer": {"name": "sgdd"},
            "schedule": {"name": "step", "gamma": -1, "evry": 3},
            "batch_size": "al",
            "stop": {"monitor": "val_los"},
        },
        "snapshots": {"best": "val_loss"},
        "tags": {"a": 1},
        "priority": 10,
    }

    found = faults(JobSpec, raw)

    assert found == {
        "/network/nme": "unknown_field",
        "/network/layers/0": "unused_layer",
        "/network/layers/0/units": "out_of_range",
        "/network/layers/0/activation": "unknown_name",
        "/network/layers/1/from/0": "unknown_name",
        "/dataset/targets": "shape_mismatch",
        "/dataset/inputs/1": "shape_mismatch",
        "/training/loss": "unknown_name",
        "/training/epochs": "out_of_range",
        "/training/optimizer/name": "unknown_name",
        "/training/schedule/gamma": "out_of_range",
        "/training/schedule/evry": "unknown_field",
        "/training/batch_size": "unknown_name",
        "/training/stop/monitor": "unknown_name",
        "/tags/a": "wrong_type",
        "/priority": "out_of_range",
    }


def test_the_closest_known_name_is_offered() -> None:
    with pytest.raises(Invalid, match="Did you mean 'logistic'"):
        parse(NetworkSpec, network(layer(activation="logistik")))
    with pytest.raises(Invalid, match="Did you mean 'activation'"):
        parse(NetworkSpec, network({"units": 1, "activatoin": "tanh"}))


def test_monitor_follows_validation() -> None:
    with_validation = parse(JobSpec, iris_job())
    without = parse(JobSpec, mazur_job())

    assert with_validation.training.stop.monitor == "val_loss"
    assert without.training.stop.monitor == "loss"


def test_val_metrics_need_validation() -> None:
    raw = mazur_job(stop={"monitor": "val_loss"}) | {"snapshots": {"best": "val_loss"}}

    assert faults(JobSpec, raw) == {"/training/stop/monitor": "contradiction"}
    assert faults(JobSpec, mazur_job() | {"snapshots": {"best": "val_loss"}}) == {
        "/snapshots/best": "contradiction"
    }


def checked(raw: dict[str, Any], **shape: Any) -> dict[str, str]:
    spec = parse(JobSpec, raw)
    assert isinstance(spec.network, NetworkSpec)
    default: dict[str, Any] = {"rows": 10, "inputs": 4, "outputs": 3, "task": "classification"}
    found = check_job(spec.network, spec.training, spec.snapshots, **default | shape)
    return {fault.pointer: fault.code for fault in found}


def test_what_does_not_fit_together_is_told() -> None:
    job = iris_job()
    assert checked(job) == {}
    assert checked(job, inputs=3) == {"/dataset": "shape_mismatch"}
    assert checked(job, outputs=2) == {"/dataset": "shape_mismatch"}
    assert checked(job, rows=1) == {"/training/validation": "out_of_range"}
    assert checked(iris_job(loss="binary_cross_entropy")) == {"/training/loss": "loss_mismatch"}
    best = iris_job() | {"snapshots": {"best": "val_accuracy"}}
    assert checked(best, task="regression") == {"/snapshots/best": "contradiction"}


def test_a_giant_is_refused_quickly_and_without_memory() -> None:
    giant = {"inputs": 10**9, "layers": [layer(units=10**9)] * 64}
    tracemalloc.start()
    began = time.perf_counter()
    found = faults(NetworkSpec, giant)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found["/inputs"] == "out_of_range"
    assert peak < 10 * 2**20
    assert time.perf_counter() - began < 5  # generous: what is bounded is the work


def test_a_flood_of_faults_is_cut_off() -> None:
    rows = [["x"] * 10] * 1000
    with pytest.raises(Invalid) as caught:
        parse(NetworkSpec, network(layer(weights=rows)))

    assert len(caught.value.faults) == 101
    assert "9900 more" in caught.value.faults[-1].detail


def test_streams_of_chance_are_apart_and_repeatable() -> None:
    first, again, other = generators(7), generators(7), generators(8)
    draws = [
        [stream.random() for stream in (g.weights, g.split, g.order, g.noise)]
        for g in (first, again, other)
    ]

    assert draws[0] == draws[1]
    assert len({*draws[0], *draws[2]}) == 8


def test_given_weights_stand_where_they_belong() -> None:
    spec = parse(NetworkSpec, MAZUR)
    built = build_network(spec, dtype="float64")
    theta = initial_theta(spec, built, rng=generators(0).weights)

    assert built.layout.views(theta)["hidden.weight"].tolist() == [[0.15, 0.20], [0.25, 0.30]]
    assert built.layout.views(theta)["output.bias"].tolist() == [0.60, 0.60]


def test_drawn_weights_depend_on_the_seed_alone() -> None:
    spec = parse(NetworkSpec, network(layer(), layer()))
    built = build_network(spec, dtype="float64")
    thetas = [
        initial_theta(spec, built, rng=generators(seed).weights).tobytes() for seed in (1, 1, 2)
    ]

    assert thetas[0] == thetas[1] != thetas[2]


def test_ids_sort_by_time_and_seeds_are_exact_in_json() -> None:
    ids = [new_id("job") for _ in range(100)]

    assert len(set(ids)) == 100
    assert all(id_.startswith("job_") and len(id_) == 30 for id_ in ids)
    assert sorted(ids) == ids
    assert all(0 <= draw_seed() < 2**53 for _ in range(100))


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (network(layer(weights=[["x"] * 100] * 30_000)), "/layers/0/weights/0/0"),
        (network(layer(weights=[None] * 1_000_000)), "/layers/0/weights/0"),
        (network(layer(biases=["NaN"] * 1_000_000)), "/layers/0/biases/0"),
    ],
)
def test_many_faults_cost_little(raw: Any, pointer: str) -> None:
    """
    A long list is refused after its first hundred faults: no memory for a million of them.
    """
    tracemalloc.start()
    with pytest.raises(Invalid) as caught:
        parse(NetworkSpec, raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(caught.value.faults) == 101
    assert caught.value.faults[0].pointer == pointer
    assert "more faults" in caught.value.faults[-1].detail
    assert peak < 20_000_000
