"""Extend, clone, dependencies and attempts over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backpropd.store.queueing import AGEING
from tests.jobs import iris_job, mazur_job
from tests.service.client import details, faults
from tests.service.conftest import Service


def post(service: Service, job: dict[str, Any], action: str, body: Any, **headers: str) -> Any:
    return service.client.post(f"/v1/jobs/{job['id']}/{action}", json=body, headers=headers)


def get(service: Service, job: dict[str, Any], what: str = "") -> Any:
    return service.client.get(f"/v1/jobs/{job['id']}{what}").get_json()


def theta(service: Service, job: dict[str, Any]) -> Any:
    return get(service, job, "/snapshots/final/weights")["weights"]


def test_an_extended_job_is_the_longer_one(service_on_both: Service) -> None:
    service = service_on_both
    whole = service.trained(iris_job(epochs=12))
    begun = service.trained(iris_job(epochs=8))

    answer = post(service, begun, "extend", {"epochs": 4})

    assert 202 == answer.status_code
    job = answer.get_json()
    assert f"/v1/jobs/{job['id']}" == answer.headers["Location"]
    assert ("extend", begun["id"], 12) == (job["derived"], job["parent"], job["training"]["epochs"])
    assert 8 == job["progress"]["epoch"]
    service.train()
    assert theta(service, whole) == theta(service, job)
    series = [get(service, each, "/history")["series"] for each in (whole, job)]
    assert series[0] == series[1]
    assert [1, 12] == [get(service, job, "/history")["epoch"][i] for i in (0, -1)]


def test_an_extension_rings_and_is_made_once_for_a_key(service: Service) -> None:
    begun = service.trained(mazur_job(epochs=3))
    rings = service.bell.rings
    first, again = (
        post(service, begun, "extend", {"epochs": 2}, **{"Idempotency-Key": "k"}) for _ in range(2)
    )
    other = post(service, begun, "extend", {"epochs": 3}, **{"Idempotency-Key": "k"})

    assert first.get_json() == again.get_json()
    assert "true" == again.headers["Idempotent-Replayed"]
    assert 422 == other.status_code
    assert rings + 1 == service.bell.rings


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/epochs": "missing"}),
        ({"epochs": 0}, {"/epochs": "out_of_range"}),
        ({"epochs": "many"}, {"/epochs": "wrong_type"}),
        ({"epochs": 10_000_000}, {"/epochs": "too_large"}),
        ({"epochs": 5, "epoch": 5}, {"/epoch": "unknown_field"}),
    ],
)
def test_a_bad_extension_is_refused_by_name(
    service: Service, body: Any, expected: dict[str, str]
) -> None:
    begun = service.trained(mazur_job(epochs=3))

    assert expected == faults(post(service, begun, "extend", body))


def test_what_ended_by_a_rule_is_not_extended(service: Service) -> None:
    """
    A run that had been asked for more epochs would have ended in the same place.
    """
    ended = service.trained(mazur_job(epochs=50, stop={"loss_below": 0.29}))
    answer = post(service, ended, "extend", {"epochs": 5})

    assert {"/job_id": "ended_early"} == faults(answer)
    assert "loss_below" in details(answer)


def test_a_schedule_over_the_whole_run_is_not_extended(service: Service) -> None:
    begun = service.trained(mazur_job(epochs=5, schedule="cosine"))
    restarting = service.trained(mazur_job(epochs=5, schedule={"name": "cosine", "period": 2}))

    assert {"/epochs": "contradiction"} == faults(post(service, begun, "extend", {"epochs": 5}))
    assert 202 == post(service, restarting, "extend", {"epochs": 5}).status_code


def test_only_what_succeeded_is_extended(service: Service) -> None:
    waiting = service.submit(mazur_job())
    answer = post(service, waiting, "extend", {"epochs": 5})

    assert 409 == answer.status_code
    assert ["cancel", "pause", "clone"] == answer.get_json()["allowed_actions"]
    missing = service.client.post("/v1/jobs/job_none/extend", json={"epochs": 1})
    assert 404 == missing.status_code


def test_a_clone_is_the_same_job_but_for_its_changes(service: Service) -> None:
    first = service.trained(iris_job(epochs=4))
    same = post(service, first, "clone", {}).get_json()
    service.train()
    changed = post(
        service,
        first,
        "clone",
        {
            "name": "with adam",
            "tags": {"try": "2"},
            "training": {"epochs": 6, "optimizer": {"name": "adam", "learning_rate": 0.02}},
        },
    ).get_json()

    assert theta(service, first) == theta(service, same)
    assert ("clone", first["id"]) == (same["derived"], same["parent"])
    assert "with adam" == changed["name"]
    assert 6 == changed["training"]["epochs"]
    assert "adam" == changed["training"]["optimizer"]["name"]
    assert "momentum" not in changed["training"]["optimizer"]
    assert first["training"]["seed"] == changed["training"]["seed"]
    assert first["training"]["batch_size"] == changed["training"]["batch_size"]
    assert first["network_id"] == changed["network_id"]


def test_a_clone_is_checked_like_any_job(service: Service) -> None:
    first = service.submit(iris_job())
    answer = post(
        service,
        first,
        "clone",
        {"training": {"loss": "crossentropy", "epochs": 0}, "dataset": "builtin:xor", "x": 1},
    )

    expected = {"/training/loss": "unknown_name", "/training/epochs": "out_of_range",
                "/x": "unknown_field", "/dataset": "shape_mismatch"}  # fmt: skip
    assert expected == faults(answer)
    shapes = post(service, first, "clone", {"dataset": "builtin:xor"})
    assert "shape_mismatch" == faults(shapes)["/dataset"]


def test_a_job_waits_for_another(service: Service) -> None:
    first = service.submit(mazur_job())
    second = service.submit({**mazur_job(), "after": [first["id"]], "priority": 9})

    assert ([first["id"]], None) == (second["waiting_for"], second["queue_position"])
    service.train()
    assert ([], 1) == (
        get(service, second)["waiting_for"],
        get(service, second)["queue_position"],
    )
    service.train()
    assert "succeeded" == get(service, second)["status"]


def test_dependencies_that_make_no_sense_are_refused(service: Service) -> None:
    cancelled = service.submit(mazur_job())
    post(service, cancelled, "cancel", {})
    answer = service.client.post(
        "/v1/jobs", json={**mazur_job(), "after": ["job_none", cancelled["id"]]}
    )
    doubled = service.client.post("/v1/jobs", json={**mazur_job(), "after": ["a", "a"]})

    assert {"/after/0": "not_found", "/after/1": "contradiction"} == faults(answer)
    assert {"/after": "duplicate"} == faults(doubled)
    undaunted = {**mazur_job(), "after": [cancelled["id"]], "on_failure": "run"}
    assert service.submit(undaunted)["queue_position"] == 1


def test_a_job_that_others_wait_for_is_not_deleted(service: Service) -> None:
    first = service.trained(mazur_job())
    second = service.submit({**mazur_job(), "after": [first["id"]]})
    answer = service.client.delete(f"/v1/jobs/{first['id']}")

    assert 409 == answer.status_code
    assert [second["id"]] == answer.get_json()["jobs"]


def test_a_date_is_kept_to(service: Service) -> None:
    later = (datetime.now(UTC) + AGEING).isoformat()
    job = service.submit({**mazur_job(), "not_before": later})
    naive = service.client.post(
        "/v1/jobs",
        json={**mazur_job(), "not_before": (datetime.now() + timedelta(1)).isoformat()},  # noqa: DTZ005
    )

    assert (None, None) == (job["queue_position"], job["starts_at"])
    assert datetime.fromisoformat(job["not_before"]) == datetime.fromisoformat(later)
    assert "/not_before" in faults(naive)


def test_attempts_say_who_tried_and_why_it_ended(service: Service) -> None:
    job = service.submit(mazur_job())
    assert [] == get(service, job, "/attempts")["data"]
    service.train()

    (attempt,) = get(service, job, "/attempts")["data"]

    assert (1, "w", "succeeded", "worker") == tuple(
        attempt[name] for name in ("attempt", "worker", "outcome", "actor")
    )
    assert attempt["started_at"] <= attempt["ended_at"]
    assert get(service, job)["links"]["attempts"].endswith("/attempts")
