"""`backpropd keys`: the operator's hand on the keys, on the database itself.

The first key can come from nowhere else; others may be made over HTTP by one with scope admin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from backpropd.cli.app import app, refuse, settings
from backpropd.cli.processes import opened
from backpropd.spec.base import Spec, parse
from backpropd.spec.faults import Invalid
from backpropd.spec.keys import KeySpec, RotationSpec
from backpropd.store import keys, owners
from backpropd.store.audit import COMMAND_LINE, Actor
from backpropd.store.database import Database
from backpropd.store.errors import NotFound
from backpropd.store.migrate import check_schema
from backpropd.store.tables import ApiKeyRow

S = TypeVar("S", bound=Spec)

MOST_LISTED = 1000
WIDE = 200  # columns: an id is there to be copied whole
OPERATOR = Actor(COMMAND_LINE)
SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

group = typer.Typer(help="Make, list, replace and revoke keys.", no_args_is_help=True)
app.add_typer(group, name="keys")

KeyId = Annotated[str, typer.Argument(help="key_..., as `backpropd keys list` shows it.")]
Expires = Annotated[
    str | None, typer.Option(help="90d, 12h, 30m, or an instant: 2027-01-31T00:00:00Z.")
]


@group.command()
def create(
    owner: Annotated[str, typer.Option(help="Whose key; made where there is no such owner.")],
    scope: Annotated[str, typer.Option(help="read, write, admin, with commas.")] = "read,write",
    expires: Expires = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
) -> None:
    """Make a key and print it, this once."""
    asked = {"owner": owner, "scopes": [each.strip() for each in scope.split(",")], "name": name}
    spec = _parsed(KeySpec, asked | {"expires_at": _instant(expires)})
    with _database() as database, database.write() as session:
        row, key = keys.create(session, spec, OPERATOR)
    typer.echo(key)
    what = f"{', '.join(row.scopes)} for {owner}"
    typer.echo(f"{row.id}: {what}. Keep it; it isn't shown again.", err=True)


@group.command("list")
def list_() -> None:
    """List the keys of all owners, newest first."""
    with _database() as database, database.read() as session:
        rows = keys.list_page(session, limit=MOST_LISTED, cursor=None).rows
        names = owners.names(session, [row.tenant_id for row in rows])
    table = Table("id", "owner", "prefix", "scopes", "created", "state", "name", box=None)
    for row in rows:
        table.add_row(
            row.id,
            names[row.tenant_id],
            row.prefix,
            ",".join(row.scopes),
            f"{row.created_at:%Y-%m-%d %H:%M}",
            _state(row),
            row.name or "",
        )
    Console(width=WIDE).print(table)


@group.command()
def revoke(key_id: KeyId) -> None:
    """End a key, everywhere within two seconds."""
    with _database() as database, database.write() as session:
        keys.revoke(session, key_id, OPERATOR)
    typer.echo(f"{key_id} is revoked.")


@group.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="For so long the old key goes on: 24h.")] = "24h",
    expires: Expires = None,
) -> None:
    """Make a key in the place of this one and print it, this once."""
    seconds = int(_span("--overlap", overlap).total_seconds())
    spec = _parsed(RotationSpec, {"overlap_seconds": seconds, "expires_at": _instant(expires)})
    with _database() as database, database.write() as session:
        row, key = keys.rotate(session, key_id, spec, OPERATOR)
    typer.echo(key)
    typer.echo(f"{row.id} replaces {key_id}. Keep it; it isn't shown again.", err=True)


@contextmanager
def _database() -> Iterator[Database]:
    """The database of the settings, whose schema is this program's."""
    with opened(settings().database_url) as database:
        check_schema(database)
        with _told():
            yield database


@contextmanager
def _told() -> Iterator[None]:
    """Refusals of the store, in words."""
    try:
        yield
    except NotFound as error:
        refuse(str(error))
    except Invalid as invalid:
        refuse("; ".join(fault.detail for fault in invalid.faults))


def _parsed(spec: type[S], asked: dict[str, Any]) -> S:
    try:
        return parse(spec, asked)
    except Invalid as invalid:
        faults = (f"{fault.pointer.lstrip('/')}: {fault.detail}" for fault in invalid.faults)
        refuse("; ".join(faults), code=2)


def _instant(text: str | None) -> str | None:
    """An instant, of one or of a span from now on."""
    if text is None or SPAN.fullmatch(text) is None:
        return text
    return (datetime.now(UTC) + _span("--expires", text)).isoformat()


def _span(option: str, text: str) -> timedelta:
    found = SPAN.fullmatch(text)
    if found is None:
        refuse(f"{option} is a number and m, h or d, like 24h; this is {text!r}.", code=2)
    return int(found[1]) * UNITS[found[2]]


def _state(row: ApiKeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if not keys.is_alive(row):
        return "expired"
    return f"until {row.expires_at:%Y-%m-%d %H:%M}" if row.expires_at else "valid"
