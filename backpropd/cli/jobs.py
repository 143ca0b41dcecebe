"""`backpropd jobs`, `show`, `compare`, and the wishes `pause`, `resume` and `cancel`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any

import typer

from backpropd.cli.app import app
from backpropd.cli.curves import curves_of, drawn
from backpropd.cli.server import (
    HERE,
    AsJson,
    JobId,
    Server,
    connected,
    print_json,
    print_table,
    when,
)
from backpropd.client import Client

POINTS = 200  # of a curve that is drawn

Filter = Annotated[
    str | None,
    typer.Option("--filter", help="""As 'status = "failed" and metrics.loss.min < 0.1'."""),
]
OrderBy = Annotated[str | None, typer.Option(help="Fields with commas between, and asc or desc.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1)]


@app.command(
    epilog="Examples:\n\nbackpropd jobs\n\n"
    "backpropd jobs --filter 'status = \"succeeded\"' --order-by 'metrics.val_loss.min asc'"
)
def jobs(
    filter_: Filter = None,
    order_by: OrderBy = None,
    limit: Limit = 20,
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """List jobs, newest first where no order is given."""
    with connected(server) as client:
        page = min(limit, 1000)
        found = list(islice(client.jobs(filter_, order_by=order_by, limit=page), limit))
    if json:
        print_json(found)
        return
    print_table(
        ["id", "name", "status", "epoch", "loss", "val_loss", "created"],
        (
            [
                job["id"],
                job["name"],
                job["status"],
                f"{job['progress']['epoch']}/{job['progress']['epochs']}",
                last(job, "loss"),
                last(job, "val_loss"),
                when(job["created_at"]),
            ]
            for job in found
        ),
    )


@app.command(epilog="Examples:\n\nbackpropd show job_0197...\n\nbackpropd show job_0197... --json")
def show(
    job: JobId,
    metrics: Annotated[
        str, typer.Option(help="What to draw, with commas between; default: the losses.")
    ] = "",
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """Show a job: how it stands, what it measures, and its curve."""
    with connected(server) as client:
        found = client.job(job)
        if json:
            print_json(found)
            return
        wanted = [each.strip() for each in metrics.split(",") if each.strip()]
        wanted = wanted or [each for each in ("loss", "val_loss") if each in found["metrics"]]
        curves = client.history(job, metrics=wanted, points=POINTS) if wanted else None
    print_table(["", ""], _about(found))
    if found["metrics"]:
        print_table(
            ["metric", "first", "last", "min", "at epoch", "max", "final"],
            (
                [name, *_numbers(each), found["final"] and found["final"].get(name)]
                for name, each in found["metrics"].items()
            ),
        )
    if curves is not None and curves["epoch"]:
        typer.echo(drawn(curves_of(curves), title="by epoch"))


@app.command(epilog="Examples:\n\nbackpropd compare job_A job_B job_C --metric val_loss")
def compare(
    job: Annotated[list[str], typer.Argument(metavar="JOB...", help="Two or more ids.")],
    metric: Annotated[str, typer.Option(help="Whose curves are drawn.")] = "loss",
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """Show jobs side by side: what they measure, and one metric's curves in one frame."""
    with connected(server) as client:
        together = client.compare(job, metrics=[metric], points=POINTS)
        if json:
            print_json(together)
            return
        found = [client.job(each) for each in job]
    final = list(dict.fromkeys(name for each in found for name in each["final"] or {}))
    print_table(
        ["id", "name", "status", "epochs", f"least {metric}", "at epoch", *final],
        (
            [
                each["id"],
                each["name"],
                each["status"],
                each["progress"]["epoch"],
                _least(each, metric, "min"),
                _least(each, metric, "min_epoch"),
                *((each["final"] or {}).get(name) for name in final),
            ]
            for each in found
        ),
    )
    labels = [each["name"] or each["id"] for each in found]
    curves = [
        (label, curve["epoch"], [float(value) for value in curve["series"].get(metric, [])])
        for label, curve in zip(labels, together["data"], strict=True)
        if metric in curve["series"]
    ]
    typer.echo(drawn(curves, title=f"{metric} by epoch"))


@app.command(epilog="Example:\n\nbackpropd pause job_0197...")
def pause(job: JobId, json: AsJson = False, server: Server = HERE) -> None:
    """Ask a job to stop where it is, to be resumed later."""
    _wish(Client.pause, job, json, server)


@app.command(epilog="Example:\n\nbackpropd resume job_0197...")
def resume(job: JobId, json: AsJson = False, server: Server = HERE) -> None:
    """Let a paused job go on exactly where it stopped."""
    _wish(Client.resume, job, json, server)


@app.command(epilog="Example:\n\nbackpropd cancel job_0197...")
def cancel(job: JobId, json: AsJson = False, server: Server = HERE) -> None:
    """Ask a job to stop for good."""
    _wish(Client.cancel, job, json, server)


def _wish(wish: Callable[[Client, str], dict[str, Any]], job: str, json: bool, server: str) -> None:
    with connected(server) as client:
        found = wish(client, job)
    if json:
        print_json(found)
        return
    typer.echo(f"{job} is {found['status']}, and is to {found['want']}.")


def last(job: dict[str, Any], metric: str) -> float | None:
    """What a metric came to so far."""
    return float(job["metrics"][metric]["last"]) if metric in job["metrics"] else None


def _least(job: dict[str, Any], metric: str, what: str) -> float | None:
    return job["metrics"][metric][what] if metric in job["metrics"] else None


def _numbers(summary: dict[str, Any]) -> list[Any]:
    names = ("first", "last", "min", "min_epoch", "max")
    return [float(summary[n]) if n != "min_epoch" else summary[n] for n in names]


def _about(job: dict[str, Any]) -> list[tuple[str, Any]]:
    done, training = job["progress"], job["training"]
    told = {
        "id": job["id"],
        "name": job["name"],
        "status": job["status"],
        "why": (job["error"] or {}).get("detail") or job["stop_reason"],
        "epoch": f"{done['epoch']:,} of {done['epochs']:,}",
        "place in the queue": job["queue_position"],
        "attempt": job["attempt"],
        "created": when(job["created_at"]),
        "finished": when(job["finished_at"]),
        "dataset": job["dataset"],
        "network": job["network_id"],
        "layers": " -> ".join(
            [str(job["network"]["inputs"])]
            + [
                f"{layer['units']} {_name(layer['activation'])}"
                for layer in job["network"]["layers"]
            ]
        ),
        "loss": _name(training["loss"]),
        "optimizer": _name(training["optimizer"]),
        "batch size": training["batch_size"],
        "seed": training["seed"],
        "kernel": ((job["lineage"] or {}).get("kernel") or {}).get("name"),
    }
    return [(name, value) for name, value in told.items() if value not in (None, "")]


def _name(part: Any) -> str:
    """A part with its settings, in one line."""
    if not isinstance(part, dict):
        return str(part)
    rest = ", ".join(f"{key} {value}" for key, value in part.items() if key != "name")
    return f"{part['name']} ({rest})" if rest else str(part["name"])
