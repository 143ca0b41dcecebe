"""Bringing a database to this program's schema, and refusing to run on another one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from backpropd.store.database import Database

# Any number that no other program takes: PostgreSQL lets one migration run at a time under it.
ADVISORY_LOCK = 0x6261636B


class WrongSchema(RuntimeError):
    """The database has another schema than this program: run `backpropd migrate`."""

    def __str__(self) -> str:
        return type(self).__doc__ or ""


def config() -> Config:
    """Alembic's settings, whether the project is installed or checked out."""
    settings = Config()
    settings.set_main_option("script_location", str(files("migrations")))
    settings.set_main_option("path_separator", "os")
    return settings


def upgrade(database: Database) -> None:
    """Run the migrations that are missing, in one transaction; safe to call from many processes."""
    settings = config()
    with database.write_engine.begin() as connection:
        if not database.is_sqlite:
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": ADVISORY_LOCK})
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def check_schema(database: Database) -> None:
    """Raise WrongSchema unless the database is at this program's newest migration.

    Raises Busy where the database does not answer.
    """
    with database.read() as session:
        if MigrationContext.configure(session.connection()).get_current_revision() != _head():
            raise WrongSchema


@cache
def _head() -> str | None:
    """The newest migration, which cannot change while the program runs."""
    return ScriptDirectory.from_config(config()).get_current_head()
