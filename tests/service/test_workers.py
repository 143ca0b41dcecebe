"""The operator's view of the workers: who is there, what they hold, and who shall hold nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backpropd.store import workers
from backpropd.store.clock import now
from backpropd.store.tables import WorkerRow
from tests.jobs import claim, mazur_job
from tests.service.conftest import Service


def appear(service: Service, worker_id: str, *, slots: int = 2) -> bool:
    """A worker says that it is there; whether it shall drain."""
    with service.database.write() as session:
        return workers.seen(session, worker_id, host="here", version="1", queue="cpu", slots=slots)


def test_workers_are_listed_with_the_jobs_they_hold(service_on_both: Service) -> None:
    job = service_on_both.submit(mazur_job())
    _, row = claim(service_on_both.database)
    assert row.worker_id is not None
    appear(service_on_both, row.worker_id)
    appear(service_on_both, "idle", slots=8)
    found = service_on_both.client.get("/v1/workers").get_json()["data"]

    held = {each["id"]: (each["slots"], each["jobs"]) for each in found}
    assert {row.worker_id: (2, [job["id"]]), "idle": (8, [])} == held


def test_a_worker_that_is_gone_is_not_listed(service: Service) -> None:
    appear(service, "gone")
    with service.database.write() as session:
        row = session.get(WorkerRow, "gone")
        assert row is not None
        row.seen_at = now() - 2 * workers.LIVE

    assert [] == service.client.get("/v1/workers").get_json()["data"]
    assert 404 == service.client.post("/v1/workers/gone/drain").status_code


def test_the_wish_reaches_the_worker_and_is_taken_back(service_on_both: Service) -> None:
    assert appear(service_on_both, "w") is False
    client = service_on_both.client
    drained = [client.post("/v1/workers/w/drain") for _ in range(2)]
    heard = appear(service_on_both, "w")
    resumed = client.post("/v1/workers/w/resume").get_json()

    assert [202, 202] == [each.status_code for each in drained]
    assert heard is True
    assert (False, False) == (resumed["draining"], appear(service_on_both, "w"))
    acts = [act["action"] for act in client.get("/v1/audit").get_json()["data"]]
    assert ["worker.resumed", "worker.drained"] == acts


def test_a_drained_worker_has_no_slot(service: Service) -> None:
    appear(service, "a", slots=3)
    appear(service, "b", slots=5)
    service.client.post("/v1/workers/a/drain")
    with service.database.read() as session:
        assert 5 == workers.slots(session, "cpu")


@pytest.mark.parametrize("wish", ["drain", "resume"])
@pytest.mark.parametrize("worker_id", ["nobody", "caf\u00e9", "a" * 150])
def test_a_worker_that_is_not_there_is_told(service: Service, worker_id: str, wish: str) -> None:
    answer = service.client.post(f"/v1/workers/{worker_id}/{wish}")

    assert 404 == answer.status_code
    assert "There is no worker" in answer.get_json()["detail"]


def test_workers_long_gone_are_forgotten(service: Service) -> None:
    appear(service, "old")
    with service.database.write() as session:
        row = session.get(WorkerRow, "old")
        assert row is not None
        row.seen_at = now() - timedelta(hours=1)
    with service.database.write() as session:
        workers.purge(session)
    with service.database.read() as session:
        assert session.get(WorkerRow, "old") is None
