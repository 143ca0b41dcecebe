"""`backpropd networks` and `backpropd datasets`: what is stored, and what is built in."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from backpropd.cli.app import app
from backpropd.cli.jobs import Limit
from backpropd.cli.server import (
    HERE,
    AsJson,
    Server,
    connected,
    print_json,
    print_table,
    when,
)

NetworkId = Annotated[str | None, typer.Argument(metavar="[NETWORK]", help="net_...; else all.")]
DatasetId = Annotated[str | None, typer.Argument(metavar="[DATASET]", help="ds_...; else all.")]


@app.command(epilog="Examples:\n\nbackpropd networks\n\nbackpropd networks net_0197... --json")
def networks(
    network: NetworkId = None, limit: Limit = 20, json: AsJson = False, server: Server = HERE
) -> None:
    """List networks, or show the layers of one."""
    with connected(server) as client:
        if network is None:
            found = list(islice(client.networks(limit=min(limit, 1000)), limit))
        else:
            found = [client.network(network)]
    if json:
        print_json(found if network is None else found[0])
    elif network is None:
        print_table(
            ["id", "name", "parameters", "layers", "created"],
            (
                [
                    each["id"],
                    each["name"],
                    each["parameter_count"],
                    " -> ".join(
                        [str(each["definition"]["inputs"])]
                        + [str(layer["units"]) for layer in each["definition"]["layers"]]
                    ),
                    when(each["created_at"]),
                ]
                for each in found
            ),
        )
    else:
        print_table(
            ["layer", "units", "activation", "fed by", "bias"],
            (
                [
                    layer["name"],
                    layer["units"],
                    _short(layer["activation"]),
                    layer["from"],
                    layer["use_bias"],
                ]
                for layer in found[0]["definition"]["layers"]
            ),
        )


@app.command(
    epilog="Examples:\n\nbackpropd datasets\n\nbackpropd datasets ds_0197...\n\n"
    "backpropd datasets --builtin"
)
def datasets(
    dataset: DatasetId = None,
    builtin: Annotated[bool, typer.Option("--builtin", help="Those built in.")] = False,
    limit: Limit = 20,
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """List datasets, or show the columns of one."""
    with connected(server) as client:
        if dataset is not None:
            found = [client.dataset(dataset)]
        elif builtin:
            found = client.builtin_datasets()
        else:
            found = list(islice(client.datasets(limit=min(limit, 1000)), limit))
    if json:
        print_json(found if dataset is None else found[0])
    elif dataset is not None:
        print_table(
            ["column", "role", "kind", "min", "mean", "max", "categories"],
            (
                [column[n] for n in ("name", "role", "kind", "min", "mean", "max", "categories")]
                for column in found[0]["columns"]
            ),
        )
        for warning in found[0]["warnings"]:
            typer.echo(f"warning: {warning}")
    elif builtin:
        names = ("name", "task", "rows", "inputs", "targets", "description")
        print_table(names, ([each[n] for n in names] for each in found))
    else:
        print_table(
            ["id", "name", "task", "rows", "inputs", "classes", "created"],
            (
                [
                    each["id"],
                    each["name"],
                    each["task"],
                    each["rows"],
                    len(each["inputs"]),
                    each["classes"],
                    when(each["created_at"]),
                ]
                for each in found
            ),
        )


def _short(part: object) -> object:
    return part["name"] if isinstance(part, dict) else part
