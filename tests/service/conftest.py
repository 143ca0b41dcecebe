"""The service in this process: a client that checks every answer, a bell that counts, real jobs.

Most tests run on SQLite (`service`); what the database decides runs on both (`service_on_both`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from backpropd.settings import Settings
from backpropd.spec.keys import KeySpec
from backpropd.store import keys
from backpropd.store.audit import Actor
from backpropd.store.database import Database
from service.app import create_app
from service.bell import Bell
from tests.jobs import Fake, claim, iris_job, mazur_job, runner
from tests.service.client import CheckingClient


class RecordingBell(Bell):
    """Counts its rings; there is no broker behind it."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1

    def ping(self) -> bool:
        return True


@dataclass(frozen=True)
class Service:
    """The service, and what stands behind it."""

    client: CheckingClient
    database: Database
    bell: RecordingBell

    def submit(self, job: dict[str, Any]) -> dict[str, Any]:
        """A queued job, as the service answers."""
        answer = self.client.post("/v1/jobs", json=job)
        assert 202 == answer.status_code, answer.get_data(as_text=True)
        found: dict[str, Any] = answer.get_json()
        return found

    def train(self) -> None:
        """Run the best waiting job to its end, as a worker does."""
        runner(self.database, clock=Fake(1e-6)).run(*claim(self.database))

    def trained(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job that is through."""
        path = f"/v1/jobs/{self.submit(job)['id']}"
        self.train()
        found: dict[str, Any] = self.client.get(path).get_json()
        return found


def made(database: Database) -> Service:
    """The service on this database."""
    bell = RecordingBell()
    app = create_app(Settings(), database=database, bell=bell)
    app.test_client_class = CheckingClient
    client = app.test_client()
    assert isinstance(client, CheckingClient)
    return Service(client, database, bell)


def key_of(
    service: Service, owner: str, *scopes: str, expires_at: datetime | None = None
) -> tuple[str, dict[str, str]]:
    """A new key's id, and the headers of a request with it."""
    asked = KeySpec(owner=owner, scopes=scopes or ("read", "write"), expires_at=expires_at)
    with service.database.write() as session:
        row, key = keys.create(session, asked, Actor("test"))
    return row.id, {"Authorization": f"Bearer {key}"}


@pytest.fixture
def service(sqlite_template: Path, tmp_path: Path) -> Iterator[Service]:
    """The service on an empty SQLite database."""
    file = tmp_path / "service.sqlite"
    shutil.copy(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    yield made(database)
    database.dispose()


@pytest.fixture
def service_on_both(database: Database) -> Service:
    """The service on an empty database, of each kind in turn."""
    return made(database)


@pytest.fixture
def client(service: Service) -> CheckingClient:
    """A client of the service on an empty SQLite database."""
    return service.client


@pytest.fixture(scope="session")
def taught(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with jobs that are through; tests read it and add nothing to it."""
    file = tmp_path_factory.mktemp("taught") / "taught.sqlite"
    shutil.copy(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    yield made(database)
    database.dispose()


@pytest.fixture(scope="session")
def mazur_trained(taught: Service) -> dict[str, Any]:
    """The article's job with 1,000 updates, as the service shows it."""
    return taught.trained(mazur_job(epochs=1000))


@pytest.fixture(scope="session")
def iris_trained(taught: Service) -> dict[str, Any]:
    """30 epochs of iris with validation, snapshots and statistics of layers."""
    return taught.trained(iris_job() | {"history": {"layers": True}, "name": "iris"})
