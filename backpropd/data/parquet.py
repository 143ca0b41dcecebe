"""Parquet files: sizes are added up from the footer first, then row groups are read one by one."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from backpropd.data.raw import MOST_CATEGORIES, CellFaults, Kind, RawColumn, refused
from backpropd.data.rows import check_width
from backpropd.spec.limits import Limits

MAGIC = b"PAR1"
FOOTER_BYTES = 16 * 2**20
THRIFT_ITEMS = 1_000_000
CELLS_AT_ONCE = 1 << 18


class ParquetTable:
    """A Parquet file; its rows are counted from 1."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.guessed: list[str] = []
        self.reading: dict[str, Any] = {"format": "parquet"}
        self.file = _opened(path, limits)
        metadata = self.file.metadata
        check_width(metadata.num_columns, limits)
        _check_sizes(metadata, limits)
        if metadata.num_rows == 0 or metadata.num_columns == 0:
            raise refused("empty", "The file has no rows.")
        self.at_once = max(1, CELLS_AT_ONCE // metadata.num_columns)
        fields = self.file.schema_arrow
        double = {name for name, count in Counter(fields.names).items() if count > 1}
        if double:
            detail = f"Two columns have the same name: {', '.join(sorted(double))[:200]}."
            raise refused("duplicate_column", detail)
        self.kinds = [Kind(name) for name in fields.names]
        self._survey()

    def line(self, row: int) -> int:
        """The row, counted from 1."""
        return row + 1

    def columns(self, wanted: set[str], faults: CellFaults) -> dict[str, RawColumn]:
        """The values of these columns, of which all can be read."""
        chosen = [kind for kind in self.kinds if kind.name in wanted]
        parts: dict[str, list[Any]] = {kind.name: [] for kind in chosen}
        known = {
            kind.name: {word: code for code, word in enumerate(sorted(kind.categories))}
            for kind in chosen
            if not kind.is_number
        }
        start = 0
        for batch in self._batches([kind.name for kind in chosen]):
            for kind in chosen:
                column = batch.column(kind.name)
                if kind.name in known:
                    words = _words(column)
                    of = known[kind.name]
                    codes = [-1 if word is None else of.get(word, -1) for word in words]
                    parts[kind.name].append(np.array(codes, np.int64))
                    continue
                values = _numbers(column)
                for place in np.flatnonzero(np.isinf(values)):
                    detail = "it is not a finite number"
                    faults.cell(start + int(place) + 1, kind.name, "not_finite", detail)
                parts[kind.name].append(values)
            start += batch.num_rows
        out = {}
        for name, part in parts.items():
            whole = np.concatenate(part)
            if name in known:
                out[name] = RawColumn(name, None, whole, tuple(known[name]))
            else:
                out[name] = RawColumn(name, whole, None, ())
        return out

    def _survey(self) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        words = []
        for kind, field in zip(self.kinds, self.file.schema_arrow, strict=True):
            of = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_boolean(of):
                words.append(kind)
            elif pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
                kind.numbers = 1
            else:
                kind.unreadable = str(field.type)[:80]
        for batch in self._batches([kind.name for kind in words]):
            for kind in words:
                found = set(_words(batch.column(kind.name).unique()))
                kind.words += batch.num_rows
                new = [word for word in found if word is not None]
                kind.categories |= set(new[: MOST_CATEGORIES + 1])

    def _batches(self, names: list[str]) -> Any:
        if not names:
            return
        import pyarrow as pa  # noqa: PLC0415 - an extra

        try:
            yield from self.file.iter_batches(self.at_once, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise refused("bad_parquet", f"The file is damaged: {str(error)[:200]}") from None


def _opened(path: Path, limits: Limits) -> Any:
    """The file, its footer read within limits."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        detail = "This server reads no Parquet: pip install 'backpropd[parquet]' adds it."
        raise refused("not_installed", detail) from None
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < 12 or file.read(4) != MAGIC:
            raise refused("bad_parquet", "The file does not begin as Parquet does.")
        file.seek(-8, 2)
        length, mark = struct.unpack("<I4s", file.read(8))
    if mark != MAGIC or length > min(size - 12, FOOTER_BYTES):
        raise refused("bad_parquet", "The file does not end as Parquet does.")
    try:
        return ParquetFile(
            path,
            memory_map=False,
            pre_buffer=False,
            thrift_string_size_limit=FOOTER_BYTES,
            thrift_container_size_limit=THRIFT_ITEMS,
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refused("bad_parquet", f"The file is damaged: {str(error)[:200]}") from None


def _check_sizes(metadata: Any, limits: Limits) -> None:
    """What the footer says that the file holds, before any of it is read."""
    if metadata.num_rows * metadata.num_columns > limits.dataset_cells:
        detail = f"{metadata.num_rows:,} rows of {metadata.num_columns:,} columns; at most "
        raise refused("too_large", f"{detail}{limits.dataset_cells:,} cells.")
    total = rows = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        rows += group.num_rows
        for column in range(metadata.num_columns):
            chunk = group.column(column)
            if chunk.num_values < 0 or chunk.num_values > limits.dataset_cells:
                raise refused("bad_parquet", "The footer contradicts itself.")
            total += max(chunk.total_uncompressed_size, 0)
    if rows != metadata.num_rows:
        raise refused("bad_parquet", "The footer contradicts itself.")
    if total > limits.dataset_unpacked_bytes:
        detail = f"{total:,} bytes unpacked; at most {limits.dataset_unpacked_bytes:,}."
        raise refused("too_large", detail)


def _words(column: Any) -> list[str | None]:
    """Words, and truth values as words; None where missing."""
    words = [
        str(value).lower() if isinstance(value, bool) else value for value in column.to_pylist()
    ]
    return [None if word is None or not word.strip() else word.strip() for word in words]


def _numbers(column: Any) -> Any:
    """Numbers (n,) in float64, NaN where missing."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(values, np.float64)
