"""A service that the tests of a module share, a client of it, and a job that is through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backpropd.client import Client
from backpropd.settings import Settings
from backpropd.store.database import Database
from service.app import create_app
from tests.client.place import Place, SilentBell, serving
from tests.jobs import iris_job


@pytest.fixture(scope="module")
def place(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service on SQLite that all tests share."""
    file = tmp_path_factory.mktemp("client") / "client.sqlite"
    shutil.copy(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    app = create_app(Settings(), database=database, bell=SilentBell())
    with serving(app) as address, Client(address, timeout=30) as client:
        yield Place(client, database)
    database.dispose()


@pytest.fixture(scope="module")
def client(place: Place) -> Client:
    """A client of that service."""
    return place.client


@pytest.fixture(scope="module")
def iris(place: Place) -> dict[str, Any]:
    """A job that is through."""
    return place.trained(iris_job() | {"history": {"layers": True}})
