"""Rows to predict for, encoded as the training rows were: from a request, or from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backpropd.data import sandbox
from backpropd.data.assembly import one_hot
from backpropd.data.encoding import places
from backpropd.data.files import opened
from backpropd.data.raw import MADE_UP, CellFaults, Kind, RawColumn, Table, refused
from backpropd.data.reading import UPLOAD
from backpropd.data.rows import RowTable
from backpropd.data.table import Column, Floats
from backpropd.spec.base import MOST_FAULTS, NOT_NUMBERS
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Fault, Invalid, pointer_to, unknown_name
from backpropd.spec.limits import Limits

ENCODED = "inputs.npy"
MOST_WARNINGS = 50
NO_CELL = object()


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """Encoded rows X (N, I), NaN where missing, and what a person should know of them."""

    X: Floats
    warnings: tuple[str, ...]


def encoded(rows: Sequence[Any], columns: Sequence[Column], *, fills: bool) -> Incoming:
    """Rows as JSON has them: lists or objects of cells, or lists of encoded inputs.

    `fills`: missing values are filled later. Raises Invalid, pointers within the list of rows.
    """
    columns = [column for column in columns if column.role == "input"]
    width = sum(column.width for column in columns)
    fast = _all_encoded(rows, width, len(columns))
    if fast is not None:
        return Incoming(fast, ())
    reader = _RowReader(columns, fills)
    X = np.full((len(rows), width), np.nan)
    for place, row in enumerate(rows):
        if isinstance(row, list) and len(row) == width != len(columns):
            X[place] = reader.numbers(place, row)
        else:
            reader.cells(place, row, X[place])
        if len(reader.faults) >= MOST_FAULTS:
            break
    if reader.faults:
        raise Invalid(reader.faults)
    return Incoming(X, tuple(reader.warnings))


def _all_encoded(rows: Sequence[Any], width: int, columns: int) -> Floats | None:
    """Rows of numbers alone, the usual case, without a look at each."""
    if columns != width and len(rows[0]) == columns:
        return None
    if not all(isinstance(row, list) and len(row) == width for row in rows):
        return None
    if not all(set(map(type, row)) <= {int, float} for row in rows):
        return None
    try:
        X = np.array(rows, np.float64)
    except OverflowError:
        return None
    return X if np.isfinite(X).all() else None


class _RowReader:
    """Reads rows cell by cell, and remembers what was wrong."""

    def __init__(self, columns: Sequence[Column], fills: bool) -> None:
        self.columns, self.fills = columns, fills
        self.place = [place for _, place in places(columns)]
        self.codes = [{w: k for k, w in enumerate(c.categories or ())} for c in columns]
        self.names = [column.name for column in columns]
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def numbers(self, place: int, row: Sequence[Any]) -> list[float]:
        """A row of encoded inputs."""
        return [self._number(cell, (place, i)) for i, cell in enumerate(row)]

    def cells(self, place: int, row: Any, out: Floats) -> None:
        """A row of cells, into its encoded inputs."""
        if isinstance(row, Mapping):
            keys: Sequence[str | int] = self.names
            for name in row.keys() - set(self.names):
                detail = unknown_name("input column", str(name), self.names[:100])
                self.faults.append(Fault(pointer_to(place, name), "unknown_name", detail))
            values = [row.get(name, NO_CELL) for name in self.names]
        else:
            keys, values = range(len(row)), row
            if len(row) != len(self.columns):
                width = self.place[-1].stop
                takes = f"the network takes {width}"
                if width != len(self.columns):
                    takes = f"a row has {len(self.columns)}, or {width} encoded"
                detail = f"{len(row)} values are given; {takes}."
                self.faults.append(Fault(pointer_to(place), "shape_mismatch", detail))
                return
        for index, (key, cell) in enumerate(zip(keys, values, strict=True)):
            at, where = self.place[index], (place, key)
            if cell is NO_CELL and not self.fills:
                detail = "This column of the training data is missing."
                self.faults.append(Fault(pointer_to(*where), "missing", detail))
            elif self.columns[index].categories is None:
                out[at] = self._number(None if cell is NO_CELL else cell, where)
            elif cell is not None and cell is not NO_CELL:
                self._word(index, cell, where, out[at])
            elif not self.fills:
                self._miss(where)

    def _number(self, cell: Any, where: tuple[str | int, ...]) -> float:
        if cell is None:
            if not self.fills:
                self._miss(where)
            return math.nan
        if type(cell) in (int, float):
            try:
                if math.isfinite(cell):
                    return float(cell)
            except OverflowError:
                pass
        code = "wrong_type"
        if type(cell) in (int, float) or cell in NOT_NUMBERS:
            code = "not_finite"
        detail = f"A finite number is needed here; given: {str(cell)[:40]!r}."
        self.faults.append(Fault(pointer_to(*where), code, detail))
        return math.nan

    def _word(self, index: int, cell: Any, where: tuple[str | int, ...], out: Floats) -> None:
        if isinstance(cell, list | dict):
            detail = "A word is needed here."
            self.faults.append(Fault(pointer_to(*where), "wrong_type", detail))
            return
        word = _as_word(cell)
        out[:] = 0
        if word in self.codes[index]:
            out[self.codes[index][word]] = 1
        elif len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(_unknown_word(f"row {where[0]}", self.names[index], word))

    def _miss(self, where: tuple[str | int, ...]) -> None:
        detail = "A value is needed here: the dataset refused missing ones."
        self.faults.append(Fault(pointer_to(*where), "missing", detail))


def _as_word(cell: Any) -> str:
    """A cell as it stands in a file."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _unknown_word(where: str, column: str, word: str) -> str:
    return f"{where}, column {column!r}: {word[:40]!r} was not there in training; it counts as none"


