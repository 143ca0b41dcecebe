"""What is refused: always as a problem document, never with a 5xx for anything a client sent.

CheckingClient holds every answer here against RFC 9457, strict JSON and the headers of safety.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import event
from werkzeug.test import TestResponse

from backpropd.settings import Settings
from backpropd.spec.limits import LIMITS
from backpropd.store.database import Database
from service.app import create_app
from tests.jobs import MAZUR, mazur_job
from tests.service import corpus
from tests.service.client import PROBLEM, CheckingClient
from tests.service.conftest import RecordingBell, Service, made


def post(client: CheckingClient, body: bytes | str, path: str = "/v1/networks") -> TestResponse:
    return client.post(path, data=body, content_type="application/json")


def test_an_unknown_address_is_not_found(client: CheckingClient) -> None:
    for path in ("/v1", "/v2/jobs", "/v1/job", "/v1/jobs/", "/v1//jobs", "/v1/jobs/a/b/c/d"):
        refused = client.get(path)
        assert (404, "not_found") == (refused.status_code, refused.get_json()["code"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/networks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/v1/jobs/job_x", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("GET", "/v1/jobs/job_x/cancel", {"OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "OPTIONS", "POST"}),
    ],
)
def test_a_method_that_is_not_offered_is_told_which_are(
    client: CheckingClient, method: str, path: str, allowed: set[str]
) -> None:
    refused = client.open(path, method=method)

    assert (405, "method_not_allowed") == (refused.status_code, refused.get_json()["code"])
    assert allowed == set(refused.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "text/json"]
)
@pytest.mark.parametrize("path", ["/v1/networks", "/v1/networks/validate", "/v1/jobs", "/v1/trace"])
def test_a_body_that_is_not_json_is_refused_by_its_type(
    client: CheckingClient, path: str, kind: str
) -> None:
    refused = client.post(path, data=json.dumps(MAZUR), content_type=kind)

    assert (415, "unsupported_media_type") == (refused.status_code, refused.get_json()["code"])


@pytest.mark.parametrize("path", ["/v1/networks", "/v1/jobs", "/v1/jobs/batch", "/v1/datasets"])
def test_a_body_that_is_too_large_is_refused_unread(client: CheckingClient, path: str) -> None:
    length = {"CONTENT_LENGTH": str(LIMITS.body_bytes + 1)}
    refused = client.post(
        path, data=b"{}", content_type="application/json", environ_overrides=length
    )

    assert (413, "too_large") == (refused.status_code, refused.get_json()["code"])
    assert "/v1/limits" in refused.get_json()["detail"]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", "bad_json", "no JSON"),
        (b"{", "bad_json", "no JSON"),
        (b"{'a': 1}", "bad_json", "no JSON"),
        (b'{"a": 1} x', "bad_json", "Extra data"),
        (b'{"a": NaN}', "bad_json", "NaN is no JSON number"),
        (b'{"a": -Infinity}', "bad_json", "-Infinity is no JSON number"),
        (b'{"a": 01}', "bad_json", "no JSON"),
        (b'{"a": 1, "a": 2}', "bad_json", "a name stands twice"),
        (b'{"b": {"a": 1, "a": 1}}', "bad_json", "a name stands twice"),
        (b'{"a": "\xff"}', "bad_json", "not UTF-8"),
        (json.dumps(MAZUR).encode("utf-16"), "bad_json", "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "bad_json", "not UTF-8"),
        (b'{"a": "\\ud800"}', "bad_json", "lone surrogate"),
        (b'{"\\udfff": 1}', "bad_json", "lone surrogate"),
        (b'{"a": ' + b"9" * 5000 + b"}", "bad_json", "integer"),
        (b"[" * 65 + b"]" * 65, "too_deep", "deeper than 64"),
        (b'{"a": ' + b"[" * 100_000, "too_deep", "deeper than 64"),
        (b'{"a":' * 100_000, "too_deep", "deeper than 64"),
    ],
)
def test_a_body_that_cannot_be_read_in_one_way_is_refused(
    client: CheckingClient, body: bytes, code: str, said: str
) -> None:
    for path in ("/v1/networks", "/v1/jobs", "/v1/trace", "/v1/networks/validate", "/v1/datasets"):
        refused = post(client, body, path)
        assert (400, code) == (refused.status_code, refused.get_json()["code"])
        assert said in refused.get_json()["detail"]


@pytest.mark.parametrize("body", ["[]", "null", "7", '"text"', "[[]]", "true"])
def test_a_body_that_is_no_object_is_refused(client: CheckingClient, body: str) -> None:
    refused = post(client, body)

    assert 422 == refused.status_code
    assert [""] == [fault["pointer"] for fault in refused.get_json()["errors"]]


def test_brackets_in_a_text_are_no_depth(service_on_both: Service) -> None:
    name = "[{" * 50 + '\\"' + "🦆"
    made_of = service_on_both.client.post("/v1/networks", json=MAZUR | {"name": name})

    assert (201, name) == (made_of.status_code, made_of.get_json()["name"])


@pytest.mark.parametrize(
    ("number", "code"),
    [("1e400", "not_finite"), ("-1e400", "not_finite"), ("1" + "0" * 400, None), ("1e-400", None)],
)
def test_numbers_beyond_a_float_are_refused_or_are_zero(
    client: CheckingClient, number: str, code: str | None
) -> None:
    """
    1e400 is not to be told from infinity; 1e-400 is 0 to the last bit that a float has.
    """
    body = json.dumps(MAZUR).replace("0.15", number)
    answer = post(client, body)
    codes = [fault["code"] for fault in answer.get_json().get("errors", [])]

    assert (201 if number == "1e-400" else 422) == answer.status_code
    assert code is None or [code] == codes


def test_a_request_id_is_echoed_or_made(client: CheckingClient) -> None:
    """
    Only one that may stand in a log line is taken over.
    """
    asked = "0f3a-B.c_9"
    echoed = client.get("/v1/jobs/job_x", headers={"X-Request-Id": asked})
    first, second = (client.get("/healthz").headers["X-Request-Id"] for _ in range(2))

    assert asked == echoed.headers["X-Request-Id"] == echoed.get_json()["request_id"]
    assert first != second
    for bad in ("", "a b", "x" * 65, "é", "<script>"):
        made_up = client.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert bad != made_up
        assert made_up.isalnum()


def test_one_fault_is_the_detail_and_many_are_counted(client: CheckingClient) -> None:
    one = client.post("/v1/networks", json=MAZUR | {"inputs": 0}).get_json()
    many = client.post("/v1/networks", json={}).get_json()

    assert one["errors"][0]["detail"] == one["detail"]
    assert "2 faults" in many["detail"]


def test_of_very_many_faults_the_first_hundred_are_told(client: CheckingClient) -> None:
    rows = {"inputs": [["x"]] * 500, "targets": [[1]] * 500}
    faults = client.post("/v1/datasets", json=rows).get_json()["errors"]

    assert 101 == len(faults)
    assert "and 400 more faults" == faults[-1]["detail"]


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of what nobody foresaw."""
    caplog.set_level(logging.ERROR, logger="service.problems")
    return caplog


