"""A table to a dataset: categories one-hot in a recorded order, every column described."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backpropd.data.raw import MOST_CATEGORIES, CellFaults, Kind, RawColumn, Table, refused
from backpropd.data.roles import Roles, roles
from backpropd.data.table import (
    Column,
    Dataset,
    Floats,
    category_column,
    column_warnings,
    guessed_task,
    is_binary,
    is_one_hot,
    number_column,
)
from backpropd.spec.dataset import CLASSES_STAY, UploadSpec
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import Limits

Columns = Mapping[str, RawColumn]


def assembled(table: Table, upload: UploadSpec, limits: Limits) -> Dataset:
    """The dataset in a table; raises Invalid with all that is wrong in its cells."""
    role = roles(table.kinds, upload, getattr(table, "targets", None))
    kind_of = {kind.name: kind for kind in table.kinds}
    _check_readable(role, kind_of)
    wanted = {*role.inputs, *role.targets, *((role.groups,) if role.groups else ())}
    faults = CellFaults()
    columns = table.columns(wanted, faults)
    columns, dropped = _without_missing(table, columns, role, upload, faults)
    faults.check()
    _check_cells(columns, role, limits)
    described: list[Column] = []
    X, names = _inputs(columns, role, described)
    T, target_names, task, classes = _targets(columns, role, upload, described)
    if task == "classification" and upload.target_scaling != "none":
        raise refused("contradiction", CLASSES_STAY, "/target_scaling")
    groups = None
    if role.groups is not None:
        groups = _group_numbers(columns[role.groups])
        described.append(_described(columns[role.groups], "group"))
    described += [
        Column(name=name, role="ignored", kind=_kind_name(kind_of[name])) for name in role.ignored
    ]
    notes = [f"column {n!r} is ignored: it {why}" for n, why in _told(role.ignored).items()]
    encoding = table.reading.get("encoding", "utf-8")
    if "encoding" in table.guessed and not encoding.startswith("utf"):
        notes.append(f"the text's encoding, {encoding}, is a guess; `encoding` says another")
    guessed = [*table.guessed, *role.guessed, *(["task"] if upload.task is None else [])]
    reading = {**table.reading, "rows_dropped": dropped, "guessed": guessed}
    return Dataset(
        inputs=X,
        targets=T,
        input_names=names,
        target_names=target_names,
        task=task,
        classes=classes,
        columns=tuple(described),
        scaling=upload.scaling,
        target_scaling=upload.target_scaling if task == "regression" else "none",
        missing=upload.missing,
        groups=groups,
        reading=reading,
        warnings=(*notes, *column_warnings(X, names)),
    )


def _told(ignored: Mapping[str, str]) -> dict[str, str]:
    return {name: why for name, why in ignored.items() if why not in ("asked for", "not asked for")}


def _check_readable(role: Roles, kind_of: Mapping[str, Kind]) -> None:
    faults = []
    for name in (*role.inputs, *role.targets, *((role.groups,) if role.groups else ())):
        kind = kind_of[name]
        if kind.unreadable is not None:
            detail = f"column {name!r} holds {kind.unreadable}; numbers and words are read."
            faults.append(Fault("", "wrong_type", detail))
        elif not kind.is_number and len(kind.categories) > MOST_CATEGORIES and name != role.groups:
            detail = f"column {name!r} has more than {MOST_CATEGORIES} different words"
            faults.append(Fault("", "too_many_categories", detail))
    if faults:
        raise Invalid(faults)


def _check_cells(columns: Columns, role: Roles, limits: Limits) -> None:
    """How large the dataset is with its categories one-hot."""
    chosen = [columns[name] for name in (*role.inputs, *role.targets)]
    width = sum(max(len(column.categories), 1) for column in chosen)
    rows = len(chosen[0].is_missing)
    if width > limits.dataset_columns or width * rows > limits.dataset_cells:
        detail = f"{rows:,} rows of {width:,} columns, words one-hot; at most "
        detail += f"{limits.dataset_columns:,} columns and {limits.dataset_cells:,} cells."
        raise refused("too_large", detail)


def _without_missing(
    table: Table, columns: dict[str, RawColumn], role: Roles, upload: UploadSpec, faults: CellFaults
) -> tuple[dict[str, RawColumn], int]:
    """(the columns, how many rows were dropped); what may not be missing goes to `faults`."""
    never_filled = {*role.targets, role.groups}
    missing = {name: column.is_missing for name, column in columns.items()}
    if upload.missing == "drop":
        bad: NDArray[np.bool_] = np.logical_or.reduce(list(missing.values()))
        if bad.all():
            raise refused("empty", "Every row misses something, so all of them are dropped.")
        if bad.any():
            kept = np.flatnonzero(~bad)
            columns = {name: column.taken(kept) for name, column in columns.items()}
        return columns, int(bad.sum())
    refused_in = {
        n: m for n, m in missing.items() if upload.missing == "refuse" or n in never_filled
    }
    for row in np.flatnonzero(np.logical_or.reduce(list(refused_in.values()))):
        for name in (name for name, cells in refused_in.items() if cells[row]):
            detail = "the cell is empty or says that it is"
            faults.cell(table.line(int(row)), name, "missing", detail)
    faults.found.sort(key=_line_of)
    return columns, 0


def _line_of(fault: Fault) -> int:
    return int(fault.detail.removeprefix("row ").partition(",")[0])


def _inputs(
    columns: Columns, role: Roles, described: list[Column]
) -> tuple[Floats, tuple[str, ...]]:
    """(N, I) and the names: numbers as they are, words one-hot; NaN where missing."""
    encoded: list[Floats] = []
    names: list[str] = []
    for name in role.inputs:
        column = columns[name]
        described.append(_described(column, "input"))
        if column.numbers is not None:
            encoded.append(column.numbers[:, None])
            names.append(name)
        else:
            encoded.append(one_hot(column))
            names += [f"{name}={word}" for word in column.categories]
    return np.concatenate(encoded, axis=1), tuple(names)


def one_hot(column: RawColumn) -> Floats:
    """(N, K) of 0 and 1, a row of NaN where the word is missing."""
    assert column.codes is not None
    out = np.eye(max(len(column.categories), 1))[column.codes]
    out[column.codes < 0] = np.nan
    return out


def _described(column: RawColumn, role: str) -> Column:
    if column.numbers is not None:
        return number_column(column.name, role, column.numbers)
    assert column.codes is not None
    return category_column(column.name, role, column.codes, column.categories)


def _kind_name(kind: Kind) -> str:
    if kind.unreadable is not None:
        return "other"
    return "number" if kind.is_number else "category"


def _group_numbers(column: RawColumn) -> NDArray[np.int64]:
    values = column.codes if column.codes is not None else column.numbers
    assert values is not None
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64).reshape(-1)


Targets = tuple[Floats, tuple[str, ...], str, tuple[str, ...] | None]


def _targets(columns: Columns, role: Roles, upload: UploadSpec, described: list[Column]) -> Targets:
    """(targets, their names, task, classes)."""
    names = role.targets
    chosen = [columns[name] for name in names]
    described += [_described(column, "target") for column in chosen]
    words = [column for column in chosen if column.numbers is None]
    if words and (len(names) > 1 or upload.task == "regression"):
        detail = f"{words[0].name!r} holds words; regression and several targets need numbers."
        raise refused("contradiction", detail, "/targets")
    if words:
        assert words[0].codes is not None
        return _one_hot_classes(words[0].codes, words[0].categories, names[0], upload)
    numbers = np.stack([column.numbers for column in chosen if column.numbers is not None], axis=1)
    task = upload.task or guessed_task(numbers)
    if task == "regression":
        if upload.classes is not None:
            detail = f"{names[0]!r} is taken for numbers to predict; say task=classification."
            raise refused("contradiction", detail, "/classes")
        return numbers, names, task, None
    if is_binary(numbers) and upload.classes in (None, ("0", "1")):
        return numbers, names, task, ("0", "1")  # one column: a single logistic output learns it
    if is_one_hot(numbers) and upload.classes in (None, names):
        return numbers, names, task, names
    if len(names) > 1:
        detail = "For classification, several target columns are one-hot: one 1 a row."
        raise refused("not_classes", detail, "/targets")
    found, codes = np.unique(numbers[:, 0], return_inverse=True)
    if len(found) > MOST_CATEGORIES:
        detail = f"{names[0]!r} has {len(found)} different numbers: too many for classes."
        raise refused("too_many_categories", detail, "/targets")
    classes = tuple(repr(float(number)).removesuffix(".0") for number in found)
    return _one_hot_classes(codes.reshape(-1), classes, names[0], upload)


def _one_hot_classes(
    codes: NDArray[np.int64], found: tuple[str, ...], name: str, upload: UploadSpec
) -> Targets:
    """One column a class, in the order asked for, else sorted."""
    classes = upload.classes or found
    unknown = sorted(set(found) - set(classes))
    if unknown:
        detail = f"{name!r} holds classes that are not listed: {', '.join(unknown)[:200]}."
        raise refused("unknown_name", detail, "/classes")
    if len(classes) == 1:
        detail = f"{name!r} is the same in every row; there is nothing to tell apart."
        raise refused("not_classes", detail, "/targets")
    place = np.array([classes.index(each) for each in found])
    return np.eye(len(classes))[place[codes]], tuple(classes), "classification", tuple(classes)
