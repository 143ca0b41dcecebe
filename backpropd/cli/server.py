"""The server that a command speaks to, and how its answers are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backpropd.cli.app import REFUSED, UNREACHABLE, USAGE, refuse
from backpropd.client import Client, Problem

WIDE = 200  # columns of what no terminal shows: an id is there to be copied whole

Server = Annotated[
    str,
    typer.Option(
        "--server", envvar="BACKPROPD_SERVER", help="Its address; the key is BACKPROPD_KEY."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="job_..., as `backpropd jobs` shows it.")]
Snapshot = Annotated[str, typer.Option(help="Which weights: final, best, initial, or an epoch.")]
HERE = "http://127.0.0.1:8000"


@contextmanager
def connected(server: str) -> Iterator[Client]:
    """A client of the server; what goes wrong becomes a sentence and an exit status."""
    try:
        with Client(server) as client:
            yield client
    except Problem as problem:
        refuse(_told(problem), code=REFUSED)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        refuse(f"--server {server}: {error}", code=USAGE)
    except httpx.TransportError as error:
        refuse(
            f"no answer from {error}. Is it up (`backpropd up`), and is --server or "
            "BACKPROPD_SERVER its address?",
            code=UNREACHABLE,
        )


def _told(problem: Problem) -> str:
    """A refusal in words; its only fault isn't told twice."""
    if len(problem.errors) == 1:
        (fault,) = problem.errors
        return f"{problem.status} {fault['pointer'] or '/'}: {fault['detail']}"
    return str(problem)


def console(*, stderr: bool = False) -> Console:
    """Where tables go; as wide as the terminal, or wide enough where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDE, highlight=False)


def print_json(answer: Any) -> None:
    """An answer of the server as it came."""
    typer.echo(json.dumps(answer, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows for people; cells are shown as they are, whatever signs they hold."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    console().print(table)


def shown(value: Any) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return f"{value}"


def when(instant: str | None) -> str:
    """An instant of the contract, to the second."""
    return "" if instant is None else instant[:19].replace("T", " ")


def which(snapshot: str) -> str | int:
    """A snapshot as the contract names it."""
    return int(snapshot) if snapshot.isdecimal() else snapshot


def numbers(text: str, option: str) -> list[float]:
    """Numbers with commas between them; refused, by the option's name, where they are none."""
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        refuse(f"{option} takes numbers with commas between them; this is {text!r}.", code=USAGE)


def definition(network: str) -> Any:
    """What --network says: an id as it is, or the definition in a file; else refused."""
    if network.startswith("net_"):
        return network
    try:
        return json.loads(Path(network).read_text())
    except OSError as error:
        refuse(f"--network {network}: {error.strerror}", code=USAGE)
    except ValueError as error:
        refuse(f"--network {network} is no JSON: {error}", code=USAGE)
