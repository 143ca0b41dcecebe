"""PyTorch and Keras: what they load gives what the service gives, for every part and graph.

PyTorch is not part of `make test`, as its size is hundreds of megabytes: install it with
`pip install --group oracles`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpropd import export
from backpropd.engine import ACTIVATIONS
from backpropd.engine.normalizations import NORMALIZATIONS
from backpropd.export.model import Model
from backpropd.export.weights import FORMATS
from tests.export.models import GRAPHS, model_of, numbers_dataset, table_dataset

# Keras asks PyTorch's tensors in a way that NumPy will not take for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
os.environ.setdefault("KERAS_BACKEND", "torch")


def by_torch(model: Model, X: Any) -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with torch.no_grad():
        return export.to_torch(model)(torch.from_numpy(X)).numpy()


def by_keras(model: Model, X: Any) -> Any:
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    return keras.ops.convert_to_numpy(export.to_keras(model)(X))


def assert_close(found: Any, expected: Any, loaded: Any) -> None:
    """To what float32 leaves with Keras, float64 with PyTorch."""
    tolerance = 1e-5 if loaded is by_keras else 1e-9
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


LOADERS = pytest.mark.parametrize("loaded", [by_torch, by_keras])


@LOADERS
@pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
def test_every_activation_and_normalization(loaded: Any, normalization: str | None) -> None:
    """
    All activations side by side in one network.
    """
    layers: list[dict[str, Any]] = [
        {"name": f"{name}-x", "units": 3, "activation": name, "from": ["inputs"]}
        | {"normalization": normalization}
        for name in ACTIVATIONS
    ]
    names = [each["name"] for each in layers]
    layers += [{"units": 4, "activation": "linear", "from": names}]
    dataset = numbers_dataset(3, 4)
    model, predictor = model_of(dataset, layers, "float64")

    assert_close(loaded(model, dataset.inputs), predictor.outputs(dataset.inputs), loaded)


@LOADERS
@pytest.mark.parametrize("graph", list(GRAPHS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_graph_scale_and_gap(loaded: Any, graph: str, dtype: str, tmp_path: Path) -> None:
    dataset = table_dataset(tmp_path / "x", task="classification")
    model, predictor = model_of(dataset, GRAPHS[graph], dtype)
    found = loaded(model, dataset.inputs)
    expected = predictor.outputs(dataset.inputs)

    assert_close(found, expected, by_keras if dtype == "float32" else loaded)


@LOADERS
def test_values_are_in_the_targets_own_units(loaded: Any, tmp_path: Path) -> None:
    dataset = table_dataset(
        tmp_path / "x",
        inputs=["size"],
        targets=["weight"],
        task="regression",
        target_scaling="standard",
    )
    model, predictor = model_of(dataset, [{"units": 1, "activation": "tanh"}], "float64")

    assert_close(loaded(model, dataset.inputs), predictor.outputs(dataset.inputs), loaded)


def test_the_state_of_a_module_has_the_files_names() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    model, _ = model_of(numbers_dataset(3, 3), GRAPHS["shortcut"])
    state = export.to_torch(model).state_dict()

    assert set(model.weights) <= set(state)
    for name, array in model.weights.items():
        assert (state[name].numpy() == array).all()


def test_a_file_of_the_server_is_the_model_again(tmp_path: Path) -> None:
    dataset = table_dataset(tmp_path / "x", task="classification")
    for graph in GRAPHS.values():
        model, _ = model_of(dataset, graph)
        path = tmp_path / "model.safetensors"
        path.write_bytes(FORMATS["safetensors"].write(model))
        back = export.load(path)

        assert (back.theta == model.theta).all()
        assert (back.network, back.classes) == (model.network, model.classes)
        assert export.to_python(back) == export.to_python(model)


def test_a_file_of_weights_alone_is_told_apart(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}))
    with pytest.raises(ValueError, match="weights alone"):
        export.load(path)
