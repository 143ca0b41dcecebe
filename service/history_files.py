"""A history as a file of rows: CSV, JSON Lines, NumPy's npz, Parquet.

Each is written while it is read, a block of rows at a time, so that the length of a history costs
no memory.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.export.numbers import json_safe
from backpropd.spec.faults import Fault, Invalid

Columns = dict[str, NDArray[Any]]  # "epoch", maybe "update" or "time", then the metrics

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "npz": "application/x-npz",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to write: `blocks` may be called again, and gives the same ones each time."""

    dtypes: dict[str, type]  # of each column, in order
    rows: int
    blocks: Callable[[], Iterator[Columns]]


def check_format(kind: str) -> None:
    """Raise Invalid where this installation cannot write such files."""
    if kind == "parquet" and find_spec("pyarrow") is None:
        detail = "Parquet needs pyarrow on the server: pip install 'backpropd[parquet]'"
        raise Invalid([Fault("/format", "not_installed", detail)])


def written(kind: str, table: Table) -> Iterator[bytes]:
    """The file, piece by piece."""
    return _WRITERS[kind](table)


def _csv(table: Table) -> Iterator[bytes]:
    """Every digit is kept: what `float` reads is what was written."""
    yield (",".join(table.dtypes) + "\n").encode()
    for block in table.blocks():
        rows = zip(*(block[name].tolist() for name in table.dtypes), strict=True)
        yield "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()


def _ndjson(table: Table) -> Iterator[bytes]:
    for block in table.blocks():
        columns = [json_safe(block[name].tolist()) for name in table.dtypes]
        rows = (dict(zip(table.dtypes, row, strict=True)) for row in zip(*columns, strict=True))
        yield "".join(json.dumps(row) + "\n" for row in rows).encode()


def _npz(table: Table) -> Iterator[bytes]:
    """A zip of columns, each read for itself, as none of them is held."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", allowZip64=True) as archive:
        for name, dtype in table.dtypes.items():
            # No date: the same rows give the same file.
            place = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(place, "w", force_zip64=True) as member:
                head = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                    "fortran_order": False,
                    "shape": (table.rows,),
                }
                np.lib.format.write_array_header_1_0(member, head)
                for block in table.blocks():
                    member.write(np.ascontiguousarray(block[name], dtype).tobytes())
                    yield sink.taken()
    yield sink.taken()


def _parquet(table: Table) -> Iterator[bytes]:
    """A row group a block."""
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    kinds: dict[Any, Any] = {np.int64: pyarrow.int64(), np.float64: pyarrow.float64()}
    fields = [pyarrow.field(name, kinds[dtype]) for name, dtype in table.dtypes.items()]
    schema = pyarrow.schema(fields)
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for block in table.blocks():
            columns = [pyarrow.array(block[name]) for name in table.dtypes]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


_WRITERS: dict[str, Callable[[Table], Iterator[bytes]]] = {
    "csv": _csv,
    "ndjson": _ndjson,
    "npz": _npz,
    "parquet": _parquet,
}


class _Sink(io.RawIOBase):
    """A file that others write to, and that gives what was written since it was asked last."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, piece: Any) -> int:
        """Take some bytes."""
        self._pieces.append(bytes(piece))
        self._at += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        """How many there were."""
        return self._at

    def taken(self) -> bytes:
        """What nobody has taken yet."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
