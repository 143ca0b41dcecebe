"""What the contract's objects look like, as models for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from backpropd.spec.job import HistorySpec, InitialSpec, RetentionSpec, SnapshotsSpec
from backpropd.spec.names import MissingRule
from backpropd.spec.network import NetworkSpec
from backpropd.spec.training import TrainingSpec

# NaN and infinities travel as these words.
Number = float | Literal["NaN", "Infinity", "-Infinity"]
Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]


class Listed(BaseModel):
    """What every list has."""

    object: Literal["list"]
    has_more: bool
    next_cursor: str | None


class NetworkOut(BaseModel):
    """A stored network definition."""

    object: Literal["network"]
    id: str
    created_at: str
    name: str | None
    definition: NetworkSpec
    sha256: str
    parameter_count: int
    layer_shapes: list[LayerShapes]
    flops_per_sample: int


class LayerShapes(BaseModel):
    """The shapes of a layer's arrays."""

    name: str
    weight: list[int]
    bias: list[int] | None
    others: dict[str, list[int]] = Field(description="Of normalizations and learned activations.")


class NetworkList(Listed):
    """Networks, newest first."""

    data: list[NetworkOut]


class NetworkVerdict(BaseModel):
    """Whether a definition is valid, and what it amounts to."""

    valid: bool
    errors: list[dict[str, str]]
    parameter_count: int | None
    layer_shapes: list[LayerShapes] | None
    flops_per_sample: int | None


class ColumnOut(BaseModel):
    """A column as it came."""

    name: str
    role: Literal["input", "target", "group", "ignored"]
    kind: Literal["number", "category", "other"]
    min: float | None
    max: float | None
    mean: float | None
    deviation: float | None = Field(description="Of the population.")
    distinct: int | None = Field(description="Different values; null for what is ignored.")
    missing: int = Field(description="Values that are not there.")
    categories: list[str] | None = Field(description="In the order of their one-hot columns.")
    counts: list[int] | None = Field(description="Of each category.")


class DatasetOut(BaseModel):
    """A stored dataset."""

    object: Literal["dataset"]
    id: str | None = Field(description="null with validate_only.")
    created_at: str | None
    name: str | None
    status: Literal["ready"]
    sha256: str
    task: Literal["classification", "regression"]
    rows: int
    inputs: list[str] = Field(description="Columns a network sees; categories one-hot.")
    targets: list[str]
    classes: list[str] | None
    scaling: Literal["none", "standard", "minmax"]
    target_scaling: Literal["none", "standard", "minmax"]
    missing: MissingRule
    grouped: bool = Field(description="Whether rows have groups to stay together in.")
    reading: dict[str, Any] = Field(
        description="How a file was read, and under `guessed` what of that nobody had said."
    )
    columns: list[ColumnOut]
    warnings: list[str]


class DatasetList(Listed):
    """Datasets, newest first."""

    data: list[DatasetOut]


class SchemaOut(BaseModel):
    """The columns of a dataset."""

    object: Literal["dataset_schema"]
    columns: list[ColumnOut]
    inputs: list[str]
    targets: list[str]
    classes: list[str] | None
    scaling: str
    target_scaling: str
    missing: MissingRule
    grouped: bool
    reading: dict[str, Any]
    warnings: list[str]


class RowsOut(BaseModel):
    """The first rows of a dataset, encoded and not scaled."""

    object: Literal["dataset_rows"]
    total: int
    inputs: list[list[float | None]] = Field(description="null where a value is missing.")
    targets: list[list[float]]


class BuiltinOut(BaseModel):
    """A dataset that is here already."""

    object: Literal["builtin_dataset"]
    name: str
    description: str
    source: str
    task: str
    rows: int
    inputs: int
    targets: int


class BuiltinList(Listed):
    """The built-in datasets."""

    data: list[BuiltinOut]


class ProgressOut(BaseModel):
    """How far a job is."""

    epoch: int
    epochs: int
    fraction: float
    samples_per_second: float | None


class TransitionOut(BaseModel):
    """A move from one state to another."""

    at: str
    from_status: str | None
    to_status: str
    attempt: int
    actor: str
    reason: str


