"""NumPy archives: what each member declares is added up before anything is unpacked.

Either two arrays, `inputs` (N, I) and `targets` (N, O) or (N,), also called X and y; or a column
an array, each (N,); or one array (N, columns). No pickles: numbers and truth values alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from backpropd.data.raw import CellFaults, Kind, RawColumn, refused
from backpropd.data.rows import check_width
from backpropd.data.table import Floats
from backpropd.spec.limits import MEBIBYTE, Limits

MAGIC = b"PK\x03\x04"
HEADER_BYTES = 4096  # of an .npy member; NumPy's own are some hundred
PAIRS = (("inputs", "targets"), ("X", "y"), ("x", "y"))
# Of whatever kind a damaged archive makes the readers stumble.
DAMAGE = (BadZipFile, NotImplementedError, zlib.error, ValueError, EOFError, OSError, struct.error)


class NpzTable:
    """An archive; its rows are counted from 1."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.guessed: list[str] = []
        self.reading: dict[str, Any] = {"format": "npz"}
        arrays = read_arrays(path, limits)
        self.targets: tuple[str, ...] | None = None
        pair = next((pair for pair in PAIRS if set(pair) == set(arrays)), None)
        if pair is not None:
            X, Y = (_matrix(name, arrays[name]) for name in pair)
            names = [f"x{i}" for i in range(1, X.shape[1] + 1)]
            self.targets = tuple(f"y{i}" for i in range(1, Y.shape[1] + 1))
            if len(X) != len(Y):
                detail = f"{len(X)} rows of {pair[0]} and {len(Y)} of {pair[1]}."
                raise refused("shape_mismatch", detail)
            columns = [*X.T, *Y.T]
            names += self.targets
        elif len(arrays) == 1 and next(iter(arrays.values())).ndim == 2:
            (X,) = arrays.values()
            names, columns = [f"x{i}" for i in range(1, X.shape[1] + 1)], list(X.T)
        else:
            names, columns = list(arrays), list(arrays.values())
            if any(array.ndim != 1 or len(array) != len(columns[0]) for array in columns):
                detail = "Give `inputs` and `targets`, or a column an array, all equally long."
                raise refused("shape_mismatch", detail)
        if not columns or not len(columns[0]):
            raise refused("empty", "The file has no rows.")
        check_width(len(columns), limits)
        self._columns = dict(zip(names, columns, strict=True))
        self.kinds = [Kind(name, numbers=1) for name in names]

    def line(self, row: int) -> int:
        """The row, counted from 1."""
        return row + 1

    def columns(self, wanted: set[str], faults: CellFaults) -> dict[str, RawColumn]:
        """The values of these columns in float64."""
        out = {}
        for name in (name for name in self._columns if name in wanted):
            values = np.array(self._columns[name], np.float64)
            for row in np.flatnonzero(np.isinf(values)):
                faults.cell(int(row) + 1, name, "not_finite", "it is not a finite number")
            out[name] = RawColumn(name, values, None, ())
        return out


def read_arrays(
    source: Path | IO[bytes], limits: Limits, *, kinds: str = "biuf"
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays in an archive, by name; raises Invalid for anything that is none, or too large."""
    try:
        with ZipFile(source) as archive:
            members = archive.infolist()
            _check_members(members, limits)
            return {_name(each): _array(archive, each, limits, kinds) for each in members}
    except (*DAMAGE, RuntimeError) as error:
        if isinstance(error, ValueError) and hasattr(error, "faults"):
            raise
        raise refused("bad_npz", f"This is no NumPy archive: {str(error)[:200]}") from None


def _check_members(members: list[ZipInfo], limits: Limits) -> None:
    if len(members) > limits.dataset_columns:
        raise refused("too_large", f"{len(members):,} arrays; at most {limits.dataset_columns:,}.")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > limits.dataset_unpacked_bytes or total > max(
        MEBIBYTE, limits.dataset_ratio * packed
    ):
        detail = f"{total:,} bytes unpacked from {packed:,}; at most "
        detail += f"{limits.dataset_unpacked_bytes:,}, and {limits.dataset_ratio} times as many."
        raise refused("too_large", detail)
    if len({member.filename for member in members}) != len(members):
        raise refused("bad_npz", "Two arrays have the same name.")
    for member in members:
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or member.flag_bits & 1:
            raise refused("bad_npz", "Arrays are stored or deflated, and not encrypted.")


def _name(member: ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _array(
    archive: ZipFile, member: ZipInfo, limits: Limits, kinds: str
) -> np.ndarray[Any, np.dtype[Any]]:
    """An array, its header's length and its size checked before either is read."""
    name = repr(_name(member)[:80])
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        wide = version != (1, 0)
        (length,) = struct.unpack("<I" if wide else "<H", file.read(4 if wide else 2))
        if length > HEADER_BYTES:
            raise refused("bad_npz", f"The header of {name} has {length:,} bytes.")
        header = struct.pack("<H", length) + file.read(length)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header))
        if dtype.kind not in kinds:
            detail = f"{name} holds {dtype}; numbers and truth values are read, no objects or text."
            raise refused("wrong_type", detail)
        cells = 1
        for side in shape:  # in whole numbers of Python, which do not overflow
            cells *= int(side)
        if cells > limits.dataset_cells or len(shape) > 2:
            detail = f"{name} has shape {shape}; at most 2 sides and {limits.dataset_cells:,} cells"
            raise refused("too_large", f"{detail}.")
        size = cells * dtype.itemsize
        if size > member.file_size:
            raise refused("bad_npz", f"{name} ends too early.")
        content = file.read(size)
    if len(content) != size:
        raise refused("bad_npz", f"{name} ends too early.")
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _matrix(name: str, array: Floats) -> Floats:
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise refused("shape_mismatch", f"{name!r} has shape {array.shape}; (N, columns) is needed")
    return array
