"""A CSV file to a dataset: columns, their kinds and roles, and every bad cell by row and column.

The file is read twice, line by line: first to learn what each column is, then into arrays. Its
cells are never held all at once as text.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from backpropd.data.table import (
    Column,
    Dataset,
    Floats,
    column_warnings,
    guessed_task,
    is_binary,
    is_one_hot,
    number_column,
)
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Fault, Invalid, unknown_name
from backpropd.spec.limits import Limits

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
MOST_CELLS_TOLD = 50  # bad cells; whoever has more has another problem
MOST_CATEGORIES = 1000  # of one column; more of them are names, not categories
SAMPLE_BYTES = 64 * 1024  # to guess the separator from


@dataclass(slots=True)
class _Kind:
    """What the first reading learns of a column."""

    numbers: int = 0
    words: int = 0
    categories: set[str] = field(default_factory=set)

    @property
    def is_number(self) -> bool:
        """A stray word among numbers is a fault of its cell, not another kind of column."""
        return self.numbers >= self.words


class _Faults:
    """Bad cells, as many as a person will look at."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.more = 0

    def cell(self, line: int, column: str, code: str, detail: str) -> None:
        if len(self.found) < MOST_CELLS_TOLD:
            self.found.append(Fault("", code, f"row {line}, column {column!r}: {detail}"))
        else:
            self.more += 1

    def check(self) -> None:
        if self.more:
            self.found.append(Fault("", "more_faults", f"and {self.more} more bad cells"))
        if self.found:
            raise Invalid(self.found)


def read_csv(content: bytes, upload: UploadSpec, *, limits: Limits) -> Dataset:
    """The dataset in a CSV file, UTF-8, with , ; or tab between cells.

    Raises Invalid with all faults of the file; rows are lines, the first one being row 1.
    """
    source = _Source(content, limits)
    names, has_header = source.names(upload.header)
    target_names = _targets(names, upload)
    input_names = _inputs(names, target_names, upload)
    kinds = source.kinds(names, has_header)
    columns = source.arrays(names, kinds, has_header, wanted={*input_names, *target_names})
    kind_of = dict(zip(names, kinds, strict=True))
    return _dataset(columns, kind_of, input_names, target_names, upload)


