"""JSON Lines: an object with the same names in every line, or a list as long in every line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from backpropd.data.raw import CellFaults, refused
from backpropd.data.rows import Row, RowTable
from backpropd.data.text import encoding_of, lines
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.limits import Limits

SAMPLE_ROWS = 1000  # whose objects together name the columns
WORDS = {None: "", True: "true", False: "false"}


class JsonLinesTable(RowTable):
    """A value a line. A name that an object lacks, and null, are missing values."""

    def __init__(self, path: Path, upload: UploadSpec, limits: Limits) -> None:
        super().__init__(limits)
        self.path = path
        self.encoding, guessed = encoding_of(path, upload.encoding)
        self.guessed = ["encoding"] if guessed else []
        self.reading = {"format": "jsonl", "encoding": self.encoding}
        self.named, names = self._names()
        self.survey(names)

    def rows(self, faults: CellFaults) -> Iterator[Row]:
        names = [kind.name for kind in self.kinds]
        known = set(names)
        for line, value in self._all():
            if self.named and isinstance(value, dict):
                for name in value.keys() - known:
                    detail = f"a name that the first {SAMPLE_ROWS} rows do not have"
                    faults.cell(line, name, "unknown_name", detail)
                cells = [value.get(name) for name in names]
            elif not self.named and isinstance(value, list) and len(value) == len(names):
                cells = value
            else:
                expected = "an object" if self.named else f"a list of {len(names)}"
                faults.cell(line, names[0], "uneven_row", f"{expected} is needed here")
                continue
            yield line, [_text(cell, line, name) for cell, name in zip(cells, names, strict=True)]

    def _names(self) -> tuple[bool, list[str]]:
        values = self._all()
        first = next(values, None)
        if first is None:
            raise refused("empty", "The file has no rows.")
        if isinstance(first[1], list) and first[1]:
            return False, [f"column{index}" for index in range(1, len(first[1]) + 1)]
        if not isinstance(first[1], dict) or not first[1]:
            raise refused("bad_json", "row 1: each line is an object or a list, and not empty.")
        names: dict[str, None] = {}
        for _, (_, value) in zip(range(SAMPLE_ROWS), chain([first], values), strict=False):
            if isinstance(value, dict):
                names |= dict.fromkeys(value)
        return True, list(names)

    def _all(self) -> Iterator[tuple[int, Any]]:
        """(line, value) of every line that is not empty."""
        for number, line in enumerate(lines(self.path, self.encoding, self.limits), start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise refused("bad_json", f"row {number}: {str(error)[:200]}") from None


def _text(cell: Any, line: int, name: str) -> str:
    """A value as CSV would have it."""
    if isinstance(cell, str):
        return cell
    if cell is None or isinstance(cell, bool):
        return WORDS[cell]
    if isinstance(cell, int | float):
        return repr(cell)
    detail = f"row {line}, column {name[:80]!r}: a number, a word, true, false or null is needed"
    raise refused("wrong_type", detail)
