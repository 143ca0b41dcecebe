"""How a network is to be trained: every default and bound of the contract's `training` object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from backpropd.spec.base import (
    LARGEST_INTEGER,
    NUMBER,
    TAG,
    TEXT,
    Count,
    Finite,
    Flag,
    Spec,
    Text,
    text_or,
)
from backpropd.spec.faults import Fault, unknown_name
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import Dtype, Kernel, SplitMethod, UpdateOrder
from backpropd.spec.parts import (
    SPECS,
    ClipChoice,
    LossChoice,
    MetricChoice,
    OptimizerChoice,
    PartSpec,
    ScheduleChoice,
    standard,
)

Positive = Annotated[Finite, Field(gt=0)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=LIMITS.epochs)]
Seed = Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]


BatchSize = Annotated[
    Annotated[Count, Tag(NUMBER)] | Annotated[Literal["all"], Tag(TEXT)], text_or(NUMBER)
]


class FractionSpec(Spec):
    """Some rows are held back, drawn by chance."""

    fraction: Annotated[Finite, Field(gt=0, lt=1)] = Field(
        description="The share of the rows held back."
    )
    method: SplitMethod | None = Field(
        default=None,
        description="stratified: of each class its share; random; grouped: rows of one group "
        "together; ordered: the last rows, or stretches of them. Default: grouped where the "
        "dataset has groups, else stratified where it has classes, else random.",
    )


class FoldSpec(Spec):
    """One of several equal parts is held back: the same parts for every job of one seed."""

    folds: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(description="How many parts.")
    fold: Annotated[int, Field(strict=True, ge=0)] = Field(
        description="Which one is held back, counted from 0."
    )
    method: SplitMethod | None = Field(
        default=None,
        description="stratified: of each class its share; random; grouped: rows of one group "
        "together; ordered: the last rows, or stretches of them. Default: grouped where the "
        "dataset has groups, else stratified where it has classes, else random.",
    )

    def faults(self) -> Iterable[Fault]:
        if self.fold >= self.folds:
            detail = f"There are {self.folds} folds, counted from 0."
            yield Fault("/fold", "out_of_range", detail)


class RowsSpec(Spec):
    """Given rows are held back."""

    rows: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)] = (
        Field(description="Rows of the dataset, counted from 0.")
    )

    def faults(self) -> Iterable[Fault]:
        if len(set(self.rows)) != len(self.rows):
            yield Fault("/rows", "duplicate", "Each row is named once.")


def _validation_form(raw: Any) -> str:
    for field in ("folds", "rows"):
        if (isinstance(raw, Mapping) and field in raw) or hasattr(raw, field):
            return TAG + field
    return TAG + "fraction"


ValidationSpec = Annotated[
    Annotated[FractionSpec, Tag(TAG + "fraction")]
    | Annotated[FoldSpec, Tag(TAG + "folds")]
    | Annotated[RowsSpec, Tag(TAG + "rows")],
    Discriminator(_validation_form),
]


def column_fault(pointer: str, column: Any) -> Iterator[Fault]:
    """Where a column of the history is named that no job has."""
    if not isinstance(column, str):
        return
    known = ["loss", *SPECS["metric"]]
    base = column.removeprefix("val_").split(".")[0]
    if base not in known:
        names = [*known, *(f"val_{name}" for name in known)]
        yield Fault(pointer, "unknown_name", unknown_name("column", column, names))


class StopSpec(Spec):
    """When to end before the last epoch. Each rule counts only where it is given."""

    loss_below: Positive | None = Field(default=None, description="The training loss is below.")
    error_below: Annotated[Finite, Field(gt=0, le=1)] | None = Field(
        default=None, description="1 less `error_of` is below."
    )
    error_of: Literal["accuracy", "accuracy_within"] = Field(
        default="accuracy",
        description="Which share of training samples counts as right; it must be measured.",
    )
    updates: Count | None = Field(
        default=None, description="Ends with the epoch in which so many are reached."
    )
    patience: Count | None = Field(
        default=None, description="Epochs without improvement of `monitor`."
    )
    min_delta: Annotated[Finite, Field(ge=0)] = Field(
        default=0.0, description="By how much it must improve to count."
    )
    monitor: Text | None = Field(
        default=None,
        description="A column of the history; default: val_loss with validation, else loss.",
    )
    max_seconds: Positive | None = Field(
        default=None, description="Seconds of training, over all attempts."
    )
    restore_best: Flag = Field(
        default=False, description="End with the weights of the best epoch (see snapshots.best)."
    )

    @classmethod
    def faults_in(cls, raw: Mapping[str, Any]) -> Iterable[Fault]:
        yield from column_fault("/monitor", raw.get("monitor"))


class SeedsSpec(Spec):
    """Seeds of single components; each is drawn from `seed` where absent."""

    weights: Seed | None = Field(default=None, description="Initial weights and biases.")
    split: Seed | None = Field(default=None, description="Which rows are held back.")
    order: Seed | None = Field(default=None, description="The order of samples.")
    noise: Seed | None = Field(default=None, description="Noise and dropout.")


Weight = Annotated[Finite, Field(ge=0)]
ClassWeights = Annotated[
    Annotated[Literal["balanced"], Tag(TEXT)]
    | Annotated[Annotated[tuple[Weight, ...], Field(min_length=2)], Tag(NUMBER)],
    text_or(NUMBER),
]


class TrainingSpec(Spec):
    """How to train."""

    epochs: Epochs = Field(default=100, description="Passes through all samples.")
    batch_size: BatchSize = Field(
        default=32, description='Samples an update; 1 is online learning, "all" the full batch.'
    )
    shuffle: Flag = Field(default=True, description="Draw a new order for each epoch.")
    replacement: Flag = Field(
        default=False, description="Draw each sample anew: some come twice, some not at all."
    )
    loss: LossChoice = Field(description="What is made small.")
    class_weights: ClassWeights | None = Field(
        default=None,
        description='How much samples of each class count, in the order of classes; "balanced": '
        "every class as much as the others.",
    )
    sample_weights: Annotated[tuple[Weight, ...], Field(min_length=1)] | None = Field(
        default=None, description="How much each row of the dataset counts in training."
    )
    optimizer: OptimizerChoice = Field(
        default=standard("optimizer", "sgd"), description="How weights move."
    )
    schedule: ScheduleChoice = Field(
        default=standard("schedule", "constant"), description="How the learning rate changes."
    )
    clip: ClipChoice | None = Field(default=None, description="What holds gradients in.")
    metrics: tuple[MetricChoice, ...] | None = Field(
        default=None,
        max_length=32,
        description="What each epoch measures beside the loss; default: accuracy where there are "
        "classes.",
    )
    validation: ValidationSpec | None = Field(default=None, description="Rows to measure on.")
    update_order: UpdateOrder = Field(
        default="simultaneous",
        description="layerwise: a layer moves before the deltas below it are computed.",
    )
    stop: StopSpec = Field(default=StopSpec(), description="When to end early.")
    seed: Seed | None = Field(default=None, description="Drawn and recorded where absent.")
    seeds: SeedsSpec = Field(default=SeedsSpec(), description="Of single components.")
    dtype: Dtype = Field(default="float64", description="Of weights and arithmetic.")
    kernel: Kernel = Field(
        default="auto",
        description="auto: machine code where it covers this training, and is there or saves more "
        "than compiling takes; compiled: waits for the compiler; plain: the textbook's code. The "
        "job's `lineage` says which one, and why.",
    )

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        stop = raw.get("stop")
        if stop is None or (isinstance(stop, dict) and stop.get("monitor") is None):
            monitor = "val_loss" if raw.get("validation") else "loss"
            raw["stop"] = {**(stop or {}), "monitor": monitor}
        return raw

    @property
    def order(self) -> str:
        """How samples are ordered, as the engine names it."""
        if self.replacement:
            return "with_replacement"
        return "shuffled" if self.shuffle else "fixed"

    def metrics_for(self, task: str) -> tuple[PartSpec, ...]:
        """What is measured, with the default filled in."""
        if self.metrics is not None:
            return self.metrics
        return (standard("metric", "accuracy"),) if task == "classification" else ()

    def faults(self) -> Iterable[Fault]:
        monitor = self.stop.monitor or "loss"
        if self.validation is None and monitor.startswith("val_"):
            yield Fault("/stop/monitor", "contradiction", f"{monitor} needs `validation`.")
        if self.replacement and not self.shuffle:
            detail = "Samples drawn anew have no fixed order; leave `shuffle` true."
            yield Fault("/replacement", "contradiction", detail)
        names = [metric.name for metric in self.metrics or ()]
        if len(set(names)) != len(names):
            yield Fault("/metrics", "duplicate", "Each metric is measured once.")
        yield from faults_of_training(self)


def faults_of_training(training: TrainingSpec) -> Iterator[Fault]:
    """What is wrong between the parts of a training."""
    optimizer, schedule = training.optimizer.part, training.schedule.part
    name, layerwise = training.optimizer.name, training.update_order == "layerwise"
    if optimizer.full_batch and training.batch_size != "all":
        detail = f'{name} compares one step with the next, so it needs batch_size "all".'
        yield Fault("/batch_size", "contradiction", detail)
    if optimizer.full_batch and training.replacement:
        detail = f"{name} needs every step to see every sample."
        yield Fault("/replacement", "contradiction", detail)
    if not optimizer.scheduled and (training.schedule.name != "constant" or schedule.warmup):
        detail = f"{name} finds its own rates; its schedule is constant, without a warm-up."
        yield Fault("/schedule", "contradiction", detail)
    if optimizer.needs_squared and not training.loss.part.squared:
        squared = [each for each, spec in SPECS["loss"].items() if spec().part.squared]  # type: ignore[call-arg]
        detail = f"{name} needs a sum of squares: {', '.join(squared)}."
        yield Fault("/loss", "contradiction", detail)
    if optimizer.looks_around and training.clip is not None:
        yield Fault("/clip", "contradiction", f"{name} looks at more than a gradient.")
    if layerwise and optimizer.looks_around:
        yield Fault("/update_order", "contradiction", f"{name} moves all layers at once.")
    if layerwise and training.clip is not None:
        detail = "Clipping looks at the gradient of all layers at once."
        yield Fault("/clip", "contradiction", detail)
    listens_to = getattr(schedule, "monitor", "loss")
    if listens_to == "val_loss" and training.validation is None:
        yield Fault("/schedule/monitor", "contradiction", "val_loss needs `validation`.")
