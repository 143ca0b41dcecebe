"""What may be said of a dataset: rows given inline, or what to make of an uploaded file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field

from backpropd.spec.base import Flag, Matrix, Spec, Text
from backpropd.spec.faults import Fault, pointer_to
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import ScalingName, Task


class InlineDatasetSpec(Spec):
    """Samples in the request itself: one row of inputs and one of targets each."""

    name: Text | None = Field(default=None, description="For people.")
    inputs: Matrix = Field(description="One row a sample.")
    targets: Matrix = Field(description="One row a sample, in the same order.")
    task: Task | None = Field(default=None, description="Guessed from the targets where absent.")
    scaling: ScalingName = Field(
        default="none", description="Of the inputs, fitted on the training rows alone."
    )

    def faults(self) -> Iterable[Fault]:
        if len(self.inputs) != len(self.targets):
            detail = f"{len(self.targets)} rows of targets for {len(self.inputs)} rows of inputs."
            yield Fault("/targets", "shape_mismatch", detail)
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
    inputs: tuple[Text, ...] | None = Field(
        default=None, description="Columns to learn from; default: all that are no targets."
    )
    targets: tuple[Text, ...] | None = Field(
        default=None, description="Columns to predict; default: the last one."
    )
    task: Task | None = Field(default=None, description="Guessed from the targets where absent.")
    scaling: ScalingName = Field(
        default="none", description="Of the inputs, fitted on the training rows alone."
    )
    header: Flag | None = Field(
        default=None, description="Whether the first line names the columns; guessed where absent."
    )
