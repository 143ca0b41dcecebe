"""`backpropd train`: from a file to a trained network in one command."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from backpropd.cli.app import USAGE, app, refuse
from backpropd.cli.server import HERE, AsJson, Server, connected, definition, print_json
from backpropd.cli.watch import follow
from backpropd.client import Client, Job

EXAMPLES = (
    "Examples:\n\nbackpropd train iris.csv --target species --hidden 8 --watch\n\n"
    "backpropd train builtin:xor --hidden 4 --batch-size all --epochs 2000 --learning-rate 0.5\n\n"
    'backpropd train ds_0197... --network net.json --set \'optimizer={"name": "lbfgs"}\''
)


@app.command(epilog=EXAMPLES)
def train(
    data: Annotated[str, typer.Argument(help="A file, ds_... or builtin:NAME.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help="The column to predict; may be repeated. Default: the last one."),
    ] = None,
    hidden: Annotated[
        str, typer.Option(help="Units of the hidden layers, with commas between them.")
    ] = "16",
    activation: Annotated[str, typer.Option(help="Of the hidden layers.")] = "tanh",
    network: Annotated[
        str | None,
        typer.Option(help="Instead of --hidden: net_..., or a file with a definition in JSON."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes through all rows.")] = 200,
    batch_size: Annotated[str, typer.Option(help='Rows an update, or "all".')] = "16",
    optimizer: Annotated[str, typer.Option(help="How weights move.")] = "adam",
    learning_rate: Annotated[float | None, typer.Option(help="Of the optimizer.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="What is made small; default: what suits the task.")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="The share of rows that is held back to measure on; 0 is none.")
    ] = 0.2,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without improvement.")
    ] = None,
    scaling: Annotated[
        str | None, typer.Option(help="Of an uploaded file's inputs; default: standard.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With it, the same bits again.")] = None,
    name: Annotated[str | None, typer.Option(help="For people; default: the file's name.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; may be repeated.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other field of the job or its training: FIELD=JSON."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """Train a network on a file or a dataset; print the job's id, or with --watch how it goes."""
    settings = {
        "epochs": epochs,
        "batch_size": int(batch_size) if batch_size.isdecimal() else batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "loss": loss,
        "validation": {"fraction": validation} if validation else None,
        "stop": None if patience is None else {"patience": patience, "restore_best": True},
        "scaling": scaling,
        "seed": seed,
        "name": name or (Path(data).stem if _is_file(data) else None),
        "tags": dict(_pair(each, "--tag") for each in tag or ()) or None,
        "target": target or None,
    }
    settings = {key: value for key, value in settings.items() if value is not None}
    settings |= dict(_field(each) for each in set_ or ())
    if _is_file(data) and not Path(data).is_file():
        refuse(f"there is no file {data!r}; a stored dataset is ds_... or builtin:NAME", code=USAGE)
    with connected(server) as client:
        job = _submitted(client, _network(network, hidden), data, activation, settings)
        if watch:
            follow(job, as_json=json)
        elif json:
            print_json(job.info)
        else:
            typer.echo(job.id)


def _submitted(
    client: Client, network: Any, data: str, activation: str, settings: dict[str, Any]
) -> Job:
    try:
        return client.train(network, data, activation=activation, **settings)
    except (TypeError, ValueError) as error:
        refuse(str(error), code=USAGE)


def _is_file(data: str) -> bool:
    return not data.startswith(("ds_", "builtin:"))


def _network(network: str | None, hidden: str) -> Any:
    """An id, a definition from a file, or the units of the hidden layers."""
    if network is None:
        try:
            return [int(units) for units in hidden.split(",") if units.strip()]
        except ValueError:
            refuse(f"--hidden takes numbers of units, like 8 or 16,8; this is {hidden!r}.", code=2)
    return definition(network)


def _pair(text: str, option: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign):
        refuse(f"{option} takes KEY=VALUE; this is {text!r}.", code=USAGE)
    return key, value


def _field(text: str) -> tuple[str, Any]:
    """A field with its value; a word that is no JSON is text."""
    key, value = _pair(text, "--set")
    try:
        return key, json_module.loads(value)
    except ValueError:
        return key, value
