"""Path and query parameters, and headers, as models: what is not named here is refused."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from backpropd.spec.base import faults_from
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import LIMITS
from service.representations import Status


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the character NUL is not allowed")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_no_nul)]


def _place(given: str, info: ValidationInfo) -> Any:
    """Where a range begins or ends, by what `by` says that it counts."""
    if "by" not in info.data:  # then that is the fault
        return None
    by = info.data["by"]
    if by == "time" and re.match(r"\d{4}-", given):
        by = "instant"
    try:
        return _PLACES[by].validate_python(given)
    except ValidationError as error:
        if by not in ("time", "instant"):
            raise Invalid(faults_from(error)) from None
        detail = (
            f"time is in seconds since the job was started, 0 or more, or an instant with its zone "
            f"(2026-11-24T12:00:00Z); given: {str(given)[:60]!r}."
        )
        raise Invalid([Fault("", "bad_value", detail)]) from None


_PLACES: dict[str, TypeAdapter[Any]] = {
    "epoch": TypeAdapter(Annotated[int, Field(ge=1, le=2**31 - 1)]),
    "update": TypeAdapter(Annotated[int, Field(ge=1, le=2**53 - 1)]),
    "time": TypeAdapter(Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]),
    "instant": TypeAdapter(AwareDatetime),
}
Place = Annotated[
    int | float | datetime | None,
    PlainValidator(_place),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "minimum": 0},
                {"type": "string", "format": "date-time"},
                {"type": "null"},
            ]
        }
    ),
]

SNAPSHOT = r"^(final|best|initial|\d{1,9})$"


class _Described(BaseModel):
    """Parameters whose schema is made once: the framework asks for it with each request."""

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """As pydantic makes it."""
        return _schema_of(cls, *arguments, **options)


@cache
def _schema_of(model: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = super(_Described, model).model_json_schema(*arguments, **options)
    return made


class Query(_Described):
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


class RowsOfHistory(Query):
    """How many rows of history, and in which form."""

    points: int | None = Field(
        default=None, ge=4, le=LIMITS.history_page, description="At most so many rows."
    )
    method: Literal["minmax", "lttb", "mean"] = Field(
        default="minmax", description="How rows are chosen; minmax loses no extreme."
    )
    format: Literal["json", "csv", "ndjson", "npz", "parquet"] = Field(
        default="json", description="All but json are whole, without pages."
    )
    cursor: Text | None = Field(default=None, description="next_cursor of the page before.")


class HistoryRange(RowsOfHistory):
    """Which epochs, by whatever is counted."""

    by: Literal["epoch", "update", "time"] = Field(
        default="epoch",
        description="What from and to count: epochs, updates, or time, which is RFC 3339 or seconds"
        " since the job was started. An epoch stands where it was through.",
    )
    first: Place = Field(default=None, alias="from", description="The first row.")
    last: Place = Field(default=None, alias="to", description="The last row, included.")


class HistoryQuery(HistoryRange):
    """Which rows of history."""

    metrics: Text | None = Field(
        default=None, description="Names with commas between them; default: all."
    )


class LayersQuery(HistoryRange):
    """Which statistics of layers, of which epochs."""

    stat: Text | None = Field(
        default=None, description="Names with commas between them; default: all."
    )


class BatchesQuery(RowsOfHistory):
    """Which batches, counted from the first of the training."""

    first: int = Field(default=1, alias="from", ge=1, le=2**53 - 1, description="First batch.")
    last: int | None = Field(
        default=None, alias="to", ge=1, le=2**53 - 1, description="Last batch, included."
    )


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


class LastEventHeader(_Described):
    """Where a stream goes on."""

    last_event_id: str | None = Field(
        default=None, alias="Last-Event-ID", description="The id of the last event seen."
    )


class IdempotencyHeader(_Described):
    """A key that makes a repeated request one request."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, alias="Idempotency-Key", description="Any text; kept for 24 hours."
    )
