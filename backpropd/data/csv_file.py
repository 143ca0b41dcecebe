"""CSV files: their dialect, their names, and their rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from backpropd.data.cells import number
from backpropd.data.raw import CellFaults, refused
from backpropd.data.rows import Row, RowTable, check_width
from backpropd.data.text import encoding_of, lines
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.limits import Limits

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_ROWS = 50  # to guess from
DECIMAL_COMMA = re.compile(r"[-+]?\d{1,20},\d{1,20}")


class Dialect(NamedTuple):
    """How cells stand in a line."""

    separator: str
    quote: str


class CsvTable(RowTable):
    """A CSV file. Rows are lines, the first one being row 1."""

    def __init__(self, path: Path, upload: UploadSpec, limits: Limits) -> None:
        super().__init__(limits)
        csv.field_size_limit(limits.dataset_cell_characters)
        self.path = path
        self.encoding, guessed = encoding_of(path, upload.encoding)
        self.dialect = self._dialect(upload)
        sample = [cells for _, cells in islice(self._all(self.dialect), SAMPLE_ROWS)]
        if not sample:
            raise refused("empty", "The file has no rows.")
        check_width(len(sample[0]), limits)
        self.decimal = upload.decimal or _decimal(sample, self.dialect.separator)
        self.header = upload.header
        if self.header is None:
            self.header = not any(number(cell, self.decimal) is not None for cell in sample[0])
        said = {"encoding": guessed, "separator": upload.separator is None}
        said |= {"header": upload.header is None, "decimal": upload.decimal is None}
        self.guessed = [name for name, was_guessed in said.items() if was_guessed]
        self.reading = {
            "format": "csv",
            "encoding": self.encoding,
            "separator": self.dialect.separator,
            "header": self.header,
            "decimal": self.decimal,
        }
        self.survey(_names(sample[0], self.header))
        for kind, cell in zip(self.kinds, sample[0], strict=True):
            kind.named = not self.header or bool(cell.strip())

    def rows(self, faults: CellFaults) -> Iterator[Row]:
        skip, width = self.header, len(self.kinds)
        for line, cells in self._all(self.dialect):
            if skip:
                skip = False
            elif len(cells) == width:
                yield line, cells
            else:
                detail = f"{len(cells)} cells, where the first row has {width}"
                column = self.kinds[min(len(cells), width) - 1].name
                faults.cell(line, column, "uneven_row", detail)

    def _all(self, dialect: Dialect) -> Iterator[Row]:
        """(line, cells) of every row that is not empty."""
        reader = csv.reader(
            lines(self.path, self.encoding, self.limits),
            delimiter=dialect.separator,
            quotechar=dialect.quote,
            strict=True,
        )
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise refused("bad_csv", f"row {reader.line_num}: {error}") from None

    def _dialect(self, upload: UploadSpec) -> Dialect:
        """The separator that cuts the first rows into equally many cells, and into most."""
        if upload.separator is not None:
            return Dialect(upload.separator, upload.quote)
        best, most = Dialect(SEPARATORS[0], upload.quote), (False, 1)
        for separator in SEPARATORS:
            dialect = Dialect(separator, upload.quote)
            try:
                widths = [len(cells) for _, cells in islice(self._all(dialect), SAMPLE_ROWS)]
            except ValueError:  # quotes that do not fit this separator
                continue
            score = (len(set(widths)) == 1 and widths[0] > 1, max(widths, default=0))
            if score > most:
                best, most = dialect, score
        return best


def _decimal(sample: list[list[str]], separator: str) -> str:
    """A comma where cells are like 1,5 and none is like 1.5."""
    cells = [cell.strip() for row in sample for cell in row]
    if separator == "," or not any(map(DECIMAL_COMMA.fullmatch, cells)):
        return "."
    return "." if any("." in cell and number(cell) is not None for cell in cells) else ","


def _names(first: list[str], header: bool) -> list[str]:
    """The columns' names, from the first line or made up."""
    if not header:
        return [f"column{index}" for index in range(1, len(first) + 1)]
    names = [cell.strip() or f"column{index}" for index, cell in enumerate(first, start=1)]
    seen, double = set[str](), set[str]()
    for name in names:
        (double if name in seen else seen).add(name)
    if double:
        detail = f"Two columns have the same name: {', '.join(sorted(double))[:200]}."
        raise refused("duplicate_column", detail)
    return names
