"""A training job in the hand: watch it, wait for it, steer it, and take what it learned."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.client.history import History
from backpropd.client.prediction import Prediction
from backpropd.client.server import Json, Server
from backpropd.spec.limits import LIMITS

Arrays = dict[str, NDArray[np.floating[Any]]]

ENDED = frozenset({"succeeded", "failed", "cancelled"})
LONG_POLL_SECONDS = 20.0  # under every proxy's usual timeout of 30 or 60


class Unsuccessful(Exception):
    """The job that was waited for has failed or was cancelled; `job` is that job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        error = job.info["error"] or {}
        why = error.get("detail") or job.info["stop_reason"] or "nobody said why"
        super().__init__(f"{job.id} {job.status}: {why}")


class Job:
    """One job of a server. `info` is what the server last said of it, as the contract has it."""

    def __init__(self, client: Server, info: Json) -> None:
        self.client, self.info = client, info

    def __repr__(self) -> str:
        done = self.info["progress"]
        return f"<Job {self.id} {self.status}, epoch {done['epoch']} of {done['epochs']}>"

    @property
    def id(self) -> str:
        """job_..."""
        return str(self.info["id"])

    @property
    def status(self) -> str:
        """queued, running, paused, succeeded, failed or cancelled, when last heard of."""
        return str(self.info["status"])

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED

    @property
    def final(self) -> dict[str, float] | None:
        """What the final weights measure, once it has succeeded."""
        final: dict[str, float] | None = self.info["final"]
        return final

    def refresh(self) -> Job:
        """Ask the server how it stands."""
        self.info = self.client.job(self.id)
        return self

    def watch(self) -> Iterator[Job]:
        """This job, now and again each time it has changed, until it has ended."""
        for info in self.client.watch(self.id):
            self.info = info
            yield self

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Job:
        """This job once it has ended; a paused one is waited for, too.

        Raises TimeoutError after `timeout` seconds, and Unsuccessful, unless `check` is False,
        where it has not succeeded.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self.refresh()
        while not self.ended:
            left = LONG_POLL_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.id} is {self.status} after {timeout} seconds.")
            patience = min(left, LONG_POLL_SECONDS)
            self.info = self.client.job(self.id, wait=patience, version=self.info["version"])
        if check and self.status != "succeeded":
            raise Unsuccessful(self)
        return self

    def pause(self) -> Job:
        """Ask it to stop where it is, to be resumed later."""
        self.info = self.client.pause(self.id)
        return self

    def resume(self) -> Job:
        """Let it go on exactly where it stopped."""
        self.info = self.client.resume(self.id)
        return self

    def cancel(self) -> Job:
        """Ask it to stop for good."""
        self.info = self.client.cancel(self.id)
        return self

    def retry(self) -> Job:
        """Queue it once more after it has failed."""
        self.info = self.client.retry(self.id)
        return self

    def delete(self) -> None:
        """Delete it with its history and snapshots, once it has ended."""
        self.client.delete_job(self.id)

    def extend(self, epochs: int) -> Job:
        """A new job that goes on exactly from this one's final state, for so many epochs more."""
        return Job(self.client, self.client.extend(self.id, epochs))

    def clone(self, **changes: Any) -> Job:
        """A new job as this one, but for the changes: `clone(training={"seed": 8})`."""
        return Job(self.client, self.client.clone(self.id, **changes))

    def history(
        self,
        metrics: Sequence[str] = (),
        *,
        first: int | None = None,
        last: int | None = None,
        points: int | None = None,
        method: str | None = None,
    ) -> History:
        """Its curves: every epoch of first..last, or sampled down to `points`."""
        asked: Json = {"metrics": metrics, "last": last, "points": points, "method": method}
        pages = [self.client.history(self.id, first=first, **asked)]
        while pages[-1]["has_more"]:
            pages.append(self.client.history(self.id, first=pages[-1]["epoch"][-1] + 1, **asked))
        return History.of(pages, self.info["name"])

    def compare(
        self, *others: Job, metrics: Sequence[str] = ("loss",), points: int = 500
    ) -> list[History]:
        """The sampled curves of this job and of others, in this order."""
        together = [self, *others]
        found = self.client.compare([job.id for job in together], metrics=metrics, points=points)
        return [
            History.of([curve], job.info["name"] or job.id)
            for curve, job in zip(found["data"], together, strict=True)
        ]

    def snapshots(self) -> list[Json]:
        """What was kept of its weights, and why."""
        return self.client.snapshots(self.id)

    def weights(self, snapshot: str | int = "final") -> Arrays:
        """Weights by name: `{layer}.weight` (units, fan_in), `{layer}.bias` (units,)."""
        content = io.BytesIO(self.client.weights_npz(self.id, snapshot))
        with np.load(content, allow_pickle=False) as archive:
            names = [name for name in archive.files if name.endswith((".weight", ".bias"))]
            return {name: archive[name] for name in names}

    def export(self, file: Path | str, file_format: str, *, snapshot: str | int = "final") -> Path:
        """Write its weights to a file, whole or not at all, in a format that the server knows."""
        path = Path(file)
        content = self.client.weights_file(self.id, snapshot, file_format=file_format)
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(content)
        return partial.replace(path)

    def predict(self, inputs: Any, *, snapshot: str | int = "final") -> Prediction:
        """What the network says of rows of inputs (N, I), in their own units.

        `inputs` are an array, a DataFrame or a list of rows.
        """
        rows = _rows(inputs)
        pieces = range(0, max(1, len(rows)), LIMITS.predict_rows)
        return Prediction.of(
            [
                self.client.predict(self.id, rows[at : at + LIMITS.predict_rows], snapshot=snapshot)
                for at in pieces
            ]
        )

    def evaluate(self, dataset: str | Mapping[str, Any], *, snapshot: str | int = "final") -> Json:
        """How well it does on a dataset: an id, builtin:NAME, or inline rows."""
        return self.client.evaluate(self.id, dataset, snapshot=snapshot)


def _rows(inputs: Any) -> list[Any]:
    """Rows as JSON has them; those of a DataFrame, in the order of its columns."""
    if hasattr(inputs, "to_numpy"):
        inputs = inputs.to_numpy()
    rows: list[Any] = inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)
    return [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