def test_no_broken_body_breaks_the_service(
    service_on_both: Service, quiet: pytest.LogCaptureFixture
) -> None:
    """
    Every field of every body, left out or replaced by one of twenty-two bad values.

    Each third of these requests is sent: more than a thousand, and every kind among them.
    """
    client = service_on_both.client
    job_id = service_on_both.trained(mazur_job(epochs=2))["id"]
    statuses: Counter[int] = Counter()
    for path, bodies in corpus.bodies(job_id).items():
        for good in bodies:
            assert client.post(path, json=good).status_code < 300, path
            for what, bad in itertools.islice(corpus.mutations(good), 0, None, 3):
                answer = post(client, json.dumps(bad), path)
                assert answer.status_code < 500, (path, what, answer.get_data(as_text=True))
                statuses[answer.status_code] += 1

    assert sum(statuses.values()) > 1000
    assert {200, 201, 202, 400, 404, 422} == set(statuses)
    assert [] == quiet.records


def test_no_broken_address_breaks_the_service(
    service_on_both: Service, quiet: pytest.LogCaptureFixture
) -> None:
    """
    Every parameter of every operation of the document: in the path, the query and the headers.
    """
    client = service_on_both.client
    job = service_on_both.trained(mazur_job(epochs=2))["id"]
    real = {"job_id": job, "snapshot": "final", "network_id": "net_x", "dataset_id": "ds_x"}
    document = client.get("/v1/openapi.json").get_json()
    statuses: Counter[int] = Counter()
    for template, item in document["paths"].items():
        for method, operation in item.items():
            if method == "delete" and template == "/v1/jobs/{job_id}":
                continue  # it would take away what the others ask for
            for name, place in (
                (each["name"], each["in"]) for each in operation.get("parameters", [])
            ):
                for bad in corpus.BAD_TEXTS:
                    given = real | ({name: bad} if place == "path" else {})
                    address = template.format(**given)
                    address += f"?{name}={bad}" if place == "query" else ""
                    headers = {name: bad} if place == "header" else {}
                    body = {} if method == "post" else None
                    answer = client.open(address, method=method, headers=headers, json=body)
                    assert answer.status_code < 500, (method, address, answer.get_json())
                    statuses[answer.status_code] += 1

    assert sum(statuses.values()) > 900
    assert statuses[422] > 400
    assert [] == quiet.records


RESOURCES = [
    "/v1/networks/{network_id}",
    "/v1/datasets/{dataset_id}",
    "/v1/datasets/{dataset_id}/schema",
    "/v1/datasets/{dataset_id}/rows",
    "/v1/jobs/{id}",
    "/v1/jobs/{id}/history",
    "/v1/jobs/{id}/layers",
    "/v1/jobs/{id}/confusion",
    "/v1/jobs/{id}/snapshots/final/weights",
    "/v1/jobs/{id}/snapshots/best/weights?format=npz",
    "/v1/limits",
    "/v1/catalog",
]


