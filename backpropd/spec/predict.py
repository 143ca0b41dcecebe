"""Inputs to run through a trained network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backpropd.spec.base import Matrix, Spec, Text
from backpropd.spec.limits import LIMITS
from backpropd.spec.trace import SnapshotRef


class PredictSpec(Spec):
    """Rows of inputs, in the units of the training data."""

    inputs: Annotated[Matrix, Field(max_length=LIMITS.predict_rows)] = Field(
        description="One row a sample."
    )
    snapshot: SnapshotRef = Field(default="final", description="final, best, initial or an epoch.")


class CompareSpec(Spec):
    """Jobs whose curves are wanted side by side."""

    jobs: tuple[Text, ...] = Field(min_length=1, max_length=LIMITS.compare_jobs)
    metrics: tuple[Text, ...] = Field(default=("loss",), min_length=1, max_length=16)
    points: Annotated[int, Field(strict=True, ge=4, le=100_000)] = Field(default=500)
