"""A dataset in the terms of another one that was trained on: same columns, same classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backpropd.data.encoding import places
from backpropd.data.predicting import Predictor
from backpropd.data.raw import MADE_UP
from backpropd.data.table import Column, Dataset, Floats
from backpropd.spec.faults import Fault, Invalid


def matched(dataset: Dataset, predictor: Predictor) -> tuple[Floats, Floats]:
    """(X (N, I), T (N, O)) as the training data would have it.

    Columns and classes are found by their names, whatever their order; a word that training did
    not have counts as none. Where no column has a name of its own, they go by their order. Raises
    Invalid with what is missing.
    """
    faults: list[Fault] = []
    if dataset.task != predictor.encoding.task:
        detail = f"Its task is {dataset.task}; the network was trained in "
        faults.append(Fault("", "task_mismatch", f"{detail}{predictor.encoding.task}."))
    X = _inputs(dataset, predictor, faults)
    T = _targets(dataset, predictor, faults) if not faults else None
    if predictor.encoding.fill is None and X is not None and np.isnan(X).any():
        row = int(np.isnan(X).any(axis=1).argmax())
        detail = f"Row {row} misses values, and the network was trained on data that refused them."
        faults.append(Fault("", "missing", detail))
    if faults or X is None or T is None:
        raise Invalid(faults)
    return X, T


def _inputs(dataset: Dataset, predictor: Predictor, faults: list[Fault]) -> Floats | None:
    own = {column.name: (column, place) for column, place in places(dataset.columns)}
    wanted = predictor.input_columns
    missing = [column.name for column in wanted if column.name not in own]
    if missing and _nameless(dataset.input_names, predictor.input_names):
        if dataset.inputs.shape[1] == len(predictor.input_names):
            return dataset.inputs
        detail = f"It has {dataset.inputs.shape[1]} inputs; "
        detail += f"the network takes {len(predictor.input_names)}."
        faults.append(Fault("", "shape_mismatch", detail))
        return None
    if missing:
        detail = f"It lacks columns of the training data: {', '.join(missing[:20])}."
        faults.append(Fault("", "missing_column", detail))
        return None
    parts = []
    for column in wanted:
        found, place = own[column.name]
        if (found.categories is None) != (column.categories is None):
            detail = f"Column {column.name!r} is a {found.kind}; in training a {column.kind}."
            faults.append(Fault("", "wrong_type", detail))
        else:
            parts.append(_reordered(dataset.inputs[:, place], found, column))
    return None if faults else np.concatenate(parts, axis=1)


def _reordered(values: Floats, found: Column, column: Column) -> Floats:
    if column.categories is None or found.categories is None:
        return values
    out = np.zeros((len(values), column.width))
    for code, word in enumerate(found.categories):
        if word in column.categories:
            out[:, column.categories.index(word)] = values[:, code]
    out[np.isnan(values[:, 0])] = np.nan
    return out


def _targets(dataset: Dataset, predictor: Predictor, faults: list[Fault]) -> Floats | None:
    classes = predictor.classes
    if classes is not None and dataset.classes is not None:
        return _class_targets(dataset, classes, predictor.network.outputs, faults)
    wanted = predictor.target_names
    own = {name: place for place, name in enumerate(dataset.target_names)}
    missing = [name for name in wanted if name not in own]
    if missing and _nameless(dataset.target_names, wanted) and len(own) == len(wanted):
        return dataset.targets
    if missing:
        detail = f"It lacks targets of the training data: {', '.join(missing[:20])}."
        faults.append(Fault("", "missing_column", detail))
        return None
    return dataset.targets[:, [own[name] for name in wanted]]


def _class_targets(
    dataset: Dataset, classes: Sequence[str], outputs: int, faults: list[Fault]
) -> Floats | None:
    """One-hot by the classes' names, or one column of the second one."""
    assert dataset.classes is not None
    assert dataset.labels is not None
    place: Mapping[str, int] = {name: k for k, name in enumerate(classes)}
    own = dataset.classes
    if _nameless(own, classes) and len(own) == len(classes):
        own = tuple(classes)
    used = [own[k] for k in np.unique(dataset.labels)]
    unknown = [name for name in used if name not in place]
    if unknown:
        detail = f"It has classes that training did not have: {', '.join(unknown[:20])}."
        faults.append(Fault("", "unknown_class", detail))
        return None
    labels = np.array([place.get(name, 0) for name in own])[dataset.labels]
    return labels[:, None].astype(np.float64) if outputs == 1 else np.eye(len(classes))[labels]


def _nameless(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether one of the two has made-up names alone, so that names say nothing."""
    return all(map(MADE_UP.fullmatch, names)) or all(map(MADE_UP.fullmatch, others))
