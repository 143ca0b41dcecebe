"""Health: the process lives, and whether its parts answer and fit."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

from backpropd.settings import Settings
from backpropd.store.database import Database
from backpropd.store.migrate import upgrade
from service.app import create_app
from tests.service.conftest import RecordingBell
from tests.worker.outages import CutOff


def client_of(database: Database, bell: RecordingBell) -> FlaskClient:
    return create_app(Settings(), database=database, bell=bell).test_client()


class DeafBell(RecordingBell):
    """A bell whose broker does not answer."""

    def ping(self) -> bool:
        return False


def test_readiness_names_what_is_missing(tmp_path: Path) -> None:
    """The service is ready when its database has this version's schema, and its broker answers."""
    database = CutOff(f"sqlite:///{tmp_path / 'new.sqlite'}")
    client, deaf = client_of(database, RecordingBell()), client_of(database, DeafBell())
    other_schema = client.get("/readyz")
    upgrade(database)
    ready, without_broker = client.get("/readyz"), deaf.get("/readyz")
    database.cut = True
    without_any = deaf.get("/readyz")
    alive = deaf.get("/healthz")
    database.dispose()

    other = "another schema: run `backpropd migrate`"
    for status, database_says, broker_says, answer in (
        (503, other, "ok", other_schema),
        (200, "ok", "ok", ready),
        (503, "ok", "no answer", without_broker),
        (503, "no answer", "no answer", without_any),
    ):
        assert status == answer.status_code
        assert {"database": database_says, "broker": broker_says} == answer.get_json()["checks"]
        assert ("ready" if status == 200 else "unavailable") == answer.get_json()["status"]
    assert 200 == alive.status_code