class MetricOut(BaseModel):
    """A metric over a whole job."""

    first: Number
    last: Number
    min: Number
    min_epoch: int | None
    max: Number
    max_epoch: int | None


class JobOut(BaseModel):
    """A training job."""

    object: Literal["job"]
    id: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    name: str | None
    tags: dict[str, str]
    priority: int
    status: Status
    want: Literal["run", "pause", "cancel"]
    allowed_actions: list[str]
    version: int
    attempt: int
    queue_position: int | None
    starts_at: str | None = Field(description="An estimate; null where nothing can be said.")
    not_before: str | None
    after: list[str]
    waiting_for: list[str] = Field(description="Those of `after` that have not ended.")
    on_failure: Literal["cancel", "run"]
    strict: bool
    parent: str | None = Field(description="The job it was made of.")
    derived: Literal["extend", "clone"] | None
    progress: ProgressOut
    eta_at: str | None
    network_id: str
    network: NetworkSpec
    dataset_id: str
    dataset: str
    training: TrainingSpec
    initial: InitialSpec | None
    history: HistorySpec
    snapshots: SnapshotsSpec
    retention: RetentionSpec
    webhook: None
    transitions: list[TransitionOut]
    metrics: dict[str, MetricOut]
    final: dict[str, Number] | None
    stop_reason: str | None
    error: dict[str, Any] | None
    lineage: dict[str, Any] | None
    links: dict[str, str]


class JobSummary(BaseModel):
    """A training job in a list: without its definitions."""

    object: Literal["job"]
    id: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    name: str | None
    tags: dict[str, str]
    priority: int
    status: Status
    want: Literal["run", "pause", "cancel"]
    allowed_actions: list[str]
    version: int
    attempt: int
    progress: ProgressOut
    eta_at: str | None
    parent: str | None
    derived: Literal["extend", "clone"] | None
    network_id: str
    dataset_id: str
    dataset: str
    metrics: dict[str, MetricOut]
    final: dict[str, Number] | None
    stop_reason: str | None
    error: dict[str, Any] | None
    links: dict[str, str]


class AttemptOut(BaseModel):
    """One worker's try at a job."""

    object: Literal["attempt"]
    attempt: int
    worker: str | None
    started_at: str
    ended_at: str | None
    outcome: Status | None = Field(description="The state it led to; null while it runs.")
    reason: str | None
    actor: str | None = Field(description="Who ended it: worker, or reconciler.")


class AttemptList(Listed):
    """Attempts, the first one first."""

    data: list[AttemptOut]


class JobList(Listed):
    """Jobs, newest first."""

    data: list[JobSummary]


class EstimateOut(BaseModel):
    """What a job will amount to."""

    parameter_count: int
    flops: int
    presentations: int


class JobVerdict(BaseModel):
    """A job that would be accepted, with every default filled in; nothing was stored."""

    object: Literal["job_validation"]
    valid: Literal[True]
    job: dict[str, Any]
    estimate: EstimateOut


class BatchItem(BaseModel):
    """What became of one job of a batch."""

    status: int
    job: JobOut | None
    problem: dict[str, Any] | None


class BatchOut(BaseModel):
    """What became of each job, in the order of the request."""

    object: Literal["job_batch"]
    data: list[BatchItem]


class EventOut(BaseModel):
    """Something that happened to a job."""

    object: Literal["event"]
    seq: int
    at: str
    kind: str
    from_status: str | None
    to_status: str | None
    attempt: int
    actor: str
    reason: str
    detail: dict[str, Any] | None


class EventList(Listed):
    """Events, oldest first."""

    data: list[EventOut]


class HistoryOut(BaseModel):
    """Rows of history: an epoch axis, and a series for each metric."""

    object: Literal["history"]
    job: str
    total: int = Field(description="Rows in the range, sampled or not.")
    sampled: bool
    epoch: list[int]
    update: list[int] | None = Field(default=None, description="With by=update.")
    time: list[Number] | None = Field(
        default=None, description="With by=time: seconds since started_at; NaN where not known."
    )
    series: dict[str, list[Number]]
    has_more: bool
    next_cursor: str | None


