"""What a job in the hand needs of the client that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class Server(Protocol):
    """The operations on one job; `Client` has them, where each is described."""

    def job(self, job_id: str, *, wait: float | None = None, version: int | None = None) -> Json:
        """See `Client`."""

    def watch(self, job_id: str) -> Iterator[Json]:
        """See `Client`."""

    def pause(self, job_id: str) -> Json:
        """See `Client`."""

    def resume(self, job_id: str) -> Json:
        """See `Client`."""

    def cancel(self, job_id: str) -> Json:
        """See `Client`."""

    def retry(self, job_id: str) -> Json:
        """See `Client`."""

    def delete_job(self, job_id: str) -> None:
        """See `Client`."""

    def extend(self, job_id: str, epochs: int) -> Json:
        """See `Client`."""

    def clone(self, job_id: str, **changes: Any) -> Json:
        """See `Client`."""

    def history(
        self,
        job_id: str,
        *,
        metrics: Sequence[str] = (),
        by: str | None = None,
        first: float | str | None = None,
        last: float | str | None = None,
        points: int | None = None,
        method: str | None = None,
    ) -> Json:
        """See `Client`."""

    def compare(
        self,
        job_ids: Sequence[str],
        *,
        metrics: Sequence[str] = ("loss",),
        points: int = 500,
        by: str = "epoch",
    ) -> Json:
        """See `Client`."""

    def snapshots(self, job_id: str) -> list[Json]:
        """See `Client`."""

    def weights_npz(self, job_id: str, snapshot: str | int = "final") -> bytes:
        """See `Client`."""

    def weights_file(
        self, job_id: str, snapshot: str | int = "final", *, file_format: str
    ) -> bytes:
        """See `Client`."""

    def predict(self, job_id: str, inputs: Sequence[Any], *, snapshot: str | int = "final") -> Json:
        """See `Client`."""

    def evaluate(
        self, job_id: str, dataset: str | Mapping[str, Any], *, snapshot: str | int = "final"
    ) -> Json:
        """See `Client`."""
