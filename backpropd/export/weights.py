"""A network's weights in the formats of the contract, each array under its layer's name.

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
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from backpropd.export.numbers import json_safe
from backpropd.spec.build import build_network
from backpropd.spec.network import NetworkSpec

Weights = dict[str, NDArray[np.floating[Any]]]


def named_weights(network: NetworkSpec, theta: NDArray[np.floating[Any]]) -> Weights:
    """The arrays of a network in its flat parameter vector theta (P,).

    Raises ValueError where theta is another network's.
    """
    if theta.shape != (network.parameter_count,):
        detail = f"theta has shape {theta.shape}, not {network.parameter_count} parameters"
        raise ValueError(detail)
    return build_network(network, dtype=str(theta.dtype)).layout.views(theta)


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


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write weights down."""

    content_type: str
    write: Callable[[Weights, Mapping[str, Any]], bytes]


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", to_json),
    "npz": Format("application/x-npz", to_npz),
}