def encoded_apart(
    folder: Path,
    columns: Sequence[Column],
    upload: UploadSpec,
    named: str | None,
    *,
    fills: bool,
    limits: Limits,
) -> Incoming:
    """The rows in the file `upload` of this folder, read in a process with limits of its own."""
    warnings = sandbox.run(_write_inputs, folder, limits, tuple(columns), upload, named, fills)
    return Incoming(np.load(folder / ENCODED, allow_pickle=False), tuple(warnings))


def _write_inputs(
    folder: Path,
    limits: Limits,
    columns: Sequence[Column],
    upload: UploadSpec,
    named: str | None,
    fills: bool,
) -> list[str]:
    table = opened(folder / UPLOAD, upload, named, limits)
    incoming = table_inputs(table, columns, fills=fills, limits=limits)
    np.save(folder / ENCODED, incoming.X)
    return list(incoming.warnings)


def table_inputs(
    table: Table, columns: Sequence[Column], *, fills: bool, limits: Limits
) -> Incoming:
    """The rows of a table; its other columns are not looked at. Raises Invalid."""
    wanted = [column for column in columns if column.role == "input"]
    names = _found(table.kinds, wanted)
    for kind in table.kinds:
        if kind.name in names:
            _take_as(kind, names[kind.name], typed=not isinstance(table, RowTable))
    faults = CellFaults()
    found = table.columns(set(names), faults)
    by_column = {names[name].name: column for name, column in found.items()}
    parts, warnings = [], []
    for column in wanted:
        raw = by_column[column.name]
        if len(raw.is_missing) > limits.predict_rows:
            detail = f"{len(raw.is_missing):,} rows; at most {limits.predict_rows:,}."
            raise refused("too_large", detail)
        if not fills:
            for row in np.flatnonzero(raw.is_missing):
                detail = "the cell is empty, and the dataset refused missing values"
                faults.cell(table.line(int(row)), raw.name, "missing", detail)
        part, unknown = _encoded_column(raw, column)
        parts.append(part)
        warnings += [_unknown_word("the file", raw.name, word) for word in unknown]
    faults.check()
    return Incoming(np.concatenate(parts, axis=1), tuple(warnings[:MOST_WARNINGS]))


def _found(kinds: Sequence[Kind], wanted: Sequence[Column]) -> dict[str, Column]:
    """The table's columns by name; where it has none of them and no names, by their order."""
    there = {kind.name for kind in kinds}
    missing = [column.name for column in wanted if column.name not in there]
    nameless = all(MADE_UP.fullmatch(kind.name) for kind in kinds)
    if missing and nameless and len(kinds) >= len(wanted):
        return {kind.name: column for kind, column in zip(kinds, wanted, strict=False)}
    if missing:
        told = ", ".join(missing[:20])
        raise refused("missing_column", f"The file lacks columns of the training data: {told}.")
    return {column.name: column for column in wanted}


def _take_as(kind: Kind, column: Column, *, typed: bool) -> None:
    """Let a column be of the kind that was trained on; text can be either."""
    holds = kind.unreadable
    if typed and kind.is_number != (column.categories is None):
        holds = "numbers" if kind.is_number else "words"
    if holds is not None:
        was = "numbers" if column.categories is None else "words"
        raise refused("wrong_type", f"column {kind.name!r} holds {holds}; in training, {was}.")
    if column.categories is None:
        kind.numbers, kind.words = 1, 0
    else:
        kind.numbers, kind.words = 0, 1


def _encoded_column(raw: RawColumn, column: Column) -> tuple[Floats, list[str]]:
    """(its encoded inputs (N, width), words that training did not have)."""
    if column.categories is None:
        assert raw.numbers is not None
        return raw.numbers[:, None], []
    assert raw.codes is not None
    known = {word: code for code, word in enumerate(column.categories)}
    own = one_hot(raw)
    out = np.zeros((len(own), column.width))
    for code, word in enumerate(raw.categories):
        if word in known:
            out[:, known[word]] = own[:, code]
    out[raw.is_missing] = np.nan
    return out, [word for word in raw.categories if word not in known]
