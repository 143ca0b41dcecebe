"""The one Typer app that every command registers with."""

from __future__ import annotations

import ipaddress
import sys
from typing import NoReturn

import typer
from pydantic import ValidationError

from backpropd.settings import Settings

app = typer.Typer(
    name="backpropd",
    help="A training service for feed-forward networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def refuse(sentence: str, *, code: int = 1) -> NoReturn:
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


def check_host(host: str, *, without_keys: bool) -> None:
    """Refuse to serve other machines as long as nobody needs a key."""
    if not is_loopback(host) and not without_keys:
        refuse(
            f"{host} can be reached from other machines, and this version has no keys. Listen on "
            "127.0.0.1, or, behind a proxy that asks who is there, say --without-keys."
        )
