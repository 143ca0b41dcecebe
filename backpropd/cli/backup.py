"""`backpropd backup` and `backpropd restore`: the whole database in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backpropd.cli.app import app, refuse, settings
from backpropd.cli.processes import opened
from backpropd.store import backup as backups
from backpropd.store.backup import Occupied, Unsound

File = Annotated[Path, typer.Argument(help="The backup: a SQLite file.")]


@app.command()
def backup(file: File) -> None:
    """Write everything to a new file, checked, while all goes on."""
    with opened(settings().database_url) as database:
        try:
            jobs = backups.back_up(database, file)
        except (Occupied, Unsound) as error:
            refuse(str(error))
        except OSError as error:
            refuse(f"cannot write {file}: {error.strerror}")
    print(f"{file}: {jobs} jobs, {file.stat().st_size:,} bytes, checked.")


@app.command()
def restore(file: File) -> None:
    """Fill an empty database from a backup. Stop the stack before, start it after."""
    if not file.is_file():
        refuse(f"{file} is no file")
    with opened(settings().database_url) as database:
        try:
            jobs = backups.restore(file, database)
        except (Occupied, Unsound) as error:
            refuse(str(error))
        except OSError as error:
            refuse(f"cannot restore {file}: {error.strerror}")
        shown = database.url.render_as_string(hide_password=True)
    print(f"{shown}: {jobs} jobs. What was running is queued again.")
