"""What may be said of a dataset: rows given inline, or what to make of an uploaded file."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from backpropd.spec.base import Flag, Matrix, Spec, Text
from backpropd.spec.faults import Fault, pointer_to
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import FileFormat, MissingRule, ScalingName, Task

Column = Annotated[Text, Field(min_length=1)]
InputScaling = Annotated[
    ScalingName,
    Field(description="Of the inputs that are numbers, fitted on the training rows alone."),
]
TargetScaling = Annotated[
    ScalingName,
    Field(
        description="Of the targets in regression, fitted on the training rows alone; predictions "
        "are given in the targets' own units."
    ),
]


class InlineDatasetSpec(Spec):
    """Samples in the request itself: one row of inputs and one of targets each."""

    name: Text | None = Field(default=None, description="For people.")
    inputs: Matrix = Field(description="One row a sample.")
    targets: Matrix = Field(description="One row a sample, in the same order.")
    task: Task | None = Field(default=None, description="Guessed from the targets where absent.")
    scaling: InputScaling = "none"
    target_scaling: TargetScaling = "none"
    groups: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        description="One a row: rows of one group stay together in a split.",
    )

    def faults(self) -> Iterable[Fault]:
        if len(self.inputs) != len(self.targets):
            detail = f"{len(self.targets)} rows of targets for {len(self.inputs)} rows of inputs."
            yield Fault("/targets", "shape_mismatch", detail)
        if self.groups is not None and len(self.groups) != len(self.inputs):
            detail = f"{len(self.groups)} groups for {len(self.inputs)} rows of inputs."
            yield Fault("/groups", "shape_mismatch", detail)
        if self.target_scaling != "none" and self.task == "classification":
            yield Fault("/target_scaling", "contradiction", CLASSES_STAY)
        yield from _uneven(self.inputs, "inputs")
        yield from _uneven(self.targets, "targets")
        cells = len(self.inputs) * (len(self.inputs[0]) + len(self.targets[0]))
        if cells > LIMITS.dataset_cells:
            detail = f"{cells:,} cells; at most {LIMITS.dataset_cells:,}."
            yield Fault("", "too_large", detail)


def _uneven(rows: Matrix, name: str) -> Iterator[Fault]:
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            detail = f"{len(row)} values, where the first row has {len(rows[0])}."
            yield Fault(pointer_to(name, index), "shape_mismatch", detail)


class UploadSpec(Spec):
    """How to read an uploaded file."""

    name: Text | None = Field(default=None, description="For people; default: the file's name.")
    file_format: FileFormat | None = Field(
        default=None, description="Default: by the file's first bytes, its type and its name."
    )
    inputs: tuple[Column, ...] | None = Field(
        default=None, description="Columns to learn from; default: all that are nothing else."
    )
    targets: tuple[Column, ...] | None = Field(
        default=None, description="Columns to predict; default: the last one."
    )
    ignore: tuple[Column, ...] = Field(default=(), description="Columns to leave out.")
    groups: Column | None = Field(
        default=None, description="A column: rows with one value there stay together in a split."
    )
    task: Task | None = Field(default=None, description="Guessed from the targets where absent.")
    classes: tuple[Column, ...] | None = Field(
        default=None,
        min_length=2,
        description="The classes in the order of the outputs; default: sorted.",
    )
    scaling: InputScaling = "none"
    target_scaling: TargetScaling = "none"
    missing: MissingRule = Field(
        default="refuse",
        description="What becomes of missing values. drop: the row is left out; mean, median, "
        "most_frequent: filled with that of the training rows, and words always with the most "
        "frequent. A target is never filled.",
    )
    header: Flag | None = Field(
        default=None,
        description="CSV: whether the first line names the columns; guessed where absent.",
    )
    separator: Annotated[Text, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="CSV: what stands between cells; guessed where absent."
    )
    quote: Annotated[Text, Field(min_length=1, max_length=1)] = Field(
        default='"', description="CSV: what stands around a cell that holds a separator."
    )
    decimal: Annotated[Text, Field(pattern=r"^[.,]$")] | None = Field(
        default=None, description="CSV: the decimal sign; guessed where absent."
    )
    encoding: Annotated[Text, Field(max_length=40)] | None = Field(
        default=None, description="CSV, JSON Lines: of the text; guessed where absent."
    )

    def faults(self) -> Iterable[Fault]:
        for name in ("inputs", "targets", "ignore", "classes"):
            given = getattr(self, name) or ()
            if len(set(given)) != len(given):
                yield Fault(pointer_to(name), "duplicate", "Each is named once.")
        if self.target_scaling != "none" and self.task == "classification":
            yield Fault("/target_scaling", "contradiction", CLASSES_STAY)
        if self.separator is not None and self.separator in ("\n", "\r", self.quote):
            yield Fault("/separator", "contradiction", "It ends a line, or is the quote.")
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            detail = f"{self.encoding!r} is no encoding of text; say, utf-8 or cp1252."
            yield Fault("/encoding", "unknown_name", detail)


CLASSES_STAY = "Classes are not scaled: target_scaling is for regression."


def _is_text_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False