class BatchesOut(BaseModel):
    """The loss of every batch, by the update that followed it."""

    object: Literal["batches"]
    job: str
    total: int
    sampled: bool
    update: list[int]
    series: dict[str, list[Number]]
    has_more: bool
    next_cursor: str | None


class BandOut(BaseModel):
    """The extremes of a curve in every bucket of an axis; null where it has no row."""

    min: list[Number | None]
    max: list[Number | None]


class CurveOut(BaseModel):
    """The rows of one job in a comparison."""

    object: Literal["history"]
    job: str
    name: str | None
    total: int
    sampled: bool
    epoch: list[int]
    update: list[int] | None = Field(default=None, description="With by: update.")
    time: list[Number] | None = Field(default=None, description="With by: time.")
    series: dict[str, list[Number]]
    aligned: dict[str, BandOut]


class DifferenceOut(BaseModel):
    """A field of the definitions that is not the same in all jobs."""

    pointer: str
    values: list[Any] = Field(description="In the order of the jobs; null where there is none.")


class ComparisonOut(BaseModel):
    """The histories of several jobs over the same buckets."""

    object: Literal["history_comparison"]
    by: Literal["epoch", "update", "time"]
    axis: list[float] = Field(description="Where each bucket begins.")
    data: list[CurveOut]
    differences: list[DifferenceOut]


class SnapshotOut(BaseModel):
    """Weights that were kept."""

    object: Literal["snapshot"]
    id: str
    created_at: str
    job: str
    epoch: int
    kind: Literal["initial", "every", "best", "final"]
    metrics: dict[str, Any]
    bytes: int
    sha256: str
    links: dict[str, str]


class SnapshotList(Listed):
    """Snapshots, by epoch."""

    data: list[SnapshotOut]


class WeightsOut(BaseModel):
    """The weights of a snapshot: {layer}.weight as (units, fan_in), {layer}.bias as (units,)."""

    object: Literal["weights"]
    job: str
    epoch: int
    kind: str
    sha256: str
    weights: dict[str, list[list[Number]] | list[Number]]


class UploadedWeightsOut(BaseModel):
    """Weights of elsewhere, to begin with."""

    object: Literal["uploaded_weights"]
    id: str
    created_at: str
    name: str | None
    sha256: str
    bytes: int
    arrays: dict[str, list[int]] = Field(description="Name -> shape.")


class UploadedWeightsList(Listed):
    """Uploaded weights, newest first."""

    data: list[UploadedWeightsOut]


class PredictionOut(BaseModel):
    """Outputs, and what they mean."""

    object: Literal["prediction"]
    job: str
    epoch: int
    targets: list[str] = Field(description="What each output is of.")
    outputs: list[list[Number]] = Field(description="In the targets' own units.")
    classes: list[str] | None
    probabilities: list[dict[str, Number]] | None
    warnings: list[str] = Field(description="Words that training did not have.")


class CalibrationBin(BaseModel):
    """Samples whose class was chosen with a confidence in this range."""

    from_: float = Field(alias="from")
    to: float
    count: int
    confidence: Number | None = Field(description="The mean.")
    accuracy: Number | None = Field(description="The share that is right.")


class CalibrationOut(BaseModel):
    """How often a choice is right, by how sure the network is of it."""

    bins: list[CalibrationBin]
    expected_error: Number = Field(description="Guo et al. 2017, eq. 3.")


class TargetEvaluation(BaseModel):
    """A target's figures and plots; null where a value is not finite, or too large to square."""

    metrics: dict[str, Number | None] | None
    points: dict[str, list[Number]] | None = Field(
        description="row, actual, predicted and residual: at most 2,000, spread evenly."
    )
    residuals: dict[str, Any] | None = Field(description="Their quantiles and histogram.")


class EvaluationOut(BaseModel):
    """How well a trained network does on a dataset."""

    object: Literal["evaluation"]
    job: str
    epoch: int
    dataset_sha256: str
    rows: int
    task: Literal["classification", "regression"]
    classes: list[str] | None = None
    matrix: list[list[int]] | None = Field(
        default=None, description="matrix[i][j]: samples of class i that were taken for class j."
    )
    per_class: dict[str, ClassFigures] | None = None
    averages: dict[str, dict[str, float]] | None = None
    metrics: dict[str, Number | None] | None = None
    calibration: CalibrationOut | None = None
    targets: dict[str, TargetEvaluation] | None = Field(
        default=None, description="In a regression."
    )


