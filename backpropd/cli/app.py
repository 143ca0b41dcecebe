"""The one Typer app that every command registers with."""

from __future__ import annotations

import ipaddress
import sys
from typing import NoReturn

import typer
from pydantic import ValidationError

from backpropd.settings import Settings
from backpropd.store import keys
from backpropd.store.database import Database

# Exit statuses beside 0, which is that what was asked for is done.
REFUSED = 1  # by the server, or by what the job came to
USAGE = 2  # the command line means nothing
UNREACHABLE = 3  # no server answers
INTERRUPTED = 130  # by Ctrl-C, as shells have it

app = typer.Typer(
    name="backpropd",
    help="A training service for feed-forward networks.",
    epilog=(
        "Exit status: 0 done; 1 refused, or the job did not succeed; 2 the command means nothing; "
        "3 no server answers (or, for up, its folder or port is taken); 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def refuse(sentence: str, *, code: int = REFUSED) -> NoReturn:
    """Say why not, on stderr, and leave."""
    print(f"backpropd: {sentence}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def settings() -> Settings:
    """What the environment says; refuse what it cannot mean."""
    try:
        return Settings()
    except ValidationError as error:
        faults = [
            f"BACKPROPD_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()
        ]
        refuse("; ".join(faults))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, database: Database) -> dict[str, str]:
    """What the API's environment needs to listen there; refuse other machines without keys."""
    if is_loopback(host):
        return {}
    with database.read() as session:
        guarded = keys.any_alive(session)
    if not guarded:
        refuse(
            f"{host} can be reached from other machines, and nobody has a key yet. Listen on "
            "127.0.0.1, or make one: backpropd keys create --owner NAME --scope read,write,admin"
        )
    return {"BACKPROPD_KEYS_REQUIRED": "true"}
