"""A dataset as arrays, with what its columns are; immutable, and known by its content's hash."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from backpropd.spec.canonical import canonical_json

Floats = NDArray[np.float64]


class Damaged(ValueError):
    """The stored bytes of a dataset are not what was written."""

    def __str__(self) -> str:
        return type(self).__doc__ or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it came, before any encoding."""

    name: str
    role: str  # input, target, group, ignored
    kind: str  # number, category; of what is ignored also other
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    deviation: float | None = None  # of the population, as scaling takes it
    distinct: int | None = None  # different values
    missing: int = 0  # values
    categories: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None  # of each category

    @property
    def width(self) -> int:
        """Columns that it becomes."""
        return 1 if self.categories is None else len(self.categories)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """What `asdict` gave, and JSON brought back."""
        return cls(**_tuples(value))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Samples: inputs (N, I) and targets (N, O) in float64, categories one-hot, nothing scaled."""

    inputs: Floats
    targets: Floats
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    task: str  # classification, regression
    classes: tuple[str, ...] | None  # in the order of the one-hot targets
    columns: tuple[Column, ...]
    scaling: str  # what training shall do with the inputs
    target_scaling: str = "none"  # and, in regression, with the targets
    missing: str = "refuse"  # how missing inputs, NaN here, are filled
    groups: NDArray[np.int64] | None = None  # (N,): rows of one number stay together in a split
    reading: dict[str, Any] = field(default_factory=dict)  # how a file was read
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.inputs)

    @property
    def shape(self) -> dict[str, Any]:
        """What a job has to fit: rows, inputs, outputs, task, groups (their number, or None)."""
        return {
            "rows": self.rows,
            "inputs": self.inputs.shape[1],
            "outputs": self.targets.shape[1],
            "task": self.task,
            "groups": None if self.groups is None else int(self.groups.max()) + 1,
        }

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Each row's class by number (N,), where the task is classification."""
        if self.task != "classification":
            return None
        if self.targets.shape[1] == 1:
            return np.asarray(self.targets[:, 0] > 0.5, dtype=np.int64)
        return np.asarray(self.targets.argmax(axis=1), dtype=np.int64)

    @property
    def sha256(self) -> str:
        """The hash of everything that training can see."""
        digest = hashlib.sha256(canonical_json(self._header() | {"shape": self.inputs.shape}))
        for array in (self.inputs, self.targets):
            digest.update(np.ascontiguousarray(array, "<f8").tobytes())
        if self.groups is not None:
            digest.update(np.ascontiguousarray(self.groups, "<i8").tobytes())
        return digest.hexdigest()

    def schema(self) -> dict[str, Any]:
        """What the columns are, as a JSON object."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "inputs": list(self.input_names),
            "targets": list(self.target_names),
            "classes": None if self.classes is None else list(self.classes),
            "scaling": self.scaling,
            "target_scaling": self.target_scaling,
            "missing": self.missing,
            "grouped": self.groups is not None,
            "reading": self.reading,
            "warnings": list(self.warnings),
        }

    def facts(self) -> dict[str, Any]:
        """What the store keeps of a dataset beside its content."""
        return {
            "sha256": self.sha256,
            "task": self.task,
            "rows": self.rows,
            "inputs": self.inputs.shape[1],
            "targets": self.targets.shape[1],
            "columns": self.schema(),
        }

    def to_bytes(self) -> bytes:
        """The dataset as a compressed .npz archive without pickles."""
        out = io.BytesIO()
        self.write(out)
        return out.getvalue()

    def write(self, file: IO[bytes]) -> None:
        """Write what `to_bytes` gives."""
        about = {"reading": self.reading, "warnings": self.warnings}
        header = json.dumps(self._header() | about).encode()
        arrays: dict[str, Any] = {"inputs": self.inputs, "targets": self.targets}
        if self.groups is not None:
            arrays["groups"] = self.groups
        np.savez_compressed(file, header=np.frombuffer(header, np.uint8), **arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises Damaged where these bytes are anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                arrays = {name: archive[name] for name in archive.files if name != "header"}
            columns = (Column.from_json(column) for column in header.pop("columns"))
            return cls(columns=tuple(columns), **arrays, **_tuples(header))
        except MemoryError:
            raise
        except Exception as error:  # of zip, zlib, NumPy and JSON, whichever comes to it first
            raise Damaged from error

    def _header(self) -> dict[str, Any]:
        return {
            "input_names": self.input_names,
            "target_names": self.target_names,
            "task": self.task,
            "classes": self.classes,
            "columns": [asdict(column) for column in self.columns],
            "scaling": self.scaling,
            "target_scaling": self.target_scaling,
            "missing": self.missing,
        }


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def number_column(name: str, role: str, values: Floats) -> Column:
    """The description of a column of numbers (N,), NaN where missing."""
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return Column(name=name, role=role, kind="number", distinct=0, missing=missing)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(known.mean()), float(known.std())
    if not np.isfinite(mean):  # the sum is too large for a number, the mean is not
        mean = float((known / len(known)).sum())
    return Column(
        name=name,
        role=role,
        kind="number",
        min=float(known.min()),
        max=float(known.max()),
        mean=mean,
        deviation=deviation if np.isfinite(deviation) else None,
        distinct=len(np.unique(known)),
        missing=missing,
    )


def category_column(
    name: str, role: str, codes: NDArray[np.int64], categories: tuple[str, ...]
) -> Column:
    """The description of a column of words, given by number (N,), -1 where missing."""
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    return Column(
        name=name,
        role=role,
        kind="category",
        distinct=int((counts > 0).sum()),
        missing=int((codes < 0).sum()),
        categories=categories,
        counts=tuple(counts.tolist()),
    )


def is_one_hot(targets: Floats) -> bool:
    """Whether every row holds one 1 and zeros beside it, in two columns or more."""
    if targets.shape[1] < 2:
        return False
    return bool(np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all())


def is_binary(targets: Floats) -> bool:
    """Whether there is one column of zeros and ones."""
    return targets.shape[1] == 1 and bool(np.isin(targets, (0, 1)).all())


def guessed_task(targets: Floats) -> str:
    """Classification for one column of zeros and ones and for one-hot rows, else regression."""
    return "classification" if is_binary(targets) or is_one_hot(targets) else "regression"


def from_numbers(
    inputs: Floats,
    targets: Floats,
    *,
    input_names: tuple[str, ...] | None = None,
    target_names: tuple[str, ...] | None = None,
    classes: tuple[str, ...] | None = None,
    task: str | None = None,
    scaling: str = "none",
    target_scaling: str = "none",
    groups: NDArray[np.int64] | None = None,
) -> Dataset:
    """A dataset of numbers (N, I) and (N, O), with names, task and classes filled in."""
    input_names = input_names or tuple(f"x{i}" for i in range(1, inputs.shape[1] + 1))
    target_names = target_names or tuple(f"y{i}" for i in range(1, targets.shape[1] + 1))
    task = task or guessed_task(targets)
    if task == "classification" and classes is None:
        classes = ("0", "1") if targets.shape[1] == 1 else target_names
    columns = [number_column(n, "input", inputs[:, i]) for i, n in enumerate(input_names)]
    columns += [number_column(n, "target", targets[:, i]) for i, n in enumerate(target_names)]
    return Dataset(
        inputs=inputs,
        targets=targets,
        input_names=input_names,
        target_names=target_names,
        task=task,
        classes=classes,
        columns=tuple(columns),
        scaling=scaling,
        target_scaling=target_scaling if task == "regression" else "none",
        groups=groups,
        warnings=tuple(column_warnings(inputs, input_names)),
    )


def column_warnings(inputs: Floats, names: tuple[str, ...]) -> list[str]:
    """What a person should know of the inputs: columns that never change, or say the same twice."""
    found, seen = [], dict[bytes, str]()  # hashes: the columns themselves may be large
    for index, name in enumerate(names):
        values = np.ascontiguousarray(inputs[:, index])
        known = values[~np.isnan(values)]
        if not len(known):
            found.append(f"column {name!r} has no value at all")
        elif known.min() == known.max() and len(values) > 1:
            found.append(f"column {name!r} is constant")
        elif (twin := seen.setdefault(hashlib.sha256(values.tobytes()).digest(), name)) != name:
            found.append(f"column {name!r} repeats column {twin!r}")
    return found
