"""What tests of every room use: databases, a job to work with, a worker that runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backpropd.store.database import Database
from tests.databases import KINDS, Postgres, migrated, need


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one a test process."""
    need("postgresql")
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing in it."""
    file = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    migrated(f"sqlite:///{file}")
    return file


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database, on each kind in turn."""
    if request.param == "sqlite":
        file = tmp_path / "test.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(server.template)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, on each kind in turn."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def mazur() -> dict[str, Any]:
    """The worked example's numbers; the file says where each comes from."""
    text = (Path(__file__).parent / "reference" / "mazur.json").read_text()
    numbers: dict[str, Any] = json.loads(text)
    return numbers
