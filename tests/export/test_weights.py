"""Weights in files: named as the contract says, exact in every format."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from backpropd.export.model import MissingExtra, needed
from backpropd.export.weights import (
    FORMATS,
    from_npz,
    from_safetensors,
    named_weights,
    theta_bytes,
    theta_of,
    to_json,
    to_npz,
)
from backpropd.spec.base import parse
from backpropd.spec.build import build_network
from backpropd.spec.network import NetworkSpec
from tests.export.models import GRAPHS, model_of, numbers_dataset

SPEC = parse(
    NetworkSpec,
    {
        "inputs": 3,
        "layers": [
            {"name": "hidden", "units": 2, "activation": "tanh"},
            {"name": "plain", "units": 4, "activation": "relu", "use_bias": False},
            {
                "name": "output",
                "units": 2,
                "activation": "linear",
                "from": ["inputs", "plain", "hidden"],
            },
        ],
    },
)
AWKWARD = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 0.1]


def theta(dtype: Any = np.float64) -> Any:
    """Every parameter another number, so that none can be taken for another."""
    return np.arange(SPEC.parameter_count).astype(dtype) / 3


def test_the_arrays_have_the_contracts_names_and_shapes() -> None:
    shapes = {name: array.shape for name, array in named_weights(SPEC, theta()).items()}

    assert {
        "hidden.weight": (2, 3),
        "hidden.bias": (2,),
        "plain.weight": (4, 2),
        "output.weight": (2, 9),
        "output.bias": (2,),
    } == shapes


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_they_lie_in_theta_where_the_engine_has_them(dtype: str) -> None:
    network = build_network(SPEC, dtype=dtype)
    views = network.layout.views(theta(dtype))
    named = named_weights(SPEC, theta(dtype))

    assert list(views) == list(named)
    for name, view in views.items():
        np.testing.assert_array_equal(view, named[name])


@pytest.mark.parametrize("length", [SPEC.parameter_count - 1, SPEC.parameter_count + 1])
def test_a_theta_of_another_network_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"{SPEC.parameter_count} parameters"):
        named_weights(SPEC, np.zeros(length))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_snapshots_content_is_theta_to_the_last_bit(dtype: str) -> None:
    values = np.array(AWKWARD, dtype)
    content = theta_bytes(values)
    back = theta_of(content, dtype)

    assert values.astype(np.dtype(dtype).newbyteorder("<")).tobytes() == content
    assert values.tobytes() == back.tobytes()
    assert np.dtype(dtype) == back.dtype
    assert back.flags.writeable


def test_content_is_little_endian_whatever_the_array_was() -> None:
    values = np.array(AWKWARD)

    assert theta_bytes(values) == theta_bytes(values.astype(">f8"))


def test_an_archive_gives_back_every_bit() -> None:
    weights = named_weights(SPEC, theta("float32"))
    weights["hidden.bias"] = np.array(AWKWARD)
    back = from_npz(to_npz(weights, {}))

    assert list(weights) == list(back)
    for name, array in weights.items():
        assert (array.dtype, array.shape) == (back[name].dtype, back[name].shape)
        assert array.tobytes() == back[name].tobytes()


def test_equal_weights_give_equal_archives() -> None:
    assert to_npz(named_weights(SPEC, theta()), {}) == to_npz(named_weights(SPEC, theta()), {})


def test_numpy_alone_reads_the_archive() -> None:
    with np.load(io.BytesIO(to_npz(named_weights(SPEC, theta()), {}))) as archive:
        assert (4, 2) == archive["plain.weight"].shape


def test_what_is_no_archive_is_refused() -> None:
    pickled = io.BytesIO()
    np.savez(pickled, a=np.array([{}], dtype=object))
    lone = io.BytesIO()
    np.save(lone, np.zeros(3))
    whole = to_npz(named_weights(SPEC, theta()), {})
    torn, changed = whole[:-40], whole.replace(whole[200:208], b"8 bytes!")
    for content in (b"", b"nonsense", pickled.getvalue(), lone.getvalue(), torn, changed):
        with pytest.raises(ValueError, match="no archive of weights"):
            from_npz(content)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_json_keeps_every_digit(dtype: str) -> None:
    weights = named_weights(SPEC, theta(dtype))
    weights["hidden.bias"] = np.array(AWKWARD, dtype)
    document = json.loads(to_json(weights, {"epoch": 3}), parse_constant=pytest.fail)

    assert document["epoch"] == 3
    for name, array in weights.items():
        back = np.array(document["weights"][name], dtype=object).astype(float).astype(dtype)
        assert array.shape == back.shape
        np.testing.assert_array_equal(array, back)


def test_every_format_writes() -> None:
    """
    A format is a content type, an ending and a function; those that are offered, and no other.
    """
    model, _ = model_of(numbers_dataset(3, 3), GRAPHS["chain"])

    assert {"json", "npz", "safetensors", "onnx", "python"} == set(FORMATS)
    assert all(each.write(model) for each in FORMATS.values())


def test_safetensors_hold_every_bit_and_the_definition() -> None:
    model, _ = model_of(numbers_dataset(3, 3), GRAPHS["chain"])
    content = FORMATS["safetensors"].write(model)
    back = from_safetensors(content)
    length = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["backpropd"])

    assert {name: array.tobytes() for name, array in model.weights.items()} == {
        name: array.tobytes() for name, array in back.items()
    }
    assert parse(NetworkSpec, about["network"]) == model.network
    assert about["encoding"] == model.encoding
    assert content == FORMATS["safetensors"].write(model)
    for damaged in (b"", content[:-3], b"\xff" * 100, content.replace(b"F32", b"X32")):
        with pytest.raises(ValueError, match="no safetensors file"):
            from_safetensors(damaged)


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'backpropd\[export\]'"):
        needed("no_such_module.at_all", "export")
