"""A table as a file gives it: columns of numbers or of words, nothing encoded yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backpropd.data.table import Floats
from backpropd.spec.faults import Fault, Invalid

MOST_CELLS_TOLD = 50  # bad cells; whoever has more has another problem
MOST_CATEGORIES = 1000  # of one column; more of them are names, not categories

# Names that columns have which were given none.
MADE_UP = re.compile(r"(x|y|column)\d+")

Codes = NDArray[np.int64]


@dataclass(slots=True)
class Kind:
    """What is learned of a column before its values are kept."""

    name: str
    numbers: int = 0
    words: int = 0
    missing: int = 0
    categories: set[str] = field(default_factory=set)  # one more than MOST_CATEGORIES at most
    unreadable: str | None = None  # what it holds instead of numbers or words
    named: bool = True  # False where its place in the header is empty

    @property
    def is_number(self) -> bool:
        """A stray word among numbers is a fault of its cell, not another kind of column."""
        return self.numbers >= self.words


@dataclass(frozen=True, slots=True, eq=False)
class RawColumn:
    """The values of a column."""

    name: str
    numbers: Floats | None  # (N,), NaN where missing; None for words
    codes: Codes | None  # (N,), into `categories`, -1 where missing; None for numbers
    categories: tuple[str, ...]  # sorted

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """(N,)"""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    def taken(self, rows: NDArray[Any]) -> RawColumn:
        """Those rows alone."""
        numbers = None if self.numbers is None else self.numbers[rows]
        codes = None if self.codes is None else self.codes[rows]
        return RawColumn(self.name, numbers, codes, self.categories)


class Table(Protocol):
    """A file that has been opened and looked through once."""

    kinds: list[Kind]  # of its columns, in order
    reading: dict[str, Any]  # how it was read: format, encoding, separator, ...
    guessed: list[str]  # which of that nobody said

    def columns(self, wanted: set[str], faults: CellFaults) -> dict[str, RawColumn]:
        """The values of these columns; bad cells go to `faults`."""

    def line(self, row: int) -> int:
        """Where the row (counted from 0) stands in the file, counted from 1."""


class CellFaults:
    """Bad cells, as many as a person will look at."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.more = 0

    def cell(self, line: int, column: str, code: str, detail: str) -> None:
        """Note a bad cell."""
        if len(self.found) < MOST_CELLS_TOLD:
            self.found.append(Fault("", code, f"row {line}, column {column[:80]!r}: {detail}"))
        else:
            self.more += 1

    def check(self) -> None:
        """Raise Invalid with what was found."""
        found = self.found
        if self.more:
            found = [*found, Fault("", "more_faults", f"and {self.more} more bad cells")]
        if found:
            raise Invalid(found)


def refused(code: str, detail: str, pointer: str = "") -> Invalid:
    """A file that is refused for one reason."""
    return Invalid([Fault(pointer, code, detail)])
