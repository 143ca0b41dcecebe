"""A thin, typed mirror of the HTTP contract: every method is one request.

Answers are the JSON objects of the contract as they come; refusals are raised as `Problem`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backpropd.client.problems import Problem

ENDED = frozenset({"succeeded", "failed", "cancelled"})
LONG_POLL_SECONDS = 20  # under every proxy's usual timeout of 30 or 60

Json = dict[str, Any]


class Client:
    """Speaks to one backpropd server.

    Every method raises `Problem` where the server refuses, and `httpx.TransportError` where it
    cannot be reached.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """`key` is that of the variable BACKPROPD_KEY where none is given.

        `timeout` is in seconds, for one request.
        """
        key = key or os.environ.get("BACKPROPD_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def create_network(self, definition: Mapping[str, Any]) -> Json:
        """Store a network definition; it never changes afterwards."""
        return self._json("POST", "/v1/networks", json=definition)

    def upload_csv(self, content: bytes | Path, **options: str) -> Json:
        """Send a CSV file as a dataset.

        `options` are the form's fields: name, task, scaling, and inputs and targets as column
        names with commas between them.
        """
        if isinstance(content, Path):
            content = content.read_bytes()
        file = ("data.csv", content, "text/csv")
        return self._json("POST", "/v1/datasets", files={"file": file}, data=options)

    def submit(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Json:
        """Submit a training job; with the same key, a second call gives the first one's job."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._json("POST", "/v1/jobs", json=job, headers=headers)

    def submit_batch(self, jobs: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Submit up to 1,000 jobs; for each a `status`, and a `job` or a `problem`."""
        answer: list[Json] = self._json("POST", "/v1/jobs/batch", json={"jobs": list(jobs)})["data"]
        return answer

    def job(self, job_id: str, *, wait: float | None = None, version: int | None = None) -> Json:
        """The job as it stands; with `wait` (seconds), as soon as it is newer than `version`."""
        return self._json("GET", f"/v1/jobs/{job_id}", params=_given(wait=wait, version=version))

    def jobs(
        self,
        filter: str | None = None,  # noqa: A002 - the contract's word
        *,
        order_by: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Json]:
        """The jobs that a filter finds, in this order, page by page; `limit` is a page's size."""
        asked = _given(filter=filter, order_by=order_by, limit=limit)
        page = self._json("GET", "/v1/jobs", params=asked)
        yield from page["data"]
        while page["has_more"]:
            page = self._json("GET", "/v1/jobs", params=asked | {"cursor": page["next_cursor"]})
            yield from page["data"]

    def watch(self, job_id: str) -> Iterator[Json]:
        """The job now, and again each time it has changed, until it has ended."""
        job = self.job(job_id)
        yield job
        while job["status"] not in ENDED:
            job = self.job(job_id, wait=LONG_POLL_SECONDS, version=job["version"])
            yield job

    def wait(self, job_id: str) -> Json:
        """The job once it has ended."""
        *_, job = self.watch(job_id)
        return job

    def cancel(self, job_id: str) -> Json:
        """Ask a job to stop for good; asking twice is the same as asking once."""
        return self._json("POST", f"/v1/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> Json:
        """Ask a job to stop where it is, to be resumed later."""
        return self._json("POST", f"/v1/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> Json:
        """Let a paused job go on exactly where it stopped."""
        return self._json("POST", f"/v1/jobs/{job_id}/resume")

    def retry(self, job_id: str) -> Json:
        """Queue a failed job once more."""
        return self._json("POST", f"/v1/jobs/{job_id}/retry")

    def extend(self, job_id: str, epochs: int) -> Json:
        """A new job that goes on exactly from this one's final state, for so many epochs more."""
        return self._json("POST", f"/v1/jobs/{job_id}/extend", json={"epochs": epochs})

    def clone(self, job_id: str, **changes: Any) -> Json:
        """A new job as this one, but for the changes: `clone(id, training={"seed": 8})`."""
        return self._json("POST", f"/v1/jobs/{job_id}/clone", json=changes)

    def attempts(self, job_id: str) -> list[Json]:
        """Who tried to run the job, and why each attempt ended."""
        answer: list[Json] = self._json("GET", f"/v1/jobs/{job_id}/attempts")["data"]
        return answer

    def history(
        self,
        job_id: str,
        *,
        metrics: Sequence[str] = (),
        first: int | None = None,
        last: int | None = None,
        points: int | None = None,
        method: str | None = None,
    ) -> Json:
        """The curves of a job: epochs first..last, sampled down to `points` where asked."""
        params = _given(
            metrics=",".join(metrics) or None, to=last, points=points, method=method
        ) | _given(**{"from": first})
        return self._json("GET", f"/v1/jobs/{job_id}/history", params=params)

    def snapshots(self, job_id: str) -> list[Json]:
        """What was kept of the job's weights, and why."""
        answer: list[Json] = self._json("GET", f"/v1/jobs/{job_id}/snapshots")["data"]
        return answer

    def weights(self, job_id: str, snapshot: str | int = "final") -> Json:
        """The weights of a snapshot: by name, `{layer}.weight` as rows of units."""
        return self._json("GET", f"/v1/jobs/{job_id}/snapshots/{snapshot}/weights")

    def weights_npz(self, job_id: str, snapshot: str | int = "final") -> bytes:
        """The same as a NumPy archive, for `numpy.load`."""
        path = f"/v1/jobs/{job_id}/snapshots/{snapshot}/weights"
        return self._request("GET", path, params={"format": "npz"}).content

    def predict(
        self, job_id: str, inputs: Sequence[Sequence[float]], *, snapshot: str | int = "final"
    ) -> Json:
        """Outputs (and classes, where the task has them) for rows of inputs in their own units."""
        body = {"inputs": inputs, "snapshot": snapshot}
        return self._json("POST", f"/v1/jobs/{job_id}/predict", json=body)

    def layers(self, job_id: str, *, stat: Sequence[str] = (), points: int | None = None) -> Json:
        """Statistics of every layer, where the job's `history.layers` is true."""
        params = _given(stat=",".join(stat) or None, points=points)
        return self._json("GET", f"/v1/jobs/{job_id}/layers", params=params)

    def confusion(
        self, job_id: str, *, split: str = "training", snapshot: str | int = "final"
    ) -> Json:
        """Which classes are taken for which, in the training or the validation rows."""
        params = {"split": split, "snapshot": snapshot}
        return self._json("GET", f"/v1/jobs/{job_id}/confusion", params=params)

    def catalog(self) -> dict[str, list[Json]]:
        """Every part of the engine, by the field that chooses one."""
        parts: dict[str, list[Json]] = self._json("GET", "/v1/catalog")["parts"]
        return parts

    def trace(self, **step: Any) -> Json:
        """One training step in full; the arguments are the fields of `POST /v1/trace`."""
        return self._json("POST", "/v1/trace", json=step)

    def _json(self, method: str, path: str, **request: Any) -> Json:
        answer: Json = self._request(method, path, **request).json()
        return answer

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            # "Connection refused" alone does not say by whom.
            where = f"{self._http.base_url}: {error or type(error).__name__}"
            raise type(error)(where, request=error.request) from error
        if response.is_error:
            raise Problem.of(response)
        return response


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
