"""A migration that only adds, run on a database in use, and taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from backpropd.store import migrate
from backpropd.store.database import Database

SCRIPT = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "next", "{head}"
branch_labels = depends_on = None


def upgrade():
    op.add_column("job", sa.Column("colour", sa.Text, nullable=True))
    op.add_column("history_chunk", sa.Column("colour", sa.Text, nullable=True))
    op.create_table("paint", sa.Column("id", sa.Text, primary_key=True))


def downgrade():
    op.drop_table("paint")
    op.drop_column("history_chunk", "colour")
    op.drop_column("job", "colour")
"""


@contextlib.contextmanager
def next_schema(url: str, folder: Path) -> Iterator[None]:
    """The schema of a version to come, which today's programs do not know, for a while."""
    head = ScriptDirectory.from_config(migrate.config()).get_current_head()
    (folder / "next.py").write_text(SCRIPT.format(head=head))
    _migrate(url, folder, "next")
    try:
        yield
    finally:
        _migrate(url, folder, f"{head}")


def _migrate(url: str, folder: Path, revision: str) -> None:
    """As `backpropd migrate` does it, with one script more, up or down."""
    settings = migrate.config()
    here = Path(settings.get_main_option("script_location") or "") / "versions"
    settings.set_main_option("version_locations", f"{here}:{folder}")
    database = Database(url)
    try:
        with database.write_engine.begin() as connection:
            settings.attributes["connection"] = connection
            _go(settings, revision)
    finally:
        database.dispose()


def _go(settings: Config, revision: str) -> None:
    go = command.upgrade if revision == "next" else command.downgrade
    go(settings, revision)
