"""A thin, typed mirror of the HTTP contract: every method but `train` is one request.

Answers are the JSON objects of the contract as they come, `train` and `attach` give a `Job`;
refusals are raised as `Problem`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backpropd.client import definitions
from backpropd.client.job import ENDED, LONG_POLL_SECONDS, Job
from backpropd.client.patience import patiently
from backpropd.client.problems import Problem
from backpropd.client.streams import Event, follow

# Who has never answered is likelier not there than restarting.
UNKNOWN_SERVER_SECONDS = 1.0
SAFE = frozenset({"GET", "HEAD", "DELETE"})

Json = dict[str, Any]


class Client:
    """Speaks to one backpropd server.

    Every method raises `Problem` where the server refuses, and `httpx.TransportError` where it
    cannot be reached. A request that was lost, or refused for the moment, is sent again where that
    cannot do anything twice; jobs carry an idempotency key, so that none is ever doubled.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 60.0,
        patience: float = 30.0,
    ) -> None:
        """`key` is that of the variable BACKPROPD_KEY where none is given.

        `timeout` is in seconds, for one request; for `patience` seconds it is sent again, but for
        one at most as long as the server has never answered.
        """
        key = key or os.environ.get("BACKPROPD_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience, self._answered = patience, False
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

    def train(
        self, network: str | int | Sequence[int] | Mapping[str, Any], data: Any, **settings: Any
    ) -> Job:
        """Submit a job and give it back at once: `client.train([8], "iris.csv", epochs=100)`.

        `network` is an id, a definition, or the units of the hidden layers (`activation`, default
        tanh), for which the outputs and, where no `loss` is given, the loss that suit the task are
        added. `data` is a dataset's id, builtin:NAME, a file's path, a DataFrame, or a pair of
        arrays (N, I) and (N,) or (N, O); what is uploaded has its inputs standardised unless
        `scaling` says otherwise, and `target` names the column or columns to predict.

        `settings` are the fields of a job and of its training by their names, and those of an
        upload; `learning_rate` is the optimizer's and `validation=0.2` a fraction. Raises TypeError
        for one that there is not.
        """
        training, job, upload = definitions.sorted_out(settings)
        dataset = self._dataset(data, upload)
        definition: Any = network
        if isinstance(network, int):
            network = [network]
        if not isinstance(network, str | Mapping):
            facts = self._facts(dataset)
            activation = settings.get("activation", "tanh")
            definition = definitions.layered(facts, list(network), activation)
        if "loss" not in training:
            known = definition
            if isinstance(known, str):
                known = self.network(known)["definition"]
            training["loss"] = definitions.loss_for(known)
        asked = {"network": definition, "dataset": dataset, "training": training, **job}
        return Job(self, self.submit(asked))

    def attach(self, job_id: str) -> Job:
        """The job with this id, to watch, to steer and to take from."""
        return Job(self, self.job(job_id))

    def create_network(self, definition: Mapping[str, Any]) -> Json:
        """Store a network definition; it never changes afterwards."""
        return self._json("POST", "/v1/networks", json=definition)

    def network(self, network_id: str) -> Json:
        """A stored definition, with every default filled in."""
        return self._json("GET", f"/v1/networks/{network_id}")

    def networks(self, filter: str | None = None, **page: Any) -> Iterator[Json]:  # noqa: A002
        """The networks that a filter finds, page by page; `page` as in `jobs`."""
        yield from self._pages("/v1/networks", _given(filter=filter, **page))

    def upload_csv(self, content: bytes | Path, **options: str) -> Json:
        """Send a CSV file as a dataset.

        `options` are the form's fields: name, task, scaling, and inputs and targets as column
        names with commas between them.
        """
        if isinstance(content, Path):
            content = content.read_bytes()
        return self._upload(("data.csv", content, "text/csv"), options)

    def upload(self, file: Path | str, **options: Any) -> Json:
        """Send a file as a dataset, in any format that the server reads.

        `options` are those of the contract; lists of columns may be lists.
        """
        path = Path(file)
        with path.open("rb") as content:
            return self._upload((path.name, content), definitions.form_fields(options))

    def create_dataset(self, inputs: Any, targets: Any, **options: Any) -> Json:
        """Store rows (N, I) and (N, O) as a dataset; `options` are its name, task, scaling."""
        rows = {"inputs": definitions.as_lists(inputs), "targets": definitions.as_lists(targets)}
        return self._json("POST", "/v1/datasets", json={**rows, **options}, repeatable=True)

    def dataset(self, dataset_id: str) -> Json:
        """What a dataset is: its columns, kinds and ranges."""
        return self._json("GET", f"/v1/datasets/{dataset_id}")

    def datasets(self, filter: str | None = None, **page: Any) -> Iterator[Json]:  # noqa: A002
        """The datasets that a filter finds, page by page; `page` as in `jobs`."""
        yield from self._pages("/v1/datasets", _given(filter=filter, **page))

    def builtin_datasets(self) -> list[Json]:
        """What a job can name as builtin:NAME."""
        answer: list[Json] = self._json("GET", "/v1/datasets/builtin")["data"]
        return answer

    def submit(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Json:
        """Submit a training job; with the same key, a second call gives the first one's job."""
        return self._created("/v1/jobs", job, idempotency_key)

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
        yield from self._pages("/v1/jobs", asked)

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, with its history and snapshots."""
        self._request("DELETE", f"/v1/jobs/{job_id}")

    def watch(self, job_id: str) -> Iterator[Json]:
        """The job now, and again each time it has changed, until it has ended."""
        job = self.job(job_id)
        yield job
        while job["status"] not in ENDED:
            job = self.job(job_id, wait=LONG_POLL_SECONDS, version=job["version"])
            yield job

    def events(self, job_id: str, *, after: int = 0) -> list[Json]:
        """What happened to the job since event number `after`, oldest first."""
        path, found = f"/v1/jobs/{job_id}/events", []
        more = True
        while more:
            page = self._json("GET", path, params={"after": after, "limit": 1000})
            found += page["data"]
            more, after = page["has_more"], found[-1]["seq"] if found else after
        return found

    def stream(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Event]:
        """What happens to a job, as it happens, until it ends.

        A connection that is lost is made again and goes on where it was: no event is missed, none
        comes twice. Each event's `id` is a `last_event_id` from which another call goes on.
        """
        yield from follow(self._http, f"/v1/jobs/{job_id}/events/stream", last_event_id)

    def wait(self, job_id: str) -> Json:
        """The job once it has ended."""
        *_, job = self.watch(job_id)
        return job

    def cancel(self, job_id: str) -> Json:
        """Ask a job to stop for good; asking twice is the same as asking once."""
        return self._json("POST", f"/v1/jobs/{job_id}/cancel", repeatable=True)

    def pause(self, job_id: str) -> Json:
        """Ask a job to stop where it is, to be resumed later."""
        return self._json("POST", f"/v1/jobs/{job_id}/pause", repeatable=True)

    def resume(self, job_id: str) -> Json:
        """Let a paused job go on exactly where it stopped."""
        return self._json("POST", f"/v1/jobs/{job_id}/resume", repeatable=True)

    def retry(self, job_id: str) -> Json:
        """Queue a failed job once more."""
        return self._json("POST", f"/v1/jobs/{job_id}/retry", repeatable=True)

    def extend(self, job_id: str, epochs: int) -> Json:
        """A new job that goes on exactly from this one's final state, for so many epochs more."""
        return self._created(f"/v1/jobs/{job_id}/extend", {"epochs": epochs})

    def clone(self, job_id: str, **changes: Any) -> Json:
        """A new job as this one, but for the changes: `clone(id, training={"seed": 8})`."""
        return self._created(f"/v1/jobs/{job_id}/clone", changes)

    def attempts(self, job_id: str) -> list[Json]:
        """Who tried to run the job, and why each attempt ended."""
        answer: list[Json] = self._json("GET", f"/v1/jobs/{job_id}/attempts")["data"]
        return answer

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
        """The curves of a job: epochs first..last, sampled down to `points` where asked.

        `by` says what `first` and `last` count: epoch, update, or time, which is in seconds since
        the job was started, or an instant in RFC 3339.
        """
        params = _given(
            metrics=",".join(metrics) or None, by=by, to=last, points=points, method=method
        ) | _given(**{"from": first})
        return self._json("GET", f"/v1/jobs/{job_id}/history", params=params)

    def history_file(
        self,
        job_id: str,
        *,
        file_format: str = "csv",
        rows: str = "history",
        metrics: Sequence[str] = (),
        by: str | None = None,
        first: float | str | None = None,
        last: float | str | None = None,
        points: int | None = None,
        method: str | None = None,
    ) -> Iterator[bytes]:
        """All rows as a file, piece by piece: csv, ndjson, npz or parquet.

        `rows` are those of the history, the batches or the layers; for the layers, `metrics` are
        their statistics. The rest is as in `history`.
        """
        named = "stat" if rows == "layers" else "metrics"
        params = _given(format=file_format, by=by, to=last, points=points, method=method)
        params |= _given(**{"from": first, named: ",".join(metrics) or None})
        path = f"/v1/jobs/{job_id}/{rows}"
        with self._http.stream("GET", path, params=params) as response:
            if response.is_error:
                response.read()
                raise Problem.of(response)
            yield from response.iter_bytes()

    def batches(
        self,
        job_id: str,
        *,
        first: int | None = None,
        last: int | None = None,
        points: int | None = None,
    ) -> Json:
        """The loss of every batch, where the job's `history.batches` is true."""
        params = _given(**{"from": first}, to=last, points=points)
        return self._json("GET", f"/v1/jobs/{job_id}/batches", params=params)

    def compare(
        self,
        job_ids: Sequence[str],
        *,
        metrics: Sequence[str] = ("loss",),
        points: int = 500,
        by: str = "epoch",
    ) -> Json:
        """The curves of several jobs on one axis, and the fields in which the jobs differ."""
        body = {"jobs": list(job_ids), "metrics": list(metrics), "points": points, "by": by}
        return self._json("POST", "/v1/history/compare", json=body, repeatable=True)

    def snapshots(self, job_id: str) -> list[Json]:
        """What was kept of the job's weights, and why."""
        answer: list[Json] = self._json("GET", f"/v1/jobs/{job_id}/snapshots")["data"]
        return answer

    def weights(self, job_id: str, snapshot: str | int = "final") -> Json:
        """The weights of a snapshot: by name, `{layer}.weight` as rows of units."""
        return self._json("GET", f"/v1/jobs/{job_id}/snapshots/{snapshot}/weights")

    def weights_npz(self, job_id: str, snapshot: str | int = "final") -> bytes:
        """The same as a NumPy archive, for `numpy.load`."""
        return self.weights_file(job_id, snapshot, file_format="npz")

    def weights_file(
        self, job_id: str, snapshot: str | int = "final", *, file_format: str
    ) -> bytes:
        """The same in any format that the server writes."""
        path = f"/v1/jobs/{job_id}/snapshots/{snapshot}/weights"
        return self._request("GET", path, params={"format": file_format}).content

    def predict(self, job_id: str, inputs: Sequence[Any], *, snapshot: str | int = "final") -> Json:
        """Outputs (and classes, where the task has them) for rows of inputs in their own units."""
        body = {"inputs": inputs, "snapshot": snapshot}
        return self._json("POST", f"/v1/jobs/{job_id}/predict", json=body, repeatable=True)

    def predict_file(
        self, job_id: str, file: Path | str, *, snapshot: str | int = "final", **reading: Any
    ) -> Json:
        """The same for the rows of a file; `reading` are options of an upload, as `separator`."""
        path = Path(file)
        with path.open("rb") as content:
            return self._json(
                "POST",
                f"/v1/jobs/{job_id}/predict",
                files={"file": (path.name, content)},
                data=definitions.form_fields(reading),
                params={"snapshot": snapshot},
                repeatable=True,
            )

    def evaluate(
        self, job_id: str, dataset: str | Mapping[str, Any], *, snapshot: str | int = "final"
    ) -> Json:
        """How well the network does on a dataset: an id, builtin:NAME, or inline rows."""
        body = {"dataset": dataset, "snapshot": snapshot}
        return self._json("POST", f"/v1/jobs/{job_id}/evaluate", json=body, repeatable=True)

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
        return self._json("POST", "/v1/trace", json=step, repeatable=True)

    def _dataset(self, data: Any, upload: Mapping[str, Any]) -> str:
        """The name of the dataset that `train` was given, which is uploaded where it is none."""
        if definitions.is_name(data):
            if upload:
                said = ", ".join(sorted(upload))
                raise TypeError(f"{said}: for an upload; {data} is there already.")
            return str(data)
        options = {"scaling": "standard", **upload}
        if isinstance(data, str | Path):
            return str(self.upload(data, **options)["id"])
        if isinstance(data, tuple):
            content, targets = definitions.as_csv(*data)
            options.setdefault("targets", targets)
        elif hasattr(data, "to_csv"):
            content = data.to_csv(index=False).encode()
        else:
            raise TypeError("Data is an id, builtin:NAME, a path, a DataFrame or a pair of arrays.")
        return str(self.upload_csv(content, **definitions.form_fields(options))["id"])

    def _facts(self, dataset: str) -> Json:
        """How many inputs and targets a dataset has, and its task."""
        if not dataset.startswith("builtin:"):
            return self.dataset(dataset)
        for each in self.builtin_datasets():
            if each["name"] == dataset:
                return each
        raise ValueError(f"{dataset} is no single dataset of the list; give a definition.")

    def _upload(self, file: Any, options: Mapping[str, str]) -> Json:
        # The same content twice is one dataset.
        form = {"files": {"file": file}, "data": options}
        return self._json("POST", "/v1/datasets", repeatable=True, **form)

    def _pages(self, path: str, asked: Json) -> Iterator[Json]:
        page = self._json("GET", path, params=asked)
        yield from page["data"]
        while page["has_more"]:
            page = self._json("GET", path, params=asked | {"cursor": page["next_cursor"]})
            yield from page["data"]

    def _created(self, path: str, body: Mapping[str, Any], key: str | None = None) -> Json:
        """A new job, which is one however often the request has to be sent."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", path, json=body, headers=headers, repeatable=True)

    def _json(self, method: str, path: str, **request: Any) -> Json:
        response = self._request(method, path, **request)
        try:
            answer: Json = response.json()
        except ValueError:
            raise Problem.of(response) from None
        return answer

    def _request(
        self, method: str, path: str, *, repeatable: bool = False, **request: Any
    ) -> httpx.Response:
        patience = self._patience
        if not self._answered:
            patience = min(patience, UNKNOWN_SERVER_SECONDS)
        try:
            response = patiently(
                lambda: self._http.request(method, path, **request),
                repeatable=repeatable or method in SAFE,
                seconds=patience,
            )
        except httpx.TransportError as error:
            # "Connection refused" alone does not say by whom.
            where = f"{self._http.base_url}: {error or type(error).__name__}"
            raise type(error)(where, request=error.request) from error
        self._answered = True
        if response.is_error:
            raise Problem.of(response)
        return response


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
