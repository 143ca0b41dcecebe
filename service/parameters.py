"""Path and query parameters, and headers, as models: what is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from backpropd.spec.base import faults_from
from backpropd.spec.faults import Invalid
from backpropd.spec.limits import LIMITS
from service.representations import Status


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the character NUL is not allowed")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_no_nul)]


SNAPSHOT = r"^(final|best|initial|\d{1,9})$"


class Query(BaseModel):
    """A query string: unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q], options: dict[str, str]) -> Q:
    """The query of a view that reads its body itself; raises Invalid."""
    try:
        return model.model_validate(options)
    except ValidationError as error:
        raise Invalid(faults_from(error)) from None


class NoQuery(Query):
    """No parameters."""


class PageQuery(Query):
    """Which part of a list."""

    limit: int = Field(default=50, ge=1, le=LIMITS.page, description="Rows of a page.")
    cursor: Text | None = Field(default=None, description="next_cursor of the page before.")


class SearchQuery(PageQuery):
    """Which rows, in which order. spec/search.py reads both, and says what is wrong with them."""

    filter: str | None = Field(
        default=None,
        description='As status = "failed" and metrics.loss.min < 0.1; see the page Search.',
    )
    order_by: str | None = Field(
        default=None, description="Fields with commas between them, each with asc or desc."
    )


class JobsQuery(SearchQuery):
    """Which jobs."""

    status: Status | None = Field(default=None, description="Only jobs in this state.")


class EventsQuery(Query):
    """Which events."""

    after: int = Field(default=0, ge=0, le=2**31 - 1, description="The last number seen.")
    limit: int = Field(default=50, ge=1, le=LIMITS.page, description="Events of a page.")


class ValidateQuery(Query):
    """Whether to store."""

    validate_only: bool = Field(default=False, description="Check and store nothing.")


class WaitQuery(Query):
    """Whether to wait for news."""

    wait: float | None = Field(
        default=None, ge=0, le=LIMITS.wait_seconds, description="Seconds to wait for a change."
    )
    version: int | None = Field(
        default=None, ge=0, le=2**53 - 1, description="The version that is known already."
    )


class RowsQuery(Query):
    """How many rows."""

    limit: int = Field(default=20, ge=1, le=LIMITS.page, description="Rows.")


class HistoryQuery(Query):
    """Which rows of history, and how many of them."""

    metrics: Text | None = Field(
        default=None, description="Names with commas between them; default: all."
    )
    first: int = Field(default=1, alias="from", ge=1, le=2**31 - 1, description="First epoch.")
    last: int | None = Field(
        default=None, alias="to", ge=1, le=2**31 - 1, description="Last epoch, included."
    )
    points: int | None = Field(
        default=None, ge=4, le=LIMITS.history_page, description="At most so many rows."
    )
    method: Literal["minmax", "lttb", "mean"] = Field(
        default="minmax", description="How rows are chosen; minmax loses no extreme."
    )
    format: Literal["json", "csv", "ndjson", "npz"] = Field(
        default="json", description="All but json are whole, without pages."
    )
    cursor: Text | None = Field(default=None, description="next_cursor of the page before.")


class LayersQuery(Query):
    """Which statistics of layers, of which epochs."""

    stat: Text | None = Field(
        default=None, description="Names with commas between them; default: all."
    )
    first: int = Field(default=1, alias="from", ge=1, le=2**31 - 1, description="First epoch.")
    last: int | None = Field(
        default=None, alias="to", ge=1, le=2**31 - 1, description="Last epoch, included."
    )
    points: int | None = Field(
        default=None, ge=4, le=LIMITS.history_page, description="At most so many rows."
    )
    cursor: Text | None = Field(default=None, description="next_cursor of the page before.")


class ConfusionQuery(Query):
    """Which samples, by which weights."""

    split: Literal["training", "validation"] = Field(
        default="training", description="The rows learned from, or those held back."
    )
    snapshot: Annotated[str, Field(pattern=SNAPSHOT)] = Field(
        default="final", description="final, best, initial, or an epoch."
    )

    @property
    def which(self) -> str | int:
        """The snapshot as the store names it."""
        return int(self.snapshot) if self.snapshot.isdigit() else self.snapshot


class WeightsQuery(Query):
    """How weights are written."""

    format: Literal["json", "npz", "safetensors", "onnx", "python"] = Field(
        default="json", description="The file's format; python is a predictor in one file."
    )


class PredictQuery(Query):
    """Which weights predict, and how the answer is written."""

    snapshot: Annotated[str, Field(pattern=SNAPSHOT)] = Field(
        default="final", description="Beside a file: final, best, initial, or an epoch."
    )
    format: Literal["json", "csv"] = Field(default="json", description="Of the answer.")

    @property
    def which(self) -> str | int:
        """The snapshot as the store names it."""
        return int(self.snapshot) if self.snapshot.isdigit() else self.snapshot


class WeightsUploadQuery(Query):
    """How uploaded weights are called."""

    name: Text | None = Field(default=None, description="For people.")


class WeightsPath(BaseModel):
    """Uploaded weights."""

    weights_id: Text = Field(description="wts_...")


class NetworkPath(BaseModel):
    """A network."""

    network_id: Text = Field(description="net_...")


class DatasetPath(BaseModel):
    """A dataset."""

    dataset_id: Text = Field(description="ds_...")


class JobPath(BaseModel):
    """A job."""

    job_id: Text = Field(description="job_...")


class KeyPath(BaseModel):
    """A key."""

    key_id: Text = Field(description="key_...; not the key itself.")


class WorkerPath(BaseModel):
    """A worker."""

    worker_id: Text = Field(description="As GET /v1/workers shows it.")


class SnapshotPath(JobPath):
    """A snapshot of a job."""

    snapshot: Annotated[str, Field(pattern=SNAPSHOT)] = Field(
        description="final, best, initial, or an epoch."
    )

    @property
    def which(self) -> str | int:
        """The snapshot as the store names it."""
        return int(self.snapshot) if self.snapshot.isdigit() else self.snapshot


class LastEventHeader(BaseModel):
    """Where a stream goes on."""

    last_event_id: str | None = Field(
        default=None, alias="Last-Event-ID", description="The id of the last event seen."
    )


class IdempotencyHeader(BaseModel):
    """A key that makes a repeated request one request."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, alias="Idempotency-Key", description="Any text; kept for 24 hours."
    )
