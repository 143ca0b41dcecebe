"""Tables that come row by row as text: read twice, a few thousand rows at a time.

First to learn what each column is, then into arrays; the cells are never held all at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from backpropd.data import cells
from backpropd.data.raw import CellFaults, Kind, RawColumn, refused
from backpropd.spec.limits import Limits

CELLS_AT_ONCE = 1 << 16

Row = tuple[int, list[str]]  # (line, cells)


class RowTable(ABC):
    """A table that is read row by row; each row has a cell for each column."""

    decimal = "."

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.kinds: list[Kind] = []
        self.reading: dict[str, Any] = {}
        self.guessed: list[str] = []
        self._lines = array("q")

    @abstractmethod
    def rows(self, faults: CellFaults) -> Iterator[Row]:
        """Every row below the names, from the start; a row of another width goes to `faults`."""

    def line(self, row: int) -> int:
        """Where a row (counted from 0) stands in the file, counted from 1."""
        return self._lines[row]

    def survey(self, names: Sequence[str]) -> None:
        """First reading: what each column holds."""
        check_width(len(names), self.limits)
        self.kinds = [Kind(name) for name in names]
        faults = CellFaults()
        most = self.limits.dataset_cells // len(names)
        for lines, columns in self._batches(faults, len(names)):
            self._lines.extend(lines)
            if len(self._lines) > most:
                detail = f"More than {self.limits.dataset_cells:,} cells."
                raise refused("too_large", detail)
            for kind, column in zip(self.kinds, columns, strict=True):
                cells.survey(kind, column, self.decimal)
        faults.check()
        if not self._lines:
            raise refused("empty", "The file has a header and no rows below it.")

    def columns(self, wanted: set[str], faults: CellFaults) -> dict[str, RawColumn]:
        """Second reading: numbers, or each word's number in sorted order."""
        names = [kind.name for kind in self.kinds]
        known = {
            kind.name: {word: code for code, word in enumerate(sorted(kind.categories))}
            for kind in self.kinds
            if not kind.is_number and kind.name in wanted
        }
        parts: dict[str, list[Any]] = {name: [] for name in names if name in wanted}
        for lines, columns in self._batches(CellFaults(), len(names)):
            for name, column in zip(names, columns, strict=True):
                if name in known:
                    parts[name].append(cells.codes(column, known[name]))
                elif name in parts:
                    found = cells.numbers(name, column, lines, self.decimal, faults)
                    parts[name].append(found)
        out = {}
        for name, part in parts.items():
            whole = np.concatenate(part)
            words = tuple(known[name]) if name in known else ()
            numbers, codes = (None, whole) if name in known else (whole, None)
            out[name] = RawColumn(name, numbers, codes, words)
        return out

    def _batches(
        self, faults: CellFaults, width: int
    ) -> Iterator[tuple[list[int], list[tuple[str, ...]]]]:
        rows = self.rows(faults)
        while batch := list(islice(rows, max(1, CELLS_AT_ONCE // width))):
            lines, cells_of_rows = zip(*batch, strict=True)
            yield list(lines), list(zip(*cells_of_rows, strict=True))


def check_width(columns: int, limits: Limits) -> None:
    """Refuse a table of too many columns."""
    if columns > limits.dataset_columns:
        detail = f"{columns:,} columns; at most {limits.dataset_columns:,}."
        raise refused("too_large", detail)
