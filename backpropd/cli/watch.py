"""`backpropd watch`: a job's progress in the terminal, which can be left or ended by Ctrl-C."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backpropd.cli.app import INTERRUPTED, REFUSED, app
from backpropd.cli.server import (
    HERE,
    AsJson,
    JobId,
    Server,
    connected,
    console,
    print_json,
    print_table,
)
from backpropd.client import Job

ENDINGS = {"c": "cancel", "d": "detach", "": "detach"}


@app.command(
    epilog="Examples:\n\nbackpropd watch job_0197...\n\n"
    "backpropd watch job_0197... --json > job.json"
)
def watch(job: JobId, json: AsJson = False, server: Server = HERE) -> None:
    """Follow a job to its end; Ctrl-C asks whether to leave it or to cancel it."""
    with connected(server) as client:
        follow(client.attach(job), as_json=json)


def follow(job: Job, *, as_json: bool) -> None:
    """Show how a job goes until it has ended, then what came out; leave with 1 if it failed."""
    try:
        _progress(job)
    except KeyboardInterrupt:
        _leave(job)
    if as_json:
        print_json(job.info)
    else:
        print_outcome(job.info)
    if job.status != "succeeded":
        raise typer.Exit(REFUSED)


def _progress(job: Job) -> None:
    columns = (
        TextColumn("{task.fields[state]}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} epochs"),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as bars:
        bar = bars.add_task("", total=job.info["progress"]["epochs"], **fields(job.info))
        for seen in job.watch():
            bars.update(bar, completed=seen.info["progress"]["epoch"], **fields(seen.info))


def fields(info: dict[str, Any]) -> dict[str, Any]:
    """What is told beside the bar: the state, the losses and the rate."""
    told = []
    for metric in ("loss", "val_loss"):
        if metric in info["metrics"]:
            told.append(f"{metric} {float(info['metrics'][metric]['last']):.6g}")
    rate = info["progress"]["samples_per_second"]
    return {
        "state": info["status"],
        "loss": "  ".join(told),
        "rate": "" if rate is None else f"{rate:,.0f} samples/s",
    }


def _leave(job: Job) -> None:
    """Ask what Ctrl-C meant, where somebody is there to answer; nothing is lost by leaving."""
    asked = sys.stdin.isatty()
    if asked and _answer() == "cancel":
        job.cancel()
        typer.echo(f"{job.id} is asked to stop.", err=True)
    else:
        typer.echo(f"{job.id} goes on. See it again: backpropd watch {job.id}", err=True)
    raise typer.Exit(INTERRUPTED)


def _answer() -> str:
    while True:
        try:
            said = input("\n[d]etach and let it train, or [c]ancel it? (d) ").strip().lower()
        except (KeyboardInterrupt, EOFError):
            return "detach"
        if said[:1] in ENDINGS:
            return ENDINGS[said[:1]]


def print_outcome(info: dict[str, Any]) -> None:
    """How a job ended, and what its final weights measure."""
    done = info["progress"]
    told = f"{info['id']} {info['status']} after {done['epoch']:,} of {done['epochs']:,} epochs"
    why = (info["error"] or {}).get("detail") or info["stop_reason"]
    typer.echo(told if why in (None, "epochs") else f"{told}: {why}")
    if info["final"]:
        print_table(["final", ""], info["final"].items())
