"""The processes of a deployment, each as a command: api, worker, reconcile, migrate.

`backpropd up` runs the same commands under one supervisor. Service and worker are started, never
imported: the command line knows them as programs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from backpropd.cli.app import app, check_host, refuse, settings
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Unusable
from backpropd.store.migrate import WrongSchema, check_schema, upgrade

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)]

# One BLAS thread a process: the cores go to slots, and sums keep one order.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def api_command(bind: str) -> list[str]:
    """gunicorn with our application; `bind` as gunicorn has it: host:port or fd://N."""
    python = [sys.executable, "-m", "gunicorn"]
    return [*python, "--config", "python:service.gunicorn_conf", "--bind", bind, "service.wsgi:app"]


def worker_command(slots: int) -> list[str]:
    """A Celery worker with this many slots, and nothing of Celery that talks to other workers."""
    return [
        *[sys.executable, "-m", "celery", "--app", "worker.app", "--quiet", "worker"],
        *["--pool", "prefork", "--concurrency", str(slots)],
        *["--loglevel", settings().log_level],
        *["--without-gossip", "--without-mingle", "--without-heartbeat"],
    ]


def reconciler_command() -> list[str]:
    """The reconciler."""
    return [sys.executable, "-m", "worker.reconciler"]


@app.command()
def api(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the HTTP API, on the database and broker of the settings."""
    with opened(settings().database_url) as database:
        check_schema(database)
        environment = check_host(host, database)
    address = f"[{host}]" if ":" in host else host
    _become(api_command(f"{address}:{port}"), **environment)


@app.command()
def worker(
    slots: Annotated[
        int | None, typer.Option(help="Jobs at once; default: one a core.", min=1, max=1024)
    ] = None,
) -> None:
    """Train what is queued."""
    _check_database()
    slots = slots or settings().slots
    _become(worker_command(slots), BACKPROPD_SLOTS=str(slots), **ONE_THREAD)


@app.command()
def reconcile() -> None:
    """Ring for what waits, rescue what lost its worker. Run one, or three."""
    _check_database()
    _become(reconciler_command())


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema; safe to repeat."""
    with opened(settings().database_url) as database:
        upgrade(database)
        print(f"{database.url.render_as_string(hide_password=True)} is at this version's schema.")


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """The database at this address, which answers; if it does not, say why and leave."""
    try:
        database = Database(url)
    except Unusable as error:
        refuse(f"BACKPROPD_DATABASE_URL: {error}")
    shown = database.url.render_as_string(hide_password=True)
    try:
        database.ping()
        yield database
    except Busy as error:
        refuse(f"no answer from {shown}: {getattr(error.__cause__, 'orig', error)}")
    except WrongSchema as error:
        refuse(f"{shown}: {error}")
    finally:
        database.dispose()


def _check_database() -> None:
    with opened(settings().database_url) as database:
        check_schema(database)


def _become(command: list[str], **environment: str) -> NoReturn:
    """Turn this process into another program, so that signals reach it directly."""
    os.execve(command[0], command, os.environ | environment)  # noqa: S606 - our own programs
