"""Files of weights: read by the process that reads every file that somebody sent (data.sandbox)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backpropd.data import npz
from backpropd.data.npz import read_arrays
from backpropd.data.raw import refused
from backpropd.data.reading import UPLOAD
from backpropd.export.model import MissingExtra, Weights
from backpropd.export.weights import from_safetensors, to_npz
from backpropd.spec.limits import Limits

ARCHIVE = "weights.npz"


def read_weights(folder: Path, limits: Limits) -> dict[str, Any]:
    """Name -> shape of the arrays in the file `upload`; beside it they are left as an archive.

    Raises Invalid for anything that is no such file.
    """
    path = folder / UPLOAD
    with path.open("rb") as file:
        start = file.read(4)
    arrays = read_arrays(path, limits, kinds="f") if start[:2] == npz.MAGIC[:2] else _tensors(path)
    if not arrays:
        raise refused("empty", "The file has no arrays.")
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.ndim > 2:
            detail = f"{name[:80]!r} is {array.dtype} of shape {array.shape}; weights are floats."
            raise refused("wrong_type", detail)
        if not name.isprintable() or len(name) > limits.name_length:
            raise refused("bad_value", "Names are of characters that can be shown, 200 at most.")
    # In one order, so that the same arrays are the same content.
    native = {n: arrays[n].astype(arrays[n].dtype.newbyteorder("=")) for n in sorted(arrays)}
    (folder / ARCHIVE).write_bytes(to_npz(native, {}))
    return {name: list(array.shape) for name, array in native.items()}


def _tensors(path: Path) -> Weights:
    try:
        return from_safetensors(path.read_bytes())
    except MissingExtra as error:
        raise refused("not_installed", f"{error}.") from None
    except ValueError:
        detail = "The file is neither a NumPy archive nor safetensors."
        raise refused("wrong_format", detail) from None
