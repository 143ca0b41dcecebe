"""Keys over HTTP: made, shown once, replaced, revoked; and wrong ones refused at no cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from backpropd.settings import Settings
from backpropd.store import keys
from backpropd.store.audit import Actor
from service.app import create_app
from tests.service.client import CheckingClient, faults
from tests.service.conftest import RecordingBell, Service, key_of


@pytest.fixture
def admin(service: Service) -> dict[str, str]:
    """The headers of somebody who may do everything."""
    return key_of(service, "boss", "read", "write", "admin")[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def made_by(service: Service, admin: dict[str, str], **asked: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/keys", json={"owner": "alice", **asked}, headers=admin)
    assert 201 == answer.status_code, answer.get_data(as_text=True)
    assert "no-store" == answer.headers["Cache-Control"]
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_key_is_shown_once_and_opens_what_it_says(
    service: Service, admin: dict[str, str]
) -> None:
    key = made_by(service, admin, scopes=["write", "read", "read"], name="laptop")
    who = service.client.get("/v1/whoami", headers=bearer(key["key"])).get_json()
    listed = service.client.get("/v1/keys", headers=admin).get_json()["data"]

    assert {"owner": "alice", "key": key["id"], "scopes": ["read", "write"]}.items() <= who.items()
    assert [key["id"]] == [each["id"] for each in listed if each["owner"] == "alice"]
    assert all("key" not in each for each in listed)


def test_the_database_holds_no_key(service_on_both: Service) -> None:
    key = key_of(service_on_both, "alice")[1]["Authorization"].removeprefix("Bearer ")
    secret = key.rpartition("_")[2]
    with service_on_both.database.read() as session:
        rows = [str(tuple(row)) for row in session.execute(text("SELECT * FROM api_key"))]
        rows += [str(tuple(row)) for row in session.execute(text("SELECT * FROM audit"))]

    assert rows
    assert not [row for row in rows if secret in row]


def test_wrong_keys_are_refused(service: Service, admin: dict[str, str]) -> None:
    key = made_by(service, admin)["key"]
    prefix = key.split("_")[1]
    wrong = [
        key.upper(),
        key[:-1],
        key + "0",
        f"bp_{prefix}_{'0' * 64}",
        f"bp_{'0' * 12}_{'0' * 64}",
        "",
        "\u212a" * 10,
        "' OR 1=1 --",
    ]
    for each in wrong:
        answer = service.client.get("/v1/jobs", headers=bearer(each))
        assert (401, "bad_key") == (answer.status_code, answer.get_json()["code"]), each
    for scheme in (f"Basic {key}", key, f"bearer{key}"):
        answer = service.client.get("/v1/jobs", headers={"Authorization": scheme})
        assert 401 == answer.status_code, scheme
    assert 401 == service.client.get(f"/v1/jobs?key={key}").status_code


def test_an_expired_key_is_dead(service: Service, admin: dict[str, str]) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = made_by(service, admin, expires_at=soon.isoformat())
    assert 200 == service.client.get("/v1/jobs", headers=bearer(key["key"])).status_code
    with service.database.write() as session:
        keys.find(session, key["id"]).expires_at = datetime.now(UTC) - timedelta(seconds=1)
    # Another process, which has not seen the key when it was alive.
    app = create_app(Settings(), database=service.database, bell=RecordingBell())

    assert 401 == app.test_client().get("/v1/jobs", headers=bearer(key["key"])).status_code


def test_a_revoked_key_is_dead_for_everyone_within_seconds(
    service: Service, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = made_by(service, admin)
    assert 200 == service.client.get("/v1/jobs", headers=bearer(key["key"])).status_code
    path = f"/v1/keys/{key['id']}/revoke"
    first, again = (service.client.post(path, headers=admin).get_json() for _ in range(2))
    # As it is once what was known of the key is forgotten, two seconds later.
    app = create_app(Settings(), database=service.database, bell=RecordingBell())

    assert first["revoked_at"] is not None
    assert first == again
    assert 401 == app.test_client().get("/v1/jobs", headers=bearer(key["key"])).status_code


def test_the_time_for_which_a_key_is_remembered_is_short() -> None:
    from service.auth import KNOWN_SECONDS

    assert KNOWN_SECONDS <= 5


def test_a_replaced_key_goes_on_for_the_overlap(service: Service, admin: dict[str, str]) -> None:
    old = made_by(service, admin, scopes=["read"], name="laptop")
    path = f"/v1/keys/{old['id']}/rotate"
    new = service.client.post(path, json={"overlap_seconds": 3600}, headers=admin).get_json()
    shown = {k: new[k] for k in ("owner", "scopes", "name")}

    assert {k: old[k] for k in shown} == shown
    for key in (old, new):
        assert 200 == service.client.get("/v1/jobs", headers=bearer(key["key"])).status_code
    with service.database.read() as session:
        end = keys.find(session, old["id"]).expires_at
    assert end is not None
    assert timedelta(minutes=59) < end - datetime.now(UTC) <= timedelta(hours=1)


def test_a_dead_key_is_not_replaced(service: Service, admin: dict[str, str]) -> None:
    key = made_by(service, admin)
    service.client.post(f"/v1/keys/{key['id']}/revoke", headers=admin)
    answer = service.client.post(f"/v1/keys/{key['id']}/rotate", json={}, headers=admin)

    assert {"/key_id": "dead_key"} == faults(answer)


def test_a_key_that_cannot_be_is_refused(service: Service, admin: dict[str, str]) -> None:
    past = "2020-01-01T00:00:00Z"
    asked = {
        "/owner": {"owner": "Alice Cooper"},
        "/scopes/0": {"owner": "alice", "scopes": ["root"]},
        "/scopes": {"owner": "alice", "scopes": []},
        "/expires_at": {"owner": "alice", "expires_at": past},
        "/tenant_id": {"owner": "alice", "tenant_id": "ten_local"},
    }
    for pointer, body in asked.items():
        answer = service.client.post("/v1/keys", json=body, headers=admin)
        assert [pointer] == list(faults(answer)), body


def test_what_was_done_is_in_the_audit_log(service: Service, admin: dict[str, str]) -> None:
    key = made_by(service, admin)
    revoked = service.client.post(f"/v1/keys/{key['id']}/revoke", headers=admin)
    acts = service.client.get("/v1/audit", headers=admin).get_json()["data"]
    mine = service.client.get("/v1/whoami", headers=admin).get_json()["key"]

    assert ["key.revoked", "key.created"] == [act["action"] for act in acts[:2]]
    assert {key["id"]} == {act["subject"] for act in acts[:2]}
    assert {mine} == {act["actor"] for act in acts[:2]}
    assert {"alice"} == {act["owner"] for act in acts[:2]}
    assert revoked.headers["X-Request-Id"] == acts[0]["request_id"]


def test_an_address_that_guesses_is_stopped_and_others_are_not(
    service: Service, admin: dict[str, str]
) -> None:
    assert 200 == service.client.get("/v1/jobs", headers=admin).status_code
    codes = []
    for guess in range(30):
        answer = service.client.get("/v1/jobs", headers=bearer(f"bp_{guess:012x}_{'0' * 64}"))
        codes.append(answer.status_code)

    assert [401] * 20 + [429] * 10 == codes
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    # Who was known before is still served, and so is another address.
    assert 200 == service.client.get("/v1/jobs", headers=admin).status_code
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    answer = service.client.get("/v1/jobs", headers=bearer("x"), environ_base=elsewhere)
    assert 401 == answer.status_code


def test_a_key_that_asks_too_often_is_told_when_to_come_back(service: Service) -> None:
    settings = Settings(rate_per_key="3/minute")
    app = create_app(settings, database=service.database, bell=RecordingBell())
    app.test_client_class = CheckingClient
    client = app.test_client()
    one, other = (key_of(service, name)[1] for name in ("one", "other"))
    answers = [client.get("/v1/jobs", headers=one) for _ in range(4)]

    assert [200, 200, 200, 429] == [answer.status_code for answer in answers]
    assert ["2", "1", "0", "0"] == [each.headers["RateLimit-Remaining"] for each in answers]
    assert {"3"} == {answer.headers["RateLimit-Limit"] for answer in answers}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert "3 times in 1 minute" in answers[-1].get_json()["detail"]
    assert 200 == client.get("/v1/jobs", headers=other).status_code
    assert 200 == client.get("/healthz").status_code


@pytest.mark.parametrize("rate", ["often", "0/second", "-1/second", "1/fortnight", "1 per second"])
def test_a_rate_that_nobody_can_read_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="a rate is a number"):
        Settings(rate_per_key=rate)


def test_a_key_of_two_databases_is_of_one(service_on_both: Service) -> None:
    """
    Made, verified, revoked and never verified again.
    """
    row_id, headers = key_of(service_on_both, "alice")
    presented = headers["Authorization"].removeprefix("Bearer ")
    with service_on_both.database.read() as session:
        found = keys.verify(session, presented)
    assert found is not None
    assert row_id == found.id
    with service_on_both.database.write() as session:
        keys.revoke(session, row_id, Actor("test"))
    with service_on_both.database.read() as session:
        assert keys.verify(session, presented) is None
        assert keys.any_exist(session)
        assert not keys.any_alive(session)
