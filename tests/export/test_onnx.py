"""ONNX: every part there is, in every shape of graph, gives what the service gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from backpropd.engine import ACTIVATIONS
from backpropd.engine.normalizations import NORMALIZATIONS
from backpropd.export.onnx_graph import to_onnx
from backpropd.export.steps import NotExportable, _Recorded, _Recorder
from tests.export.models import GRAPHS, model_of, numbers_dataset, table_dataset

# 1e-6 of the largest output: what float32, which rounds at 6e-8, leaves after some ten steps.
TOLERANCE = 1e-6


def run(content: bytes, feed: dict[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def assert_close(expected: Any, actual: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE * scale)


@pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_activation_and_normalization(activation: str, normalization: str | None) -> None:
    """
    A part that was added and cannot be written as ONNX fails here by its name.
    """
    layers = [
        {"units": 5, "activation": activation, "normalization": normalization},
        {"units": 2, "activation": "linear"},
    ]
    dataset = numbers_dataset(3, 2)
    model, predictor = model_of(dataset, layers)
    X = np.vstack([dataset.inputs, dataset.inputs * 4]).astype(np.float32)

    assert_close(predictor.outputs(X.astype(float)), run(to_onnx(model), {"inputs": X})["outputs"])


@pytest.mark.parametrize("graph", list(GRAPHS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_graph(graph: str, dtype: str) -> None:
    dataset = numbers_dataset(3, 3)
    model, predictor = model_of(dataset, GRAPHS[graph], dtype)
    X = dataset.inputs.astype(np.float32)

    assert_close(predictor.outputs(X.astype(float)), run(to_onnx(model), {"inputs": X})["outputs"])


@pytest.mark.parametrize("scaling", ["none", "standard", "minmax"])
def test_words_gaps_scales_and_classes_are_inside(tmp_path: Path, scaling: str) -> None:
    dataset = table_dataset(tmp_path / "x", task="classification", scaling=scaling)
    model, predictor = model_of(dataset, GRAPHS["chain"])
    size = np.array([[0.5], [np.nan], [3.0], [1.0]], np.float32)
    colour = np.array([["red"], ["green"], [""], ["purple"]], dtype=object)
    weight = np.full((4, 1), 100_007, np.float32)
    found = run(to_onnx(model), {"size": size, "colour": colour, "weight": weight})

    blue, green, red, none = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]
    assert dataset.columns[1].categories == ("blue", "green", "red")
    words = np.array([red, green, [np.nan] * 3, none])
    expected = predictor.outputs(np.hstack([size, words, weight]).astype(float))
    assert blue
    assert_close(expected, found["outputs"])
    assert_close(expected, found["probabilities"])
    assert predictor.labels(expected) == found["label"].tolist()


def test_one_output_tells_two_classes_apart() -> None:
    dataset = numbers_dataset(3, 2, "classification")
    one = numbers_dataset(3, 1)
    model, predictor = model_of(one, [{"units": 1, "activation": "logistic"}])
    classes = {"task": "classification", "classes": ["no", "yes"]}
    model.encoding.update(classes)  # type: ignore[attr-defined]
    found = run(to_onnx(model), {"inputs": dataset.inputs.astype(np.float32)})
    Y = predictor.outputs(dataset.inputs)[:, 0]

    assert ["yes" if y > 0.5 else "no" for y in Y] == found["label"].tolist()
    assert_close(np.stack([1 - Y, Y], axis=1), found["probabilities"])


@pytest.mark.parametrize("target_scaling", ["standard", "minmax"])
def test_values_are_in_the_targets_own_units(tmp_path: Path, target_scaling: str) -> None:
    dataset = table_dataset(
        tmp_path / "x",
        inputs=["size"],
        targets=["weight"],
        task="regression",
        target_scaling=target_scaling,
    )
    model, predictor = model_of(dataset, [{"units": 1, "activation": "tanh"}])
    X = dataset.inputs[1:5].astype(np.float32)

    assert_close(predictor.outputs(X.astype(float)), run(to_onnx(model), {"inputs": X})["outputs"])


def test_the_file_says_where_it_comes_from() -> None:
    model, _ = model_of(numbers_dataset(3, 3), GRAPHS["chain"])
    read = onnx.load_from_string(to_onnx(model))
    about = {each.key: each.value for each in read.metadata_props}

    assert about["job"] == "job_x"
    assert about["targets"] == '["y1", "y2", "y3"]'
    assert to_onnx(model) == to_onnx(model)


@pytest.mark.parametrize(
    "does",
    [
        np.cbrt,
        lambda Z: np.cumsum(Z, axis=1),
        lambda Z: Z.sum(axis=0, keepdims=True),
        np.add.reduce,
    ],
)
def test_what_no_graph_can_say_is_refused(does: Any) -> None:
    with pytest.raises(NotExportable):
        does(_Recorded(_Recorder(), 0))
