"""What is refused between a network, data and a way to train that are each right by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from backpropd.engine import OPTIMIZERS
from backpropd.spec.base import parse
from backpropd.spec.faults import Invalid
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.rules import check_job
from backpropd.spec.training import TrainingSpec

DATA = {"rows": 100, "inputs": 2, "outputs": 3, "task": "classification"}


def layers(*changes: dict[str, Any]) -> dict[str, Any]:
    """A network 2-3-3 with these changes to its layers."""
    plain: list[dict[str, Any]] = [
        {"units": 3, "activation": "tanh"},
        {"units": 3, "activation": "softmax"},
    ]
    changes = changes or ({}, {})
    return {"inputs": 2, "layers": [a | b for a, b in zip(plain, changes, strict=True)]}


def said(network: dict[str, Any] | None = None, **training: Any) -> dict[str, str]:
    """The faults of a job, code by pointer."""
    data = DATA | training.pop("data", {})
    snapshots = training.pop("snapshots", {})
    raw = {
        "network": network or layers(),
        "dataset": "builtin:iris",
        "training": {"loss": "cross_entropy", **training},
        "snapshots": snapshots,
    }
    try:
        spec = parse(JobSpec, raw)
        assert isinstance(spec.network, NetworkSpec)
        found = list(check_job(spec.network, spec.training, spec.snapshots, **data))
    except Invalid as invalid:
        found = list(invalid.faults)
    return {fault.pointer: fault.code for fault in found}


BIG = [{"units": 3, "activation": "softmax"}]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"data": {"inputs": 3}}, {"/dataset": "shape_mismatch"}),
        ({"data": {"outputs": 1}}, {"/dataset": "shape_mismatch"}),
        ({"loss": "poisson"}, {}),
        ({"network": layers({}, {"activation": "tanh"})}, {"/training/loss": "loss_mismatch"}),
        (
            {"network": layers({}, {"activation": "tanh"}), "loss": "poisson"},
            {"/training/loss": "loss_mismatch"},
        ),
        ({"validation": {"fraction": 0.2}, "data": {"rows": 1}}, {
            "/training/validation": "out_of_range"}),
        ({"validation": {"folds": 5, "fold": 5}}, {
            "/training/validation/fold": "out_of_range"}),
        ({"validation": {"folds": 200, "fold": 5}}, {
            "/training/validation/folds": "out_of_range"}),
        ({"validation": {"rows": [3, 100]}}, {"/training/validation/rows/1": "out_of_range"}),
        ({"validation": {"rows": [3, 3]}}, {"/training/validation/rows": "duplicate"}),
        ({"validation": {"rows": list(range(100))}}, {
            "/training/validation/rows": "out_of_range"}),
        ({"validation": {"fractoin": 0.1}}, {
            "/training/validation/fraction": "missing",
            "/training/validation/fractoin": "unknown_field"}),
        ({"metrics": ["f1"], "data": {"task": "regression"}, "loss": "half_squared_error"}, {
            "/training/metrics/0": "contradiction"}),
        ({"metrics": ["f1", "f1"]}, {"/training/metrics": "duplicate"}),
        ({"metrics": ["f2"]}, {"/training/metrics/0": "unknown_name"}),
        ({"stop": {"monitor": "f1", "patience": 3}}, {"/training/stop/monitor": "unknown_name"}),
        ({"metrics": ["f1"], "stop": {"monitor": "f1", "patience": 3}}, {}),
        ({"metrics": ["confusion"], "stop": {"monitor": "confusion.2.2", "patience": 3}}, {}),
        ({"metrics": ["confusion"], "stop": {"monitor": "confusion.3.3", "patience": 3}}, {
            "/training/stop/monitor": "unknown_name"}),
        ({"metrics": [], "stop": {"error_below": 0.1}}, {
            "/training/stop/error_below": "contradiction"}),
        ({"stop": {"error_below": 0.1}}, {}),
        ({"stop": {"restore_best": True}, "snapshots": {"best": None}}, {
            "/training/stop/restore_best": "contradiction"}),
        ({"snapshots": {"best": "acuracy"}}, {"/snapshots/best": "unknown_name"}),
        ({"network": layers({"activation": "step"}, {})}, {
            "/network/layers/0/activation": "contradiction"}),
        (
            {
                "network": layers(
                    {"activation": "step", "train_weights": False, "train_biases": False}, {}
                )
            },
            {},
        ),
        ({"optimizer": {"name": "rprop_plus"}}, {"/training/batch_size": "contradiction"}),
        ({"optimizer": {"name": "rprop_plus"}, "batch_size": "all"}, {}),
        ({"optimizer": {"name": "rprop_plus"}, "batch_size": "all", "replacement": True}, {
            "/training/replacement": "contradiction"}),
        ({"optimizer": {"name": "irprop_minus", "learning_rate": 100.0}, "batch_size": "all"}, {
            "/training/optimizer/learning_rate": "out_of_range"}),
        (
            {
                "optimizer": {"name": "quickprop"},
                "batch_size": "all",
                "schedule": {"name": "step"},
            },
            {"/training/schedule": "contradiction"},
        ),
        ({"optimizer": {"name": "levenberg_marquardt"}, "batch_size": "all"}, {
            "/training/loss": "contradiction"}),
        (
            {
                "optimizer": {"name": "levenberg_marquardt"},
                "batch_size": "all",
                "loss": "half_squared_error",
            },
            {},
        ),
        (
            {
                "optimizer": {"name": "levenberg_marquardt"},
                "batch_size": "all",
                "loss": "half_squared_error",
                "data": {"rows": 10_000_000},
            },
            {"/training/optimizer": "too_large"},
        ),
        (
            {
                "optimizer": {"name": "lbfgs"},
                "batch_size": "all",
                "network": layers({"dropout": 0.5}, {}),
            },
            {"/network/layers/0": "contradiction"},
        ),
        (
            {
                "optimizer": {"name": "lbfgs"},
                "batch_size": "all",
                "clip": {"name": "value"},
                "update_order": "layerwise",
            },
            {"/training/clip": "contradiction", "/training/update_order": "contradiction"},
        ),
        ({"update_order": "layerwise", "clip": {"name": "norm"}}, {
            "/training/clip": "contradiction"}),
        ({"network": layers({"normalization": {"name": "batch_norm"}}, {}), "batch_size": 1}, {
            "/network/layers/0/normalization": "contradiction"}),
        ({"schedule": {"name": "reduce_on_plateau", "monitor": "val_loss"}}, {
            "/training/schedule/monitor": "contradiction"}),
        ({"class_weights": [1.0, 2.0]}, {"/training/class_weights": "shape_mismatch"}),
        ({"class_weights": [1.0, -2.0, 1.0]}, {"/training/class_weights/1": "out_of_range"}),
        ({"class_weights": "balancd"}, {"/training/class_weights": "unknown_name"}),
        ({"class_weights": "balanced", "data": {"task": "regression"}, "metrics": []}, {
            "/training/class_weights": "contradiction"}),
        ({"sample_weights": [1.0]}, {"/training/sample_weights": "shape_mismatch"}),
        ({"replacement": True, "shuffle": False}, {"/training/replacement": "contradiction"}),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_with_its_place(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    assert expected == said(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dropout": 1.0}, {"/layers/0/dropout": "out_of_range"}),
        ({"noise": -0.1}, {"/layers/0/noise": "out_of_range"}),
        ({"max_norm": 0}, {"/layers/0/max_norm": "out_of_range"}),
        ({"mask": [[1, 0]] * 3, "max_norm": 1.0}, {"/layers/0/max_norm": "contradiction"}),
        ({"mask": [[1, 0]] * 2}, {"/layers/0/mask": "shape_mismatch"}),
        ({"mask": [[1, 0, 1]] * 3}, {"/layers/0/mask/0": "shape_mismatch"}),
        ({"mask": [[2, 0]] * 3}, {"/layers/0/mask": "out_of_range"}),
        ({"mask": [[1, 0]] * 3, "tied": [[1, 1]] * 3}, {"/layers/0/mask": "contradiction"}),
        ({"tied": [[1, 0.5]] * 3}, {
            f"/layers/0/tied/{j}/1": "wrong_type" for j in range(3)}),
        ({"tied": [[1, -1]] * 3, "weights": [[0.5, -0.5]] * 3}, {}),
        ({"tied": [[1, -1]] * 3, "weights": [[0.5, 0.5]] * 3}, {
            "/layers/0/weights/0/1": "contradiction"}),
        ({"mask": [[1, 0]] * 3, "weights": [[0.5, 0.1]] * 3}, {
            "/layers/0/weights/0/1": "contradiction"}),
        ({"share_bias": True, "biases": [0.1, 0.1, 0.2]}, {"/layers/0/biases": "contradiction"}),
        ({"share_bias": True, "use_bias": False}, {"/layers/0/share_bias": "contradiction"}),
        ({"normalization": {"name": "batch_nrom"}}, {
            "/layers/0/normalization/name": "unknown_name"}),
        ({"activation": {"name": "tanh", "slope": 0}}, {
            "/layers/0/activation/slope": "out_of_range"}),
        ({"activation": {"name": "tanh", "steepness": 1}}, {
            "/layers/0/activation/steepness": "unknown_field"}),
        ({"activation": {"slope": 1}}, {"/layers/0/activation/name": "missing"}),
    ],
)  # fmt: skip
def test_a_fault_of_a_layer_is_told_with_its_place(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    found: dict[str, str] = {}
    try:
        parse(NetworkSpec, layers(changes, {}))
    except Invalid as invalid:
        found = {fault.pointer: fault.code for fault in invalid.faults}

    assert expected == found


def test_the_output_is_not_disturbed() -> None:
    assert said(layers({}, {"dropout": 0.5})) == {"/network/layers/1/dropout": "contradiction"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_asked_for(name: str) -> None:
    part = OPTIMIZERS[name]
    changes: dict[str, Any] = {"optimizer": {"name": name}}
    if part.full_batch:
        changes["batch_size"] = "all"
    if part.needs_squared:
        changes["loss"] = "mean_squared_error"

    assert said(**changes) == {}
    assert said(**changes | {"optimizer": name}) == {}
    resolved = parse(TrainingSpec, {"loss": "cross_entropy", **changes}).model_dump(mode="json")
    assert parse(TrainingSpec, resolved).model_dump(mode="json") == resolved
