"""Idempotency-Key: a request that is sent again, by whomever and whenever, is one request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from backpropd.store import idempotency
from backpropd.store.tables import LOCAL_TENANT, IdempotencyRow
from tests.jobs import MAZUR, mazur_job
from tests.service.client import CheckingClient, faults
from tests.service.conftest import Service


def send(client: CheckingClient, key: str, job: Any) -> TestResponse:
    return client.post("/v1/jobs", json=job, headers={"Idempotency-Key": key})


def count(client: CheckingClient, noun: str) -> int:
    return len(client.get(f"/v1/{noun}?limit=1000").get_json()["data"])


def test_the_same_request_is_answered_the_same_way_again(service_on_both: Service) -> None:
    client = service_on_both.client
    first, second = (send(client, "k", mazur_job()) for _ in range(2))

    assert [202, 202] == [first.status_code, second.status_code]
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert (None, "true") == tuple(
        answer.headers.get("Idempotent-Replayed") for answer in (first, second)
    )
    assert 1 == count(client, "jobs") == count(client, "networks")


def test_a_repeated_request_rings_no_bell(service: Service) -> None:
    for _ in range(3):
        send(service.client, "k", mazur_job())

    assert 1 == service.bell.rings


def test_the_same_body_is_the_same_however_it_is_written(client: CheckingClient) -> None:
    job = mazur_job()
    first = send(client, "k", job)
    backwards = dict(reversed(job.items()))
    second = send(client, "k", backwards)

    assert first.get_json()["id"] == second.get_json()["id"]


def test_another_body_under_the_same_key_is_refused(service_on_both: Service) -> None:
    client = service_on_both.client
    send(client, "k", mazur_job())
    refused = send(client, "k", mazur_job(epochs=101))

    assert (422, "idempotency_conflict") == (refused.status_code, refused.get_json()["code"])
    assert 1 == count(client, "jobs")


def test_another_key_is_another_job(client: CheckingClient) -> None:
    jobs = {send(client, key, mazur_job()).get_json()["id"] for key in ("a", "A", "a ", "é")}

    assert len(jobs) == count(client, "jobs") >= 3


def test_what_was_refused_is_not_remembered(client: CheckingClient) -> None:
    """
    Whoever mends the request may send it under the same key.
    """
    assert 422 == send(client, "k", mazur_job(epochs=0)).status_code

    assert 202 == send(client, "k", mazur_job(epochs=1)).status_code


def test_what_is_only_validated_is_not_remembered(client: CheckingClient) -> None:
    headers = {"Idempotency-Key": "k"}
    client.post("/v1/jobs?validate_only=true", json=mazur_job(), headers=headers)
    sent = send(client, "k", mazur_job(epochs=7))

    assert (202, None) == (sent.status_code, sent.headers.get("Idempotent-Replayed"))


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_that_is_empty_or_too_long_is_refused(client: CheckingClient, key: str) -> None:
    refused = send(client, key, mazur_job())

    assert ["/Idempotency-Key"] == list(faults(refused))
    assert 0 == count(client, "jobs")


def test_the_longest_key_is_a_key(client: CheckingClient) -> None:
    assert [202, 202] == [send(client, "k" * 200, mazur_job()).status_code for _ in range(2)]
    assert 1 == count(client, "jobs")


def test_fifty_at_once_with_one_key_submit_one_job(service_on_both: Service) -> None:
    """
    Each gets an answer, all the same one; nothing of the forty-nine others is stored.
    """
    app = service_on_both.client.application

    def one(_: int) -> TestResponse:
        return app.test_client().post(
            "/v1/jobs", json=mazur_job(), headers={"Idempotency-Key": "k"}
        )

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(one, range(50)))

    assert {202} == {answer.status_code for answer in answers}
    assert 1 == len({answer.get_json()["id"] for answer in answers})
    assert 49 == sum("Idempotent-Replayed" in answer.headers for answer in answers)
    for noun in ("jobs", "networks", "datasets"):
        assert 1 == count(service_on_both.client, noun)
    assert 1 == service_on_both.bell.rings


def test_a_key_is_forgotten_after_a_day(service: Service) -> None:
    first = send(service.client, "k", mazur_job()).get_json()["id"]
    with service.database.write() as session:
        row = session.get_one(IdempotencyRow, (LOCAL_TENANT, "k"))
        row.created_at -= idempotency.KEPT + timedelta(seconds=1)
    again = send(service.client, "k", mazur_job(epochs=7))

    assert 202 == again.status_code
    assert first != again.get_json()["id"]


def test_the_network_of_a_refused_repetition_is_not_stored(client: CheckingClient) -> None:
    send(client, "k", mazur_job())
    refused = send(client, "k", mazur_job() | {"network": MAZUR | {"name": "another"}})

    assert 422 == refused.status_code
    assert 1 == count(client, "networks")