class _Source:
    """The file, ready to be read again."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self.content, self.limits = content, limits
        if b"\0" in content:
            detail = "The file holds NUL bytes; it is no text."
            raise Invalid([Fault("", "bad_csv", detail)])
        try:
            sample = self._text().read(SAMPLE_BYTES)
        except UnicodeDecodeError as error:
            detail = f"The file is not UTF-8: byte {error.start} cannot be read."
            raise Invalid([Fault("", "not_utf8", detail)]) from None
        try:
            self.separator = csv.Sniffer().sniff(sample, delimiters=",;\t").delimiter
        except csv.Error:
            self.separator = ","

    def names(self, header: bool | None) -> tuple[list[str], bool]:
        """The columns' names, from the first line or made up, and whether it names them."""
        first = next((cells for _, cells in self.rows()), None)
        if first is None:
            raise Invalid([Fault("", "empty", "The file has no rows.")])
        if header is None:
            header = not any(_number(cell) is not None for cell in first)
        if not header:
            return [f"column{index}" for index in range(1, len(first) + 1)], False
        names = [cell.strip() or f"column{index}" for index, cell in enumerate(first, start=1)]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            detail = f"Two columns have the same name: {', '.join(double)[:200]}."
            raise Invalid([Fault("", "duplicate_column", detail)])
        return names, True

    def kinds(self, names: Sequence[str], has_header: bool) -> list[_Kind]:
        """First reading: what each column holds, and whether every row has every cell."""
        kinds = [_Kind() for _ in names]
        faults, rows = _Faults(), 0
        for line, cells in self.rows(skip=has_header):
            rows += 1
            if len(cells) != len(names):
                detail = f"{len(cells)} cells, where the first row has {len(names)}"
                faults.cell(line, names[min(len(cells), len(names)) - 1], "uneven_row", detail)
                continue
            if rows * len(names) > self.limits.dataset_cells:
                detail = f"More than {self.limits.dataset_cells:,} cells."
                raise Invalid([Fault("", "too_large", detail)])
            for kind, cell in zip(kinds, cells, strict=True):
                if _number(cell) is not None:
                    kind.numbers += 1
                elif cell.strip().lower() not in MISSING:
                    kind.words += 1
                if len(kind.categories) <= MOST_CATEGORIES:
                    kind.categories.add(cell.strip())
        if not rows:
            raise Invalid([Fault("", "empty", "The file has a header and no rows below it.")])
        faults.check()
        return kinds

    def arrays(
        self, names: list[str], kinds: list[_Kind], has_header: bool, *, wanted: set[str]
    ) -> dict[str, Floats]:
        """Second reading: numbers (N,), or the category's number in sorted order (N,)."""
        out = {name: array("d") for name in names if name in wanted}
        codes = {
            name: {word: code for code, word in enumerate(sorted(kind.categories))}
            for name, kind in zip(names, kinds, strict=True)
            if not kind.is_number and name in wanted
        }
        faults = _Faults()
        for name, known in codes.items():
            if len(known) > MOST_CATEGORIES:
                detail = f"column {name!r} has more than {MOST_CATEGORIES} different words"
                faults.found.append(Fault("", "too_many_categories", detail))
        for line, cells in self.rows(skip=has_header):
            for name, cell in zip(names, cells, strict=True):
                if name in wanted:
                    out[name].append(_value(cell, name, line, codes.get(name), faults))
        faults.check()
        return {name: np.array(values) for name, values in out.items()}

    def rows(self, *, skip: bool = False) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row that is not empty."""
        reader = csv.reader(self._text(), delimiter=self.separator, strict=True)
        try:
            for cells in reader:
                if not cells:
                    continue
                if skip:
                    skip = False
                    continue
                yield reader.line_num, cells
        except csv.Error as error:
            detail = f"row {reader.line_num}: {error}"
            raise Invalid([Fault("", "bad_csv", detail)]) from None
        except UnicodeDecodeError:
            detail = f"After row {reader.line_num} the file is not UTF-8."
            raise Invalid([Fault("", "not_utf8", detail)]) from None

    def _text(self) -> io.TextIOWrapper[io.BytesIO]:
        return io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8-sig", newline="")


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    # "nan" is how many programs write a missing cell, and Python's 1_000 is nobody's number.
    return None if math.isnan(value) or "_" in cell else value


def _value(cell: str, name: str, line: int, codes: dict[str, int] | None, faults: _Faults) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        faults.cell(line, name, "missing", "the cell is empty or says that it is")
    elif codes is not None:
        return codes.get(text, math.nan)
    elif (number := _number(text)) is None:
        faults.cell(line, name, "not_a_number", f"{text[:40]!r} is not a number")
    elif math.isinf(number):
        faults.cell(line, name, "not_finite", f"{text[:40]!r} is not a finite number")
    else:
        return number
    return math.nan


def _targets(names: list[str], upload: UploadSpec) -> tuple[str, ...]:
    targets = upload.targets or (names[-1],)
    _check_known(targets, names, "/targets")
    return targets


def _inputs(names: list[str], targets: tuple[str, ...], upload: UploadSpec) -> tuple[str, ...]:
    inputs = upload.inputs or tuple(name for name in names if name not in targets)
    _check_known(inputs, names, "/inputs")
    both = sorted(set(inputs) & set(targets))
    if both:
        detail = f"{', '.join(both)} can't be input and target at once."
        raise Invalid([Fault("/inputs", "contradiction", detail)])
    if not inputs:
        detail = "The file has one column; there is nothing left to learn from."
        raise Invalid([Fault("/inputs", "empty", detail)])
    return inputs


def _check_known(wanted: Sequence[str], names: list[str], pointer: str) -> None:
    unknown = [
        Fault(f"{pointer}/{place}", "unknown_name", unknown_name("column", name, names))
        for place, name in enumerate(wanted)
        if name not in names
    ]
    if unknown:
        raise Invalid(unknown)


def _dataset(
    values: dict[str, Floats],
    kind_of: dict[str, _Kind],
    input_names: tuple[str, ...],
    target_names: tuple[str, ...],
    upload: UploadSpec,
) -> Dataset:
    """Categories one-hot in sorted order; the columns described as they came."""
    columns: list[Column] = []
    inputs: list[Floats] = []
    names: list[str] = []
    for name in input_names:
        column, encoded, encoded_names = _encode(name, "input", values[name], kind_of[name])
        columns.append(column)
        inputs.append(encoded)
        names += encoded_names
    targets, target_columns, classes = _encode_targets(values, kind_of, target_names, upload)
    X = np.concatenate(inputs, axis=1)
    return Dataset(
        inputs=X,
        targets=targets,
        input_names=tuple(names),
        target_names=classes if classes and len(classes) == targets.shape[1] else target_names,
        task=upload.task or ("classification" if classes else guessed_task(targets)),
        classes=classes,
        columns=(*columns, *target_columns),
        scaling=upload.scaling,
        warnings=tuple(column_warnings(X, tuple(names))),
    )


def _encode(name: str, role: str, values: Floats, kind: _Kind) -> tuple[Column, Floats, list[str]]:
    if kind.is_number:
        return number_column(name, role, values), values[:, None], [name]
    words = tuple(sorted(kind.categories))
    column = Column(name=name, role=role, kind="category", categories=words)
    return column, np.eye(len(words))[values.astype(int)], [f"{name}={word}" for word in words]


def _encode_targets(
    values: dict[str, Floats],
    kind_of: dict[str, _Kind],
    names: tuple[str, ...],
    upload: UploadSpec,
) -> tuple[Floats, list[Column], tuple[str, ...] | None]:
    words = [name for name in names if not kind_of[name].is_number]
    if words and (len(names) > 1 or upload.task == "regression"):
        detail = f"{words[0]!r} holds words; regression and several targets need numbers."
        raise Invalid([Fault("/targets", "contradiction", detail)])
    if words:
        if len(kind_of[words[0]].categories) == 1:
            raise Invalid([_one_class(words[0])])
        column, targets, _ = _encode(names[0], "target", values[names[0]], kind_of[names[0]])
        return targets, [column], column.categories
    targets = np.stack([values[name] for name in names], axis=1)
    columns = [number_column(name, "target", values[name]) for name in names]
    task = upload.task or guessed_task(targets)
    if task == "regression":
        return targets, columns, None
    if is_binary(targets):  # stays one column: a single logistic output learns it
        return targets, columns, ("0", "1")
    if is_one_hot(targets):
        return targets, columns, names
    if len(names) > 1:
        detail = "For classification, several target columns are one-hot: one 1 a row."
        raise Invalid([Fault("/targets", "not_classes", detail)])
    numbers, codes = np.unique(targets[:, 0], return_inverse=True)
    if len(numbers) == 1:
        raise Invalid([_one_class(names[0])])
    if len(numbers) > MOST_CATEGORIES:
        detail = f"{names[0]!r} has {len(numbers)} different numbers: too many for classes."
        raise Invalid([Fault("/targets", "too_many_categories", detail)])
    return (
        np.eye(len(numbers))[codes],
        columns,
        tuple(repr(float(number)).removesuffix(".0") for number in numbers),
    )


def _one_class(name: str) -> Fault:
    detail = f"{name!r} is the same in every row; there is nothing to tell apart."
    return Fault("/targets", "not_classes", detail)
