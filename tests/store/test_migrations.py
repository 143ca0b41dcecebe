"""The four tests of a history of migrations, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from backpropd.store.database import Database
from backpropd.store.migrate import WrongSchema, check_schema, config, upgrade
from backpropd.store.tables import Base
from tests.databases import migrated


def downgrade(database: Database) -> None:
    settings = config()
    with database.write_engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(config()).get_heads()) == 1


def test_migrations_run_from_nothing_and_again(empty: Database) -> None:
    upgrade(empty)
    upgrade(empty)

    check_schema(empty)


@pytest.mark.filterwarnings("ignore:autogenerate skipping")
def test_the_models_are_what_the_migrations_make(empty: Database) -> None:
    upgrade(empty)
    with empty.read_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Base.metadata) == []


def test_up_down_up(empty: Database) -> None:
    upgrade(empty)
    downgrade(empty)
    assert set(inspect(empty.write_engine).get_table_names()) <= {"alembic_version"}

    upgrade(empty)
    check_schema(empty)


def test_another_schema_is_refused(empty: Database) -> None:
    with pytest.raises(WrongSchema, match="backpropd migrate"):
        check_schema(empty)


def test_many_may_migrate_at_once(empty: Database) -> None:
    """
    Every process of a deployment may run the migrations at its start.
    """
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrated(str_url(empty)), range(4)))

    check_schema(empty)


def str_url(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)