@pytest.mark.parametrize("template", RESOURCES)
def test_what_has_not_changed_is_not_sent_again(
    taught: Service, iris_trained: dict[str, Any], template: str
) -> None:
    path = template.format(**iris_trained)
    first = taught.client.get(path)
    etag = first.headers["ETag"]
    same = taught.client.get(path, headers={"If-None-Match": etag})
    other = taught.client.get(path, headers={"If-None-Match": '"another"'})

    assert (304, b"", etag) == (same.status_code, same.get_data(), same.headers["ETag"])
    assert (200, first.get_data()) == (other.status_code, other.get_data())


def test_a_job_that_has_changed_has_another_etag(service: Service) -> None:
    path = f"/v1/jobs/{service.submit(mazur_job())['id']}"
    etag = service.client.get(path).headers["ETag"]
    service.client.post(f"{path}/pause")
    changed = service.client.get(path, headers={"If-None-Match": etag})

    assert (200, "paused") == (changed.status_code, changed.get_json()["status"])


def test_a_database_that_is_locked_is_busy_for_now(service: Service) -> None:
    """
    Somebody else writes to the SQLite file for longer than the service waits.
    """
    job = service.submit(mazur_job())["id"]
    event.listen(
        service.database.write_engine,
        "checkout",
        lambda connection, record, proxy: connection.execute("PRAGMA busy_timeout=20"),
    )
    other = Database(str(service.database.url))
    batch = {"jobs": [mazur_job()]}
    with other.write() as session:
        session.connection()  # a transaction begins with the first word
        refused = service.client.post("/v1/jobs", json=mazur_job())
        wish = service.client.post(f"/v1/jobs/{job}/cancel")
        result = service.client.post("/v1/jobs/batch", json=batch).get_json()["data"][0]
        read = service.client.get(f"/v1/jobs/{job}")
    other.dispose()

    for answer in (refused, wish):
        assert (503, "busy") == (answer.status_code, answer.get_json()["code"])
        assert int(answer.headers["Retry-After"]) >= 1
    assert (503, "busy", None) == (result["status"], result["problem"]["code"], result["job"])
    assert (200, "queued") == (read.status_code, read.get_json()["status"])
    assert 202 == service.client.post("/v1/jobs", json=mazur_job()).status_code


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nonexistent/none.sqlite", "postgresql://nobody@/none?host=/nonexistent"],
)
def test_a_database_that_is_gone_is_busy_for_now(url: str) -> None:
    database = Database(url)
    client = made(database).client
    answers = [client.get("/v1/jobs"), client.post("/v1/jobs", json=mazur_job())]
    ready, alive = client.get("/readyz"), client.get("/healthz")
    database.dispose()

    assert [503, 503] == [answer.status_code for answer in answers]
    assert all("Retry-After" in answer.headers for answer in answers)
    assert (503, "no answer") == (ready.status_code, ready.get_json()["checks"]["database"])
    assert 200 == alive.status_code


def test_who_is_ready_says_so(service_on_both: Service) -> None:
    ready = service_on_both.client.get("/readyz")

    assert (200, "ready", {"database": "ok", "broker": "ok"}) == (
        ready.status_code,
        *(ready.get_json()[name] for name in ("status", "checks")),
    )


def test_what_nobody_foresaw_tells_nothing_of_the_inside(
    service: Service, quiet: pytest.LogCaptureFixture
) -> None:
    """
    The log has the reason, under the same request id; the client has none of it.
    """

    class Broken(RecordingBell):
        def ring(self) -> None:
            raise RuntimeError("secret/path/of/a/module.py")

    app = create_app(Settings(), database=service.database, bell=Broken())
    app.test_client_class = CheckingClient
    answer = app.test_client().post("/v1/jobs", json=mazur_job())

    assert (500, PROBLEM, "internal") == (
        answer.status_code,
        answer.content_type,
        answer.get_json()["code"],
    )
    assert "secret" not in answer.get_data(as_text=True)
    assert "secret" in str(quiet.records[0].exc_info)


def test_every_limit_in_force_is_published(client: CheckingClient) -> None:
    limits = client.get("/v1/limits").get_json()["limits"]

    assert {"body_bytes", "dataset_bytes", "json_depth", "epochs", "layers", "page"} <= set(limits)
    assert all(isinstance(limit, int) and limit > 0 for limit in limits.values())


def test_a_head_is_the_answer_without_its_body(client: CheckingClient) -> None:
    """
    Also of what is refused.
    """
    found, missing = client.head("/v1/limits"), client.head("/v1/jobs/job_x")

    assert (200, b"") == (found.status_code, found.get_data())
    assert (404, b"", PROBLEM) == (missing.status_code, missing.get_data(), missing.content_type)
