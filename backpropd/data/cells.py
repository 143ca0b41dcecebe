"""Cells to values, a few thousand at a time: numbers, words, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backpropd.data.raw import MOST_CATEGORIES, CellFaults, Codes, Kind
from backpropd.data.table import Floats

# What stands in a cell that is missing, whatever its case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?"})


def number(text: str, decimal: str = ".") -> float | None:
    """The number that a cell says; None for words and for what is missing."""
    if decimal != ".":
        text = text.replace(decimal, ".")
    try:
        value = float(text)
    except ValueError:
        return None
    # "nan" is how many programs write a missing cell, and Python's 1_000 is nobody's number.
    return None if math.isnan(value) or "_" in text else value


def is_missing(text: str) -> bool:
    """Whether a cell says that it holds nothing."""
    return text.strip().lower() in MISSING


def survey(kind: Kind, cells: Sequence[str], decimal: str) -> None:
    """Learn what these cells say of their column."""
    if _all_numbers(cells, decimal) is not None:
        kind.numbers += len(cells)
        if len(kind.categories) <= MOST_CATEGORIES:
            _remember(kind, {cell.strip() for cell in cells})
        return
    words = set()
    for cell in cells:
        text = cell.strip()
        if number(text, decimal) is not None:
            kind.numbers += 1
        elif text.lower() in MISSING:
            kind.missing += 1
            continue
        else:
            kind.words += 1
        words.add(text)
    if len(kind.categories) <= MOST_CATEGORIES:
        _remember(kind, words)


def numbers(
    name: str, cells: Sequence[str], lines: Sequence[int], decimal: str, faults: CellFaults
) -> Floats:
    """(n,), NaN where a cell is missing; what is no finite number is a fault."""
    fast = _all_numbers(cells, decimal)
    if fast is not None and np.isfinite(fast).all():
        return fast
    out = np.full(len(cells), np.nan)
    for place, (cell, line) in enumerate(zip(cells, lines, strict=True)):
        text = cell.strip()
        value = number(text, decimal)
        if value is None and text.lower() in MISSING:
            continue
        if value is None:
            faults.cell(line, name, "not_a_number", f"{text[:40]!r} is not a number")
        elif math.isinf(value):
            faults.cell(line, name, "not_finite", f"{text[:40]!r} is not a finite number")
        out[place] = 0.0 if value is None else value  # a bad cell is told once, not missing too
    return out


def codes(cells: Sequence[str], known: dict[str, int]) -> Codes:
    """(n,): each word's number, -1 where a cell is missing."""
    return np.array([known.get(cell.strip(), -1) for cell in cells], np.int64)


def _all_numbers(cells: Sequence[str], decimal: str) -> Floats | None:
    """The cells where each of them is a number; infinities count, NaN does not."""
    if decimal != ".":
        cells = [cell.replace(decimal, ".") for cell in cells]
    try:
        values = np.array(list(map(float, cells)), np.float64)
    except ValueError:
        return None
    if np.isnan(values).any() or any("_" in cell for cell in cells):
        return None
    return values


def _remember(kind: Kind, words: set[str]) -> None:
    room = MOST_CATEGORIES + 1 - len(kind.categories)
    new = words - kind.categories
    kind.categories |= new if len(new) <= room else set(list(new)[:room])
