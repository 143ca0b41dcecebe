"""Filters and orders over HTTP: lists that obey them, and refusals that point at the character."""

from __future__ import annotations

from typing import Any

import pytest

from tests.jobs import MAZUR, mazur_job
from tests.service.client import CheckingClient
from tests.service.conftest import Service


def names(client: CheckingClient, path: str, **query: Any) -> list[str | None]:
    answer = client.get(path, query_string=query)
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    return [row["name"] for row in answer.get_json()["data"]]


def test_jobs_are_found_by_what_they_became(service_on_both: Service) -> None:
    service = service_on_both
    for epochs in (5, 200):
        job = mazur_job(epochs=epochs) | {"name": f"{epochs}", "tags": {"team": "a", "x y": "é"}}
        service.trained(job)
    service.submit(mazur_job() | {"name": "waiting", "tags": {"team": "b"}})
    client = service.client

    assert ["200"] == names(client, "/v1/jobs", filter="metrics.loss.min < 0.25")
    assert ["200", "5"] == names(client, "/v1/jobs", filter='tags."x y" = "é" and final.loss > 0')
    assert ["waiting"] == names(client, "/v1/jobs", filter='not tags.team = "a"')
    assert ["waiting"] == names(client, "/v1/jobs", filter="metrics.loss.min = null")
    assert ["waiting"] == names(client, "/v1/jobs", status="queued", filter="priority = 5")
    assert [] == names(client, "/v1/jobs", status="queued", filter='tags.team = "a"')
    assert ["5", "200"] == names(client, "/v1/jobs", filter="training.epochs in (5, 200)",
                                 order_by="metrics.loss.last desc")  # fmt: skip
    assert ["200", "5", "waiting"] == names(client, "/v1/jobs", order_by="metrics.loss.min")
    assert ["waiting", "5", "200"] == names(client, "/v1/jobs", order_by="priority, name desc")


def test_pages_keep_their_filter(service: Service) -> None:
    for n in range(5):
        service.submit(mazur_job() | {"name": f"{n}", "tags": {"odd": str(n % 2)}})
    asked = {"filter": 'tags.odd = "0"', "order_by": "name", "limit": 2}
    first = service.client.get("/v1/jobs", query_string=asked).get_json()
    rest = service.client.get("/v1/jobs", query_string=asked | {"cursor": first["next_cursor"]})
    other = service.client.get("/v1/jobs", query_string={"cursor": first["next_cursor"]})

    assert ["0", "2"] == [job["name"] for job in first["data"]]
    assert ["4"] == [job["name"] for job in rest.get_json()["data"]]
    assert 422 == other.status_code
    assert "bad_cursor" == other.get_json()["errors"][0]["code"]


def test_networks_and_datasets_are_found_too(client: CheckingClient) -> None:
    for name in ("a", "b"):
        client.post("/v1/networks", json=MAZUR | {"name": name})
        rows = {"inputs": [[ord(name)]], "targets": [[1]], "name": name}
        assert 201 == client.post("/v1/datasets", json=rows).status_code

    assert ["b"] == names(client, "/v1/networks", filter='name > "a" and definition.inputs = 2')
    assert ["a", "b"] == names(client, "/v1/networks", order_by="name")
    assert ["a"] == names(client, "/v1/datasets", filter='name = "a" and rows = 1')


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/networks", "/v1/datasets"])
@pytest.mark.parametrize(
    ("query", "pointer", "position"),
    [
        ({"filter": 'name = "a" nad name = "b"'}, "/filter", 12),
        ({"filter": "é = 1"}, "/filter", 1),
        ({"filter": "name = \0"}, "/filter", 8),
        ({"filter": "name = 'x' and " * 200 + "name = 'x'"}, "/filter", 2001),
        ({"order_by": "name,, id"}, "/order_by", 6),
    ],
)
def test_a_refusal_points_at_the_character(
    client: CheckingClient, path: str, query: dict[str, str], pointer: str, position: int
) -> None:
    answer = client.get(path, query_string=query)
    problem = answer.get_json()

    assert (400, "bad_search") == (answer.status_code, problem["code"])
    assert (pointer, position) == (
        problem["errors"][0]["pointer"],
        problem["errors"][0]["position"],
    )
    assert f"{pointer[1:]}: At character {position}: " in problem["detail"]


def test_forged_cursors_are_refused(service_on_both: Service) -> None:
    import base64
    import json

    client = service_on_both.client
    service_on_both.submit(mazur_job())
    service_on_both.submit(mazur_job())
    order = {"order_by": "priority", "limit": 1}
    given = client.get("/v1/jobs", query_string=order).get_json()["next_cursor"]
    digest = json.loads(base64.urlsafe_b64decode(given + "=="))[0]
    for values in (["x", "job_"], [None, "job_"], [1e300, "job_"], [True, "job_"], [5, "\0"], [5],
                   [5, None], [float("nan"), "job_"], [[5], "job_"], [5, "\ud800"]):  # fmt: skip
        text = json.dumps([digest, *values]).encode()
        cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
        answer = client.get("/v1/jobs", query_string=order | {"cursor": cursor})

        assert answer.status_code in (200, 422), (values, answer.get_data(as_text=True))
