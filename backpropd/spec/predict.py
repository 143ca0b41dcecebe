"""Inputs to run through a trained network, and data to measure it on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from backpropd.spec.base import MOST_FAULTS, Spec, Text
from backpropd.spec.faults import Fault, Invalid, pointer_to
from backpropd.spec.job import DatasetRef, SnapshotRef
from backpropd.spec.limits import LIMITS


def _rows(raw: Any) -> Any:
    """Rows of cells as they came; the cells are looked at where the columns are known."""
    if not isinstance(raw, list):
        raise Invalid([Fault("", "wrong_type", "A list of rows is needed here.")])
    if not 1 <= len(raw) <= LIMITS.predict_rows:
        detail = f"{len(raw):,} rows are given; from 1 to {LIMITS.predict_rows:,} are allowed."
        raise Invalid([Fault("", "out_of_range", detail)])
    faults = []
    for place, row in enumerate(raw):
        if not isinstance(row, list | dict):
            detail = "A row is a list of values, or an object of them by the columns' names."
            faults.append(Fault(pointer_to(place), "wrong_type", detail))
        elif not row:
            faults.append(Fault(pointer_to(place), "out_of_range", "The row is empty."))
        if len(faults) == MOST_FAULTS:
            break
    if faults:
        raise Invalid(faults)
    return raw


CELL = {"type": ["number", "string", "boolean", "null"]}
ROW = {
    "anyOf": [
        {"type": "array", "items": CELL, "minItems": 1},
        {"type": "object", "additionalProperties": CELL, "minProperties": 1},
    ]
}
InputRows = Annotated[
    Any,
    BeforeValidator(_rows),
    WithJsonSchema({"type": "array", "items": ROW, "minItems": 1, "maxItems": LIMITS.predict_rows}),
]


class PredictSpec(Spec):
    """Rows of inputs, in the units of the training data."""

    inputs: InputRows = Field(
        description="One row a sample: a list of its values in the order of the dataset's columns, "
        "or an object of them by name; or a list of the encoded inputs. null is a missing value."
    )
    snapshot: SnapshotRef = Field(default="final", description="final, best, initial or an epoch.")


class EvaluateSpec(Spec):
    """A dataset to measure a trained network on."""

    dataset: DatasetRef = Field(
        description="An id (ds_...), builtin:NAME, or rows. Columns are found by their names; "
        "where none of them has one, by their order."
    )
    snapshot: SnapshotRef = Field(default="final", description="final, best, initial or an epoch.")


class CompareSpec(Spec):
    """Jobs whose curves are wanted side by side."""

    jobs: tuple[Text, ...] = Field(
        min_length=1, max_length=LIMITS.compare_jobs, description="Their ids."
    )
    metrics: tuple[Text, ...] = Field(
        default=("loss",), min_length=1, max_length=16, description="Of those that a job has."
    )
    points: Annotated[int, Field(strict=True, ge=4, le=10_000)] = Field(
        default=500, description="At most so many rows of each job."
    )
    by: Literal["epoch", "update", "time"] = Field(
        default="epoch",
        description="The axis they share; time is in seconds since each was started.",
    )
