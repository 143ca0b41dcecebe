"""A trained network in the formats of the contract, each array under its layer's name.

Names inside are `{layer}.weight` of shape (units, fan_in) and `{layer}.bias` of shape (units,);
what is shared or tied stands written out. Layers that normalize or learn more have more arrays of
shape (units,), `{layer}.gain` for one.
A new format is one function in the mapping at the end.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from backpropd.export.initial import begun_with
from backpropd.export.model import Model, Weights, named_weights, needed
from backpropd.export.numbers import json_safe
from backpropd.export.onnx_graph import to_onnx
from backpropd.export.predictor import to_python
from backpropd.spec.base import parse
from backpropd.spec.network import NetworkSpec

ABOUT = "backpropd"  # of a safetensors file's metadata: network, encoding, schema, job

__all__ = ["FORMATS", "Weights", "from_npz", "named_weights"]


def theta_of(content: bytes, dtype: str) -> NDArray[np.floating[Any]]:
    """The parameter vector (P,) that a snapshot's content is."""
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype)


def theta_bytes(theta: NDArray[np.floating[Any]]) -> bytes:
    """theta (P,) as a snapshot's content: little-endian, whatever machine trained it."""
    return theta.astype(theta.dtype.newbyteorder("<"), copy=False).tobytes()


def to_json(weights: Weights, about: Mapping[str, Any]) -> bytes:
    """{"weights": {name: rows}} beside what is known about them; every digit is kept."""
    document = {**about, "weights": json_safe(weights)}
    return json.dumps(document, allow_nan=False).encode()


def to_npz(weights: Weights, about: Mapping[str, Any]) -> bytes:
    """A NumPy archive, for `numpy.load`; equal weights give equal bytes."""
    out = io.BytesIO()
    np.savez(out, **weights)  # type: ignore[arg-type]
    return out.getvalue()


def from_npz(content: bytes) -> Weights:
    """The arrays that `to_npz` wrote; raises ValueError for anything that is no such archive."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
        raise ValueError("this is no archive of weights") from error


def from_safetensors(content: bytes) -> Weights:
    """The arrays in a safetensors file; raises ValueError for anything that is none."""
    read = needed("safetensors.numpy", "export")
    try:
        found: Weights = read.load(content)
    except Exception as error:  # of the Rust library, whose errors have no class in common
        raise ValueError("this is no safetensors file") from error
    return found


def load(file: Path | str) -> Model:
    """The trained network in a safetensors file that a server wrote.

    Raises ValueError where it is none, or only weights.
    """
    content = Path(file).read_bytes()
    weights = from_safetensors(content)
    length = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    if ABOUT not in about:
        raise ValueError("the file holds weights alone, and not what they are of")
    kept = json.loads(about[ABOUT])
    network = parse(NetworkSpec, kept["network"])
    dtype = next(iter(weights.values())).dtype
    return Model(
        network=network,
        theta=begun_with(network, np.zeros(network.parameter_count, dtype), weights),
        encoding=kept["encoding"],
        schema=kept["schema"],
        about=kept["about"],
    )


def _safetensors_of(model: Model) -> bytes:
    """A safetensors file; definition, encoding and columns are in its metadata, as JSON."""
    write = needed("safetensors.numpy", "export")
    about = {
        "about": model.about,
        "network": model.network.definition(),
        "encoding": model.encoding,
        "schema": model.schema,
    }
    metadata = {ABOUT: json.dumps(about)}  # one entry, as they are written in no order
    arrays = {name: np.ascontiguousarray(array) for name, array in model.weights.items()}
    content: bytes = write.save(arrays, metadata=metadata)
    return content


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a trained network down."""

    content_type: str
    ending: str
    write: Callable[[Model], bytes]


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", "json", lambda model: to_json(model.weights, model.about)),
    "npz": Format("application/x-npz", "npz", lambda model: to_npz(model.weights, model.about)),
    "safetensors": Format("application/vnd.safetensors", "safetensors", _safetensors_of),
    "onnx": Format("application/vnd.onnx", "onnx", to_onnx),
    "python": Format("text/x-python; charset=utf-8", "py", to_python),
}
