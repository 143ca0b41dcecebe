"""Every operation x owner x scope, generated from the app itself: who is let in, and what a
stranger sees of what is not his.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from backpropd.settings import Settings
from backpropd.spec.keys import Scope
from backpropd.store.database import Database
from service.app import create_app
from service.scopes import SCOPES, Undeclared, check, operations
from tests.jobs import MAZUR, iris_job
from tests.service.conftest import RecordingBell, Service, key_of, made
from tests.service.test_openapi import CALLS, Call, filled, stored

APP = create_app(Settings(database_url="sqlite:////nonexistent/none.sqlite"))
ALL = operations(APP)
CLOSED = [each for each in ALL if SCOPES[each] is not None]
READING = [each for each in ALL if SCOPES[each] is Scope.READ]
# An administrator's hand reaches every owner.
OWNED = [each for each in CLOSED if "<" in each and SCOPES[each] is not Scope.ADMIN]
PARAMETER = re.compile(r"<(?:[^:>]+:)?([^>]+)>")
ABSENT = {
    "network_id": "net_x",
    "weights_id": "wts_none",
    "dataset_id": "ds_x",
    "job_id": "job_x",
    "key_id": "key_x",
}


@dataclass(frozen=True)
class Stage:
    """Two owners, and the things of the first."""

    service: Service
    ids: dict[str, str]
    keys: dict[tuple[str, Scope], dict[str, str]]

    def send(self, operation: str, ids: dict[str, str], headers: dict[str, str]) -> TestResponse:
        """A request that succeeds with the right key and the right ids."""
        call = asked(operation)
        path = filled(call.operation.split(" ")[1], ids) + call.query
        options = filled(call.options, ids)
        return self.service.client.open(
            path, method=operation.split(maxsplit=1)[0], headers=headers, **options
        )


def asked(operation: str) -> Call:
    """A real call of this operation, from the list that the contract's test keeps."""
    templated = PARAMETER.sub(r"{\1}", operation)
    return next(call for call in CALLS if call.operation == templated and call.status < 400)


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A service with a trained job of the local owner, and a key of each scope for two owners."""
    file = tmp_path_factory.mktemp("stage") / "stage.sqlite"
    file.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{file}")
    service = made(database)
    ids = stored(service)
    keys = {
        (owner, scope): key_of(service, owner, scope)[1]
        for owner in ("local", "stranger")
        for scope in Scope
    }
    # A process that has never seen the database without keys.
    yield Stage(made(database), ids, keys)
    database.dispose()


@pytest.mark.parametrize("operation", CLOSED)
def test_without_a_key_nobody_is_let_in(stage: Stage, operation: str) -> None:
    answer = stage.send(operation, stage.ids, {})

    assert 401 == answer.status_code
    assert "Bearer" == answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("operation", CLOSED)
def test_a_key_without_the_scope_is_not_let_in(stage: Stage, operation: str) -> None:
    for scope in set(Scope) - {SCOPES[operation]}:
        answer = stage.send(operation, stage.ids, stage.keys["local", scope])

        assert (403, "missing_scope") == (answer.status_code, answer.get_json()["code"])


@pytest.mark.parametrize("operation", OWNED)
def test_what_is_anothers_is_not_there(stage: Stage, operation: str) -> None:
    """
    The refusal is that of an id which nobody has: body, headers, and the statements it costs.
    """
    scope = SCOPES[operation]
    assert scope is not None
    headers = stage.keys["stranger", scope]
    stage.service.client.get("/v1/whoami", headers=headers)  # the key is looked up once
    seen, costs = [], []
    for ids in (stage.ids, stage.ids | ABSENT):
        with counted(stage.service.database) as statements:
            answer = stage.send(operation, ids, headers)
        problem = answer.get_json()
        shown = {name: value for name, value in problem.items() if name != "request_id"}
        text = repr(sorted(shown.items()))
        for id_ in (*stage.ids.values(), *ABSENT.values()):
            text = text.replace(repr(id_), "ID")
        seen.append((answer.status_code, text, sorted(answer.headers.keys())))
        costs.append(len(statements))

    assert 404 == seen[0][0]
    assert seen[0] == seen[1]
    assert costs[0] == costs[1]


@pytest.mark.parametrize("operation", READING)
def test_with_the_right_key_it_does_something(stage: Stage, operation: str) -> None:
    """
    Of operations that change nothing; the contract's test makes all calls, in their order.
    """
    answer = stage.send(operation, stage.ids, stage.keys["local", Scope.READ])

    assert answer.status_code < 300


def test_lists_show_a_stranger_nothing(stage: Stage) -> None:
    for noun in ("networks", "datasets", "jobs", "weights"):
        answer = stage.service.client.get(f"/v1/{noun}", headers=stage.keys["stranger", Scope.READ])

        assert [] == answer.get_json()["data"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", iris_job() | {"network": "{network_id}"}),
        ("/v1/jobs", iris_job() | {"dataset": "{dataset_id}"}),
        ("/v1/jobs", iris_job() | {"after": ["{job_id}"]}),
        ("/v1/jobs", iris_job() | {"initial": {"job": "{job_id}"}}),
        ("/v1/jobs", iris_job() | {"initial": {"weights": "{weights_id}"}}),
        ("/v1/trace", {"job": "{job_id}"}),
        ("/v1/history/compare", {"jobs": ["{job_id}"]}),
    ],
    ids=["network", "dataset", "after", "initial job", "initial weights", "trace", "compare"],
)
def test_ids_in_a_body_are_as_blind(stage: Stage, path: str, body: dict[str, Any]) -> None:
    scope = Scope.WRITE if path == "/v1/jobs" else Scope.READ
    headers = stage.keys["stranger", scope]
    answer = stage.service.client.post(path, json=filled(body, stage.ids), headers=headers)

    assert answer.status_code in (404, 422)
    assert "There is no " in answer.get_data(as_text=True)


def test_an_idempotency_key_belongs_to_its_owner(stage: Stage) -> None:
    jobs = []
    for owner in ("local", "stranger"):
        headers = stage.keys[owner, Scope.WRITE] | {"Idempotency-Key": "same"}
        answer = stage.service.client.post("/v1/jobs", json=iris_job(), headers=headers)
        assert "Idempotent-Replayed" not in answer.headers
        jobs.append(answer.get_json()["id"])

    assert jobs[0] != jobs[1]


def test_an_undeclared_operation_keeps_the_service_from_starting() -> None:
    app = Flask("bare", static_folder=None)
    app.add_url_rule("/v1/open", view_func=lambda: "")

    with pytest.raises(Undeclared, match=r"service/scopes.py.*GET /v1/open"):
        check(app)


def test_no_scope_is_declared_for_nothing() -> None:
    assert set() == set(SCOPES) - set(ALL)


def test_a_local_server_without_keys_asks_for_none(service: Service) -> None:
    assert 201 == service.client.post("/v1/networks", json=MAZUR).status_code
    who = service.client.get("/v1/whoami").get_json()

    assert ("local", None, ["read", "write", "admin"]) == (who["owner"], who["key"], who["scopes"])


def test_keys_may_be_required_before_there_is_one(sqlite_template: Path, tmp_path: Path) -> None:
    file = tmp_path / "service.sqlite"
    file.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{file}")
    settings = Settings(keys_required=True)
    client = create_app(settings, database=database, bell=RecordingBell()).test_client()

    assert 401 == client.get("/v1/jobs").status_code
    assert 200 == client.get("/healthz").status_code
    database.dispose()


class counted:  # noqa: N801 - reads as what it does
    """The statements that a database is asked inside."""

    def __init__(self, database: Database) -> None:
        self.engines = (database.read_engine, database.write_engine)
        self.statements: list[str] = []

    def _add(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.statements.append(statement)

    def __enter__(self) -> list[str]:
        for engine in self.engines:
            event.listen(engine, "before_cursor_execute", self._add)
        return self.statements

    def __exit__(self, *rest: object) -> None:
        for engine in self.engines:
            event.remove(engine, "before_cursor_execute", self._add)
