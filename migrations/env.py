"""Where Alembic begins: on the connection that it was given, or on the one of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from backpropd.store.database import Database
from backpropd.store.tables import Base


def run(connection: Connection) -> None:
    """Run the migrations inside the connection's own transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    run(given)
elif given is not None:  # an engine, as the migration tests give it
    with given.begin() as its_connection:
        run(its_connection)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None, "say which database: -x or sqlalchemy.url"
    with Database(url).write_engine.begin() as its_connection:
        run(its_connection)
