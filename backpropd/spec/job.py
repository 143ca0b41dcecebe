"""What a training job is: a network, data, how to train, and what to keep of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Discriminator, Field, Tag

from backpropd.spec.base import NUMBER, OBJECT, TAG, TEXT, Count, Flag, Name, Spec, Text, text_or
from backpropd.spec.dataset import InlineDatasetSpec
from backpropd.spec.faults import Fault
from backpropd.spec.limits import LIMITS
from backpropd.spec.network import NetworkSpec
from backpropd.spec.training import Epochs, TrainingSpec, column_fault

SPEC_VERSION = 3  # a worker claims only jobs whose version it knows
MOST_DEPENDENCIES = 100

Epoch = Annotated[int, Field(strict=True, ge=0)]
SnapshotRef = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[Epoch, Tag(NUMBER)], text_or(NUMBER)]
Layers = Annotated[tuple[Name, ...], Field(min_length=1, max_length=LIMITS.layers)]
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
    layers: Flag = Field(
        default=False, description="Statistics of every layer: see GET /v1/jobs/ID/layers."
    )
    batches: Flag = Field(
        default=False,
        description="The loss of every batch, whatever `every` is: see GET /v1/jobs/ID/batches.",
    )


class SnapshotsSpec(Spec):
    """Which weights are kept besides the initial and the final ones."""

    every: Count | None = Field(default=None, description="Epochs between snapshots.")
    best: Text | None = Field(
        default=None,
        description="Keep those of the best epoch by this column of the history; default: "
        "val_loss with validation, else loss. null keeps none.",
    )

    @classmethod
    def faults_in(cls, raw: Mapping[str, Any]) -> Iterable[Fault]:
        yield from column_fault("/best", raw.get("best"))


class InitialFromJobSpec(Spec):
    """Begin with the weights of a job."""

    job: Text = Field(description="An id (job_...).")
    snapshot: SnapshotRef = Field(default="final", description="final, best, initial or an epoch.")
    layers: Layers | None = Field(
        default=None, description="Take these layers alone; the others are drawn. Default: all."
    )


class InitialFromWeightsSpec(Spec):
    """Begin with weights that were uploaded."""

    weights: Text = Field(description="An id (wts_...).")
    layers: Layers | None = Field(
        default=None, description="Take these layers alone; the others are drawn. Default: all."
    )


def _initial_form(raw: Any) -> str:
    named = isinstance(raw, Mapping) and "weights" in raw
    return TAG + ("weights" if named or hasattr(raw, "weights") else "job")


InitialSpec = Annotated[
    Annotated[InitialFromJobSpec, Tag(TAG + "job")]
    | Annotated[InitialFromWeightsSpec, Tag(TAG + "weights")],
    Discriminator(_initial_form),
]


Days = Annotated[int, Field(strict=True, ge=1, le=36_500)]


class RetentionSpec(Spec):
    """Days after its end for which a job is kept; null is for as long as the operator keeps it."""

    days: Days | None = Field(default=None, description="The job, with all that belongs to it.")
    history_days: Days | None = Field(
        default=None, description="Its history; the summary of each metric stays."
    )
    snapshots_days: Days | None = Field(
        default=None, description="Its snapshots; the final one stays."
    )
    checkpoints_days: Days | None = Field(
        default=None, description="The state from which it can be extended."
    )


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
    initial: InitialSpec | None = Field(
        default=None,
        description="Weights to begin with, of another job or uploaded: by the names of the "
        "layers, and of the same shapes. A copy is taken now. Default: as the network says.",
    )
    history: HistorySpec = Field(default=HistorySpec(), description="What is written down.")
    snapshots: SnapshotsSpec = Field(default=SnapshotsSpec(), description="What is kept.")
    retention: RetentionSpec = Field(
        default=RetentionSpec(), description="For how long it is kept."
    )
    name: Text | None = Field(default=None, description="For people.")
    tags: dict[Text, Text] = Field(
        default={}, max_length=LIMITS.tags, description="For finding jobs again."
    )
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = Field(
        default=5, description="Higher goes first."
    )
    not_before: AwareDatetime | None = Field(
        default=None, description="No worker takes it earlier; RFC 3339, with a zone."
    )
    after: tuple[Text, ...] = Field(
        default=(),
        max_length=MOST_DEPENDENCIES,
        description="Ids of jobs (job_...) that must have succeeded before.",
    )
    on_failure: Literal["cancel", "run"] = Field(
        default="cancel",
        description="Where one of `after` fails or is cancelled: cancel this one too, or run it.",
    )
    strict: Flag = Field(
        default=False,
        description="Fail rather than go on where equal bits are not promised: after a crash, "
        "under another version or on another kind of machine.",
    )
    webhook: None = Field(default=None, description="Not offered yet.")

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """The column whose best epoch is kept, where none is named."""
        snapshots, training = raw.get("snapshots", {}), raw.get("training")
        if isinstance(snapshots, dict) and "best" not in snapshots:
            validated = isinstance(training, dict) and bool(training.get("validation"))
            raw["snapshots"] = {**snapshots, "best": "val_loss" if validated else "loss"}
        return raw

    def faults(self) -> Iterable[Fault]:
        if self.training.stop.restore_best and self.snapshots.best is None:
            detail = "restore_best needs snapshots.best, which says what is best."
            yield Fault("/training/stop/restore_best", "contradiction", detail)
        if len(set(self.after)) != len(self.after):
            yield Fault("/after", "duplicate", "Each job is named once.")
        best = self.snapshots.best or "loss"
        if best.startswith("val_") and self.training.validation is None:
            detail = f"{best} needs training.validation."
            yield Fault("/snapshots/best", "contradiction", detail)


class ExtendSpec(Spec):
    """How much longer a job shall train."""

    epochs: Epochs = Field(description="So many more.")


class NetworkPart(Spec):
    """The network of a job, whatever else is asked."""

    network: NetworkRef


class DatasetPart(Spec):
    """The data of a job, whatever else is asked."""

    dataset: DatasetRef


class TrainingPart(Spec):
    """The training of a job, whatever else is asked."""

    training: TrainingSpec
    snapshots: SnapshotsSpec = SnapshotsSpec()


class JobBatchSpec(Spec):
    """Many jobs in one request; each has a result of its own."""

    jobs: tuple[dict[str, Any], ...] = Field(
        min_length=1, max_length=LIMITS.batch_jobs, description="As in POST /v1/jobs, each."
    )
