"""History by update and by time, of every batch, as files, and several jobs on one axis."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from backpropd.store import history, leases
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.leases import Lease
from service.api import history as view
from tests.jobs import claim, iris_job, mazur_job
from tests.service.client import details, faults
from tests.service.conftest import Service

BATCHES = 8  # of 16 samples, of the 120 that train


def write(database: Database, lease: Lease, first: int, values: Any, **span: Any) -> None:
    epochs = np.arange(first, first + len(values))
    with database.write() as session:
        leases.beat(session, lease, epoch=int(epochs[-1]), updates_per_epoch=3)
        history.append(session, lease, epochs, {"loss": np.asarray(values, float)}, **span)


@pytest.fixture
def timed(service_on_both: Service) -> tuple[Service, str, datetime]:
    """A job of 10 epochs in its first 10 seconds, and 10 more in the second minute."""
    job_id = service_on_both.submit(mazur_job(epochs=100))["id"]
    lease, job = claim(service_on_both.database)
    assert job.started_at is not None
    start: datetime = job.started_at
    for first, began in ((1, 0), (11, 60)):
        span = (start + timedelta(seconds=began), start + timedelta(seconds=began + 10))
        write(service_on_both.database, lease, first, np.arange(10.0), span=span)
    return service_on_both, job_id, start


def read(service: Service, job_id: str, query: str) -> dict[str, Any]:
    answer = service.client.get(f"/v1/jobs/{job_id}/history?{query}")
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.mark.parametrize(
    ("query", "epochs"),
    [
        ("from=2.5&to=4", [3, 4]),
        ("from=3&to=3", [3]),
        ("from=10.5&to=60.5", []),
        ("to=1", [1]),
        ("from=69", [19, 20]),
        ("to=0.5", []),
        ("from=71", []),
        ("", list(range(1, 21))),
    ],
)
def test_a_range_of_time_is_in_seconds_since_the_start(
    timed: tuple[Service, str, datetime], query: str, epochs: list[int]
) -> None:
    """
    An epoch stands at the instant at which it was through.
    """
    service, job_id, _ = timed
    found = read(service, job_id, f"by=time&{query}")

    assert epochs == found["epoch"]
    assert [epoch if epoch <= 10 else epoch + 50 for epoch in epochs] == found["time"]


def test_a_range_of_time_may_be_of_instants(timed: tuple[Service, str, datetime]) -> None:
    service, job_id, start = timed
    low, high = ((start + timedelta(seconds=s)).isoformat() for s in (8.5, 61.5))
    query = f"by=time&from={low}&to={high}".replace("+", "%2B")
    sampled = read(service, job_id, f"by=time&from={low[:19]}Z&points=4")

    assert [9, 10, 11] == read(service, job_id, query)["epoch"]
    assert sampled["sampled"]
    assert len(sampled["time"]) == len(sampled["epoch"]) <= 4


def test_a_clock_that_was_set_back_lets_no_time_run_backwards(service: Service) -> None:
    job_id = service.submit(mazur_job(epochs=100))["id"]
    lease, job = claim(service.database)
    assert job.started_at is not None
    for first, began in ((1, 30), (3, 10)):
        instant = job.started_at + timedelta(seconds=began)
        write(service.database, lease, first, [1, 2], span=(instant, instant))
    write(service.database, lease, 5, [1, 2])  # as an older version wrote it: without its time
    found = read(service, job_id, "by=time")

    assert [30, 30, 30, 30, "NaN", "NaN"] == found["time"]
    assert [1, 2, 3, 4] == read(service, job_id, "by=time&from=1")["epoch"][:4]


def test_a_range_of_updates_holds_the_epochs_that_ended_in_it(
    timed: tuple[Service, str, datetime],
) -> None:
    service, job_id, _ = timed
    found = read(service, job_id, "by=update&from=6&to=14")

    assert ([2, 3, 4], [6, 9, 12]) == (found["epoch"], found["update"])
    assert found == read(service, job_id, "by=update&from=4&to=12")
    assert [] == read(service, job_id, "by=update&to=2")["epoch"]


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("by=sample", "/by", "Known: epoch, update, time"),
        ("by=update&from=0", "/from", "greater than or equal to 1"),
        ("by=update&to=1.5", "/to", "integer"),
        ("by=time&from=yesterday", "/from", "2026-11-24T12:00:00Z"),
        ("by=time&from=2026-11-24T12:00:00", "/from", "with its zone"),
        ("by=time&to=-1", "/to", "0 or more"),
        ("by=time&to=NaN", "/to", "0 or more"),
        ("from=1.5", "/from", "integer"),
    ],
)
def test_a_range_that_means_nothing_is_refused(
    taught: Service, iris_trained: dict[str, Any], query: str, pointer: str, said: str
) -> None:
    refused = taught.client.get(f"/v1/jobs/{iris_trained['id']}/history?{query}")

    assert [pointer] == list(faults(refused))
    assert said in details(refused)


def test_a_worker_writes_down_updates_and_times(taught: Service, mazur_trained: Any) -> None:
    found = read(taught, mazur_trained["id"], "by=update&from=999")
    times = read(taught, mazur_trained["id"], "by=time")["time"]

    assert [999, 1000] == found["update"]
    assert times == sorted(times)
    assert 0 < times[-1] < 600


@pytest.fixture(scope="module")
def batched(taught: Service) -> dict[str, Any]:
    """Iris again, with the loss of every batch, and every fifth epoch alone."""
    job = iris_job() | {"history": {"batches": True, "every": 5}}
    return taught.trained(job)


def test_every_batch_is_there_and_its_mean_is_the_epochs(
    taught: Service, batched: dict[str, Any]
) -> None:
    found = taught.client.get(f"/v1/jobs/{batched['id']}/batches").get_json()
    epochs = read(taught, batched["id"], "metrics=loss")
    losses = np.array(found["series"]["loss"]).reshape(30, BATCHES)
    sizes = [16] * 7 + [8]

    assert list(range(1, 30 * BATCHES + 1)) == found["update"]
    assert "plain" == batched["lineage"]["kernel"]["name"]
    for epoch, loss in zip(epochs["epoch"], epochs["series"]["loss"], strict=True):
        assert np.average(losses[epoch - 1], weights=sizes) == pytest.approx(loss, rel=1e-12)


def test_batches_take_ranges_points_and_formats(taught: Service, batched: dict[str, Any]) -> None:
    path = f"/v1/jobs/{batched['id']}/batches"
    part = taught.client.get(f"{path}?from=9&to=16").get_json()
    sample = taught.client.get(f"{path}?points=20").get_json()
    lines = taught.client.get(f"{path}?format=csv&from=9&to=16").get_data(as_text=True).split()

    assert (list(range(9, 17)), 8) == (part["update"], part["total"])
    assert (True, 240) == (sample["sampled"], sample["total"])
    assert ["update,loss", "9"] == [lines[0], lines[1].split(",")[0]]
    assert 9 == len(lines)


def test_batches_that_nobody_asked_for_are_refused(taught: Service, iris_trained: Any) -> None:
    refused = taught.client.get(f"/v1/jobs/{iris_trained['id']}/batches")

    assert {"/job_id": "not_measured"} == faults(refused)
    assert '"batches": true' in details(refused)


def test_a_batch_that_diverges_is_the_last(service: Service) -> None:
    spec = {
        "network": {"inputs": 1, "layers": [{"units": 1, "activation": "linear"}]},
        "dataset": {"inputs": [[1e3], [2e3]], "targets": [[1.0], [5.0]]},
        "training": {
            "epochs": 1000,
            "batch_size": 1,
            "loss": "mean_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 1e3},
        },
        "history": {"batches": True},
    }
    job = service.trained(spec)
    losses = service.client.get(f"/v1/jobs/{job['id']}/batches").get_json()["series"]["loss"]

    assert "failed" == job["status"]
    assert losses[-1] in ("NaN", "Infinity")
    assert not set(losses[:-1]) & {"NaN", "Infinity"}


@pytest.mark.parametrize("by", ["epoch", "update", "time"])
def test_every_file_holds_the_same_rows(taught: Service, iris_trained: Any, by: str) -> None:
    path = f"/v1/jobs/{iris_trained['id']}/history?by={by}"
    whole = taught.client.get(path).get_json()
    names = ["epoch", *([] if by == "epoch" else [by]), *whole["series"]]
    files = {
        kind: taught.client.get(f"{path}&format={kind}").get_data()
        for kind in ("csv", "ndjson", "npz", "parquet")
    }
    expected = {name: whole.get(name) or whole["series"][name] for name in names}
    table = pyarrow.parquet.read_table(io.BytesIO(files["parquet"]))
    header, *rows = csv.reader(io.StringIO(files["csv"].decode()))
    objects = [json.loads(line) for line in files["ndjson"].splitlines()]

    assert names == table.column_names == header == list(objects[0])
    assert expected == table.to_pydict()
    assert expected == {name: [each[name] for each in objects] for name in names}
    for place, name in enumerate(names):
        assert expected[name] == [float(row[place]) for row in rows]
    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as archive:
        assert names == archive.files
        assert expected == {name: archive[name].tolist() for name in names}


def test_parquet_without_pyarrow_says_what_is_missing(
    taught: Service, iris_trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view.history_files, "find_spec", lambda name: None)
    refused = taught.client.get(f"/v1/jobs/{iris_trained['id']}/history?format=parquet")

    assert {"/format": "not_installed"} == faults(refused)
    assert "backpropd[parquet]" in details(refused)


@pytest.fixture(scope="module")
def long_job(taught: Service) -> str:
    """A job of 600,000 epochs, with what is no number among them."""
    job_id = str(taught.submit(mazur_job(epochs=1_000_000))["id"])
    lease = claim(taught.database)[0]
    curve = np.random.default_rng(0).normal(size=600_000)
    curve[[0, 70_000, 599_999]] = np.nan, np.inf, -0.0
    for first in range(0, len(curve), 200_000):
        instant = now()
        span = (instant, instant)
        write(taught.database, lease, first + 1, curve[first : first + 200_000], span=span)
    return job_id


@pytest.mark.parametrize("kind", ["csv", "ndjson", "npz", "parquet"])
def test_a_long_file_is_never_held_in_memory(taught: Service, long_job: str, kind: str) -> None:
    """
    600,000 rows are 9.6 MB of numbers and more of text; what is held is a block of them.
    """
    path = f"/v1/jobs/{long_job}/history?format={kind}"
    taught.client.get(f"{path}&to=10")  # what is imported for the first time
    answer = taught.client.get(path, buffered=False)
    size = 0
    tracemalloc.start()
    for piece in answer.response:
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size > 4_000_000
    assert peak < 12_000_000


def test_a_job_deleted_while_it_is_read_breaks_the_file_off(service: Service) -> None:
    """
    Half a file must not look like a whole one.
    """
    job_id = str(service.submit(mazur_job(epochs=100_000))["id"])
    lease = claim(service.database)[0]
    write(service.database, lease, 1, np.ones(50_000))
    pieces = iter(service.client.get(f"/v1/jobs/{job_id}/history?format=csv").response)
    next(pieces), next(pieces)
    with service.database.write() as session:
        leases.finish(session, lease, leases.JobStatus.SUCCEEDED, reason="done")
    service.client.delete(f"/v1/jobs/{job_id}")

    with pytest.raises(ConnectionAbortedError, match="deleted"):
        list(pieces)


def compared(service: Service, **body: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/history/compare", json=body)
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def test_short_curves_are_aligned_epoch_by_epoch(
    taught: Service, iris_trained: Any, batched: Any
) -> None:
    jobs = [iris_trained["id"], batched["id"]]
    found = compared(taught, jobs=jobs, points=100)
    one, other = found["data"]

    assert list(range(1, 31)) == found["axis"]
    assert one["aligned"]["loss"]["min"] == one["series"]["loss"] == one["aligned"]["loss"]["max"]
    assert [1, 6, 11, 16, 21, 26, 30] == other["epoch"]
    assert other["series"]["loss"] == [v for v in other["aligned"]["loss"]["min"] if v is not None]
    assert 23 == other["aligned"]["loss"]["max"].count(None)


def test_long_curves_share_their_buckets_and_lose_no_extreme(service_on_both: Service) -> None:
    curves = {}
    for rows in (100_000, 40_000, 300):
        job_id = str(service_on_both.submit(mazur_job(epochs=1_000_000))["id"])
        curve = np.random.default_rng(rows).normal(size=rows)
        curve[rows // 2], curve[rows // 3], curve[-1] = 99.0, -99.0, np.nan
        write(service_on_both.database, claim(service_on_both.database)[0], 1, curve)
        curves[job_id] = curve
    found = compared(service_on_both, jobs=list(curves), points=100)
    width = found["axis"][1] - found["axis"][0]

    assert 0 == width % 256
    for job in found["data"]:
        curve = curves[job["job"]]
        band = job["aligned"]["loss"]
        assert [1, len(curve)] == [job["epoch"][0], job["epoch"][-1]]
        assert len(curve) == job["total"]
        for place in range(len(found["axis"])):
            inside = curve[int(place * width) : int((place + 1) * width)]
            if len(inside):
                extremes = [np.nanmin(inside), np.nanmax(inside)]
                assert extremes == [band["min"][place], band["max"][place]]
            else:
                assert band["min"][place] is None
        values = [float(value) for value in job["series"]["loss"]]
        np.testing.assert_array_equal(curve[np.array(job["epoch"]) - 1], values)


@pytest.mark.parametrize("by", ["update", "time"])
def test_curves_are_aligned_by_update_or_time(
    taught: Service, iris_trained: Any, mazur_trained: Any, by: str
) -> None:
    found = compared(taught, jobs=[iris_trained["id"], mazur_trained["id"]], points=40, by=by)

    assert by == found["by"]
    assert found["axis"] == sorted(found["axis"])
    assert len(found["axis"]) <= 20
    for job in found["data"]:
        band = job["aligned"]["loss"]
        assert len(found["axis"]) == len(band["min"]) == len(band["max"])
        assert job[by] == sorted(job[by])
        assert min(job["series"]["loss"]) == min(v for v in band["min"] if v is not None)


def test_the_definitions_are_told_apart_field_by_field(taught: Service, iris_trained: Any) -> None:
    changed = iris_job() | {"name": "other", "history": {"layers": True}}
    changed["training"] = changed["training"] | {"batch_size": 8, "seed": 11}
    other = taught.trained(changed)
    found = compared(taught, jobs=[iris_trained["id"], other["id"]])
    told = {each["pointer"]: each["values"] for each in found["differences"]}

    assert {"/training/batch_size": [16, 8], "/training/seed": [7, 11]} == told
    assert ["iris", "other"] == [each["name"] for each in found["data"]]
