"""`backpropd up`: the whole stack in one command, in one folder."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from backpropd.cli.app import app, check_host, is_loopback, refuse
from backpropd.cli.broker import Broker, private_broker
from backpropd.cli.processes import (
    ONE_THREAD,
    Host,
    Port,
    api_command,
    opened,
    reconciler_command,
    worker_command,
)
from backpropd.cli.supervisor import Program, Supervisor
from backpropd.store.migrate import upgrade

POLL_SECONDS = 0.1
BACKLOG = 512  # connections that may wait to be accepted
TAKEN = 3  # exit status where folder or port belong to somebody else


@app.command()
def up(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data: Annotated[Path, typer.Option(help="The folder that holds everything it keeps.")] = Path(
        "backpropd-data"
    ),
    workers: Annotated[
        int, typer.Option(help="Jobs trained at once.", min=1, max=1024)
    ] = os.cpu_count() or 1,
) -> None:
    """Start broker, API, worker and reconciler, and keep them running until Ctrl-C."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"cannot make the folder {data}: {error.strerror}")
    database_url = os.environ.get(
        "BACKPROPD_DATABASE_URL", f"sqlite:///{(data / 'backpropd.sqlite').resolve()}"
    )
    with _locked(data):
        guard = {} if is_loopback(host) else _guarded(host, database_url)
        _serve(host, port, data, workers, {"BACKPROPD_DATABASE_URL": database_url, **guard})


def _guarded(host: str, database_url: str) -> dict[str, str]:
    """What keeps strangers out; refused, before anything listens, where nothing would."""
    with opened(database_url) as database:
        upgrade(database)
        return check_host(host, database)


def _serve(host: str, port: int, data: Path, workers: int, given: dict[str, str]) -> None:
    with _listening(host, port) as listener:
        broker = _broker(data)
        with opened(given["BACKPROPD_DATABASE_URL"]) as database:
            upgrade(database)
        environment = {
            **os.environ,
            **ONE_THREAD,
            **given,
            "BACKPROPD_BROKER_URL": broker.url,
            "BACKPROPD_SLOTS": str(workers),
        }
        programs = _programs(broker, listener, workers, data, environment)
        _supervise(Supervisor(programs, tell=_tell), _address(host, listener))


def _programs(
    broker: Broker, listener: socket.socket, slots: int, data: Path, environment: dict[str, str]
) -> list[Program]:
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    fd = listener.fileno()
    commands = {
        "reconciler": reconciler_command(),
        "api": api_command(f"fd://{fd}"),
        "worker": worker_command(slots),
    }
    if broker.command is not None:
        commands = {"broker": broker.command, **commands}
    return [
        Program(name, command, environment, logs / f"{name}.log", (fd,) if name == "api" else ())
        for name, command in commands.items()
    ]


def _supervise(supervisor: Supervisor, address: str) -> None:
    """Run until a signal asks for the end; say once that the API answers."""
    asked: list[int] = []
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda number, _: asked.append(number))
    supervisor.start()
    ready = False
    try:
        while not asked:
            supervisor.revive()
            if not ready and _answers(address):
                print(f"ready {address}", flush=True)
                ready = True
            time.sleep(POLL_SECONDS)
    finally:
        supervisor.stop()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _broker(data: Path) -> Broker:
    given = os.environ.get("BACKPROPD_BROKER_URL")
    return Broker(given, None, "given") if given else private_broker(data / "broker")


def _tell(sentence: str) -> None:
    print(f"backpropd: {sentence}", file=sys.stderr, flush=True)


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the folder, for as long as this process lives and no longer."""
    try:
        lock = (data / "lock").open("a")
    except OSError as error:
        refuse(f"cannot write in the folder {data}: {error.strerror}")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse(f"another `backpropd up` runs on {data}; stop it, or take --data", code=TAKEN)
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The API's socket, bound here so that a taken port is told at once and 0 finds a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            refuse(f"cannot listen on {host}:{port}: {error.strerror}", code=TAKEN)
        listener.listen(BACKLOG)
        yield listener
