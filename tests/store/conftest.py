"""What tests of the store use besides a migrated database: one that has no table yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backpropd.store.database import Database
from tests.databases import KINDS, Postgres


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
        yield database
        database.dispose()
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    database = Database(server.url(name))
    yield database
    database.dispose()
    server.drop(name)