class StepOut(BaseModel):
    """One line of the worked example."""

    symbol: str
    value: Number
    phase: Literal["forward", "error", "backward", "update"]
    layer: str
    unit: str
    formula: str
    meaning: str


class TraceOut(BaseModel):
    """One training step in full."""

    object: Literal["trace"]
    loss: str
    learning_rate: float
    update_order: str
    inputs: list[Number]
    targets: list[Number]
    outputs: list[Number]
    outputs_after: list[Number]
    error_before: Number
    error_after: Number
    values: dict[str, Number] = Field(description="Every number by its symbol.")
    gradient: dict[str, Number]
    bias_gradient: dict[str, Number]
    updated_weights: dict[str, Number]
    updated_biases: dict[str, Number]
    steps: list[StepOut]


class LimitsOut(BaseModel):
    """Every limit in force."""

    object: Literal["limits"]
    limits: dict[str, int]


class HealthOut(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class ReadyOut(BaseModel):
    """Whether the parts answer."""

    status: Literal["ready", "unavailable"]
    checks: dict[str, str]


class PartOut(BaseModel):
    """A part of the engine."""

    name: str
    description: str
    formula: str
    derivative: str | None
    source: str
    defaults: dict[str, Any] = Field(description="Of every setting.")
    json_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema of its settings.")


class CatalogOut(BaseModel):
    """Every part, by the field that chooses one."""

    object: Literal["catalog"]
    parts: dict[str, list[PartOut]]


class ClassFigures(BaseModel):
    """How well one class is told from the others."""

    precision: float
    recall: float
    f1: float
    support: int


class ConfusionOut(BaseModel):
    """Which classes were taken for which."""

    object: Literal["confusion"]
    job: str
    epoch: int
    split: Literal["training", "validation"]
    classes: list[str]
    matrix: list[list[int]]
    per_class: dict[str, ClassFigures]
    accuracy: float


class LayersOut(BaseModel):
    """Statistics of layers, epoch by epoch."""

    object: Literal["layers"]
    job: str
    total: int
    sampled: bool
    epoch: list[int]
    update: list[int] | None = Field(default=None, description="With by=update.")
    time: list[Number] | None = Field(default=None, description="With by=time.")
    layers: dict[str, dict[str, list[Number]]] = Field(description="layer -> statistic -> values.")
    has_more: bool
    next_cursor: str | None


ScopeName = Literal["read", "write", "admin"]


class KeyOut(BaseModel):
    """A key as everybody may see it."""

    object: Literal["key"]
    id: str
    created_at: str
    owner: str
    name: str | None
    prefix: str = Field(description="How the key begins, behind bp_.")
    scopes: list[ScopeName]
    expires_at: str | None
    revoked_at: str | None


class NewKeyOut(KeyOut):
    """A key just made."""

    key: str = Field(description="The key itself, shown this once.")


class KeyList(Listed):
    """Keys, newest first."""

    data: list[KeyOut]


class WhoamiOut(BaseModel):
    """Who asks."""

    object: Literal["principal"]
    owner: str
    key: str | None = Field(description="Its id; null where nobody needs a key.")
    scopes: list[ScopeName]


class ActOut(BaseModel):
    """Something that was done with power over others' things."""

    object: Literal["act"]
    id: str
    created_at: str
    actor: str = Field(description="A key's id, local, or command_line.")
    owner: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    request_id: str | None


class AuditList(Listed):
    """Acts, newest first."""

    data: list[ActOut]


class WorkerOut(BaseModel):
    """A worker that was seen lately."""

    object: Literal["worker"]
    id: str
    host: str
    version: str
    queue: str
    slots: int
    draining: bool
    jobs: list[str] = Field(description="The jobs that it trains.")
    fenced_writes: int = Field(description="Writes not made because the lease was lost.")
    seen_at: str


class WorkerList(Listed):
    """Workers, those seen last first."""

    data: list[WorkerOut]
