"""How a network is to be trained: every default and bound of the contract's `training` object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from backpropd.spec.base import (
    LARGEST_INTEGER,
    NUMBER,
    TEXT,
    Count,
    Finite,
    Flag,
    Spec,
    text_or,
)
from backpropd.spec.faults import Fault
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import Dtype, LossName, Metric, UpdateOrder

Positive = Annotated[Finite, Field(gt=0)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=LIMITS.epochs)]
Seed = Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]


class SgdSpec(Spec):
    """Gradient descent, with momentum as Rumelhart, Hinton & Williams 1986 have it."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = Field(default=0.01, description="How far a step goes.")
    momentum: Annotated[Finite, Field(ge=0, lt=1)] = Field(
        default=0.0, description="How much of the step before is added to this one."
    )


class ConstantScheduleSpec(Spec):
    """The same learning rate all the way."""

    name: Literal["constant"] = "constant"


BatchSize = Annotated[
    Annotated[Count, Tag(NUMBER)] | Annotated[Literal["all"], Tag(TEXT)], text_or(NUMBER)
]


class ValidationSpec(Spec):
    """What is held back to measure on."""

    fraction: Annotated[Finite, Field(gt=0, lt=1)] = Field(
        description="The share of the rows held back, by class where there are classes."
    )


class StopSpec(Spec):
    """When to end before the last epoch. Each rule counts only where it is given."""

    loss_below: Positive | None = Field(default=None, description="The training loss is below.")
    patience: Count | None = Field(
        default=None, description="Epochs without improvement of `monitor`."
    )
    min_delta: Annotated[Finite, Field(ge=0)] = Field(
        default=0.0, description="By how much it must improve to count."
    )
    monitor: Metric | None = Field(
        default=None, description="Default: val_loss with validation, else loss."
    )
    max_seconds: Positive | None = Field(
        default=None, description="Seconds of training, over all attempts."
    )


class TrainingSpec(Spec):
    """How to train."""

    epochs: Epochs = Field(default=100, description="Passes through all samples.")
    batch_size: BatchSize = Field(
        default=32, description='Samples an update; 1 is online learning, "all" the full batch.'
    )
    shuffle: Flag = Field(default=True, description="Draw a new order for each epoch.")
    loss: LossName = Field(description="What is made small.")
    optimizer: SgdSpec = Field(default=SgdSpec(), description="How weights move.")
    schedule: ConstantScheduleSpec = Field(
        default=ConstantScheduleSpec(), description="How the learning rate changes."
    )
    validation: ValidationSpec | None = Field(default=None, description="Rows to measure on.")
    update_order: UpdateOrder = Field(
        default="simultaneous",
        description="layerwise: a layer moves before the deltas below it are computed.",
    )
    stop: StopSpec = Field(default=StopSpec(), description="When to end early.")
    seed: Seed | None = Field(default=None, description="Drawn and recorded where absent.")
    dtype: Dtype = Field(default="float64", description="Of weights and arithmetic.")

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        stop = raw.get("stop")
        if stop is None or (isinstance(stop, dict) and stop.get("monitor") is None):
            monitor = "val_loss" if raw.get("validation") else "loss"
            raw["stop"] = {**(stop or {}), "monitor": monitor}
        return raw

    def faults(self) -> Iterable[Fault]:
        monitor = self.stop.monitor or "loss"
        if self.validation is None and monitor.startswith("val_"):
            yield Fault("/stop/monitor", "contradiction", f"{monitor} needs `validation`.")
