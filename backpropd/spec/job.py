"""What a training job is: a network, data, how to train, and what to keep of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from backpropd.spec.base import OBJECT, TEXT, Count, Spec, Text, text_or
from backpropd.spec.dataset import InlineDatasetSpec
from backpropd.spec.faults import Fault
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import OUTPUTS_OF_LOSS, Metric
from backpropd.spec.network import NetworkSpec
from backpropd.spec.training import TrainingSpec

SPEC_VERSION = 1  # a worker claims only jobs whose version it knows

NetworkRef = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[NetworkSpec, Tag(OBJECT)], text_or(OBJECT)
]
DatasetRef = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[InlineDatasetSpec, Tag(OBJECT)], text_or(OBJECT)
]


class HistorySpec(Spec):
    """What is written down of each epoch."""

    every: Count = Field(
        default=1, description="Epochs between rows: 1, 1 + every, ... and the last one."
    )
    layers: Literal[False] = Field(
        default=False, description="Statistics of every layer; not offered yet."
    )


class SnapshotsSpec(Spec):
    """Which weights are kept besides the initial and the final ones."""

    every: Count | None = Field(default=None, description="Epochs between snapshots.")
    best: Metric | None = Field(default=None, description="Keep those of its best epoch.")


class JobSpec(Spec):
    """A training job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "network": {
                        "inputs": 2,
                        "layers": [
                            {"units": 2, "activation": "tanh"},
                            {"units": 1, "activation": "logistic"},
                        ],
                    },
                    "dataset": "builtin:xor",
                    "training": {
                        "epochs": 500,
                        "batch_size": "all",
                        "loss": "binary_cross_entropy",
                        "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9},
                    },
                }
            ]
        }
    )

    network: NetworkRef = Field(description="An id (net_...) or a definition.")
    dataset: DatasetRef = Field(description="An id (ds_...), builtin:NAME, or rows.")
    training: TrainingSpec = Field(description="How to train.")
    history: HistorySpec = Field(default=HistorySpec(), description="What is written down.")
    snapshots: SnapshotsSpec = Field(default=SnapshotsSpec(), description="What is kept.")
    name: Text | None = Field(default=None, description="For people.")
    tags: dict[Text, Text] = Field(
        default={}, max_length=LIMITS.tags, description="For finding jobs again."
    )
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = Field(
        default=5, description="Higher goes first."
    )
    webhook: None = Field(default=None, description="Not offered yet.")

    def faults(self) -> Iterable[Fault]:
        best = self.snapshots.best or "loss"
        if best.startswith("val_") and self.training.validation is None:
            detail = f"{best} needs training.validation."
            yield Fault("/snapshots/best", "contradiction", detail)


class JobBatchSpec(Spec):
    """Many jobs in one request; each has a result of its own."""

    jobs: tuple[dict[str, Any], ...] = Field(
        min_length=1, max_length=LIMITS.batch_jobs, description="As in POST /v1/jobs, each."
    )


def check_job(
    network: NetworkSpec,
    training: TrainingSpec,
    snapshots: SnapshotsSpec,
    *,
    rows: int,
    inputs: int,
    outputs: int,
    task: str,
) -> Iterator[Fault]:
    """What is wrong between a network, a dataset of this shape, and the way to train."""
    if inputs != network.inputs:
        detail = f"The dataset has {inputs} input columns; the network takes {network.inputs}."
        yield Fault("/dataset", "shape_mismatch", detail)
    if outputs != network.outputs:
        detail = f"The dataset has {outputs} target columns; the network has {network.outputs}"
        yield Fault("/dataset", "shape_mismatch", f"{detail} outputs.")
    yield from check_loss(network, training.loss, "/training/loss")
    if training.validation is not None and rows < 2:
        detail = f"Of {rows} row nothing can be held back."
        yield Fault("/training/validation", "out_of_range", detail)
    for pointer, metric in (
        ("/training/stop/monitor", training.stop.monitor),
        ("/snapshots/best", snapshots.best),
    ):
        if metric is not None and metric.endswith("accuracy") and task != "classification":
            detail = f"{metric} is measured in classification; this dataset's task is {task}."
            yield Fault(pointer, "contradiction", detail)


def check_loss(network: NetworkSpec, loss: str, pointer: str) -> Iterator[Fault]:
    """Whether the loss goes with what the output layer gives."""
    allowed = OUTPUTS_OF_LOSS.get(loss)
    output = network.layers[-1]
    if allowed is not None and output.activation not in allowed:
        detail = f"{loss} goes with {' or '.join(allowed)} outputs; yours are {output.activation}."
        yield Fault(pointer, "loss_mismatch", detail)
