"""`backpropd demo`: the whole way, from a definition to a queryable history, in one minute.

It starts the embedded stack in a temporary folder, trains two classics over HTTP, prints what the
service answers, and stops what it started. It knows nothing that any other client would not.
"""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backpropd.cli.app import app
from backpropd.cli.curves import curves_of, drawn
from backpropd.client import Client
from backpropd.data.builtin import builtin

READY_SECONDS = 60
STOP_SECONDS = 15
HELD_OUT_EACH = 10  # flowers of each species that the demo keeps back for its own test

MAZUR: dict[str, Any] = {
    "name": "mazur",
    "inputs": 2,
    "layers": [
        {
            "name": "hidden",
            "units": 2,
            "activation": "logistic",
            "weights": [[0.15, 0.20], [0.25, 0.30]],
            "biases": [0.35, 0.35],
            "train_biases": False,
        },
        {
            "name": "output",
            "units": 2,
            "activation": "logistic",
            "weights": [[0.40, 0.45], [0.50, 0.55]],
            "biases": [0.60, 0.60],
            "train_biases": False,
        },
    ],
}
MAZUR_SAMPLE: dict[str, Any] = {"inputs": [[0.05, 0.10]], "targets": [[0.01, 0.99]]}


@app.command()
def demo() -> None:
    """Start the stack, train Mazur's example and iris over HTTP, show everything, stop."""
    console = Console(width=100)
    with embedded_stack(console) as address, Client(address) as client:
        train_mazur(client, console)
        train_iris(client, console)
    console.print("\nStopped what was started. Yours to play with: [bold]make up[/bold]")


@contextmanager
def embedded_stack(console: Console) -> Iterator[str]:
    """The address of a `backpropd up` on a free port, over a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="backpropd-demo-") as folder:
        command = [sys.executable, "-m", "backpropd.cli", "up", "--port", "0", "--data", folder]
        stack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
        try:
            yield _address(stack, console)
        finally:
            stack.send_signal(signal.SIGTERM)
            stack.wait(STOP_SECONDS)


def _address(stack: subprocess.Popen[str], console: Console) -> str:
    assert stack.stdout is not None
    console.print("Starting broker, API, worker and reconciler ...")
    for line in stack.stdout:
        if line.startswith("ready "):
            address = line.split()[1]
            console.print(f"They answer at {address}\n")
            return address
    console.print("[red]The stack did not start; what it said stands above.[/red]")
    raise typer.Exit(1)


def train_mazur(client: Client, console: Console) -> None:
    """Job one: the worked example, its printed figures taken from the service's answers."""
    console.rule("Mazur's worked example (2-2-2, one sample, online)")
    network = client.create_network(MAZUR)
    job = watch(client, console, client.submit(mazur_job(network["id"], epochs=10_000)))
    history = client.history(job["id"], metrics=["loss"])["series"]["loss"]
    layerwise_job = mazur_job(network["id"], epochs=2, update_order="layerwise")
    layerwise = watch(client, console, client.submit(layerwise_job))
    layerwise_loss = client.history(layerwise["id"], metrics=["loss"])["series"]["loss"]

    table = Table("what", "from the service", "in the article")
    table.add_row("error before any update", f"{history[0]:.9f}", "0.298371109")
    table.add_row("error after one update", f"{history[1]:.9f}", "by its text")
    table.add_row("  ... updating layer by layer", f"{layerwise_loss[1]:.9f}", "0.291027924")
    table.add_row("error of the 10,000th pass", f"{history[9_999]:.10f}", "0.0000351085")
    console.print(table)
    console.print(
        "Why two: its text takes every delta from old weights; its program moved the output first."
    )
    print_weights(console, client.weights(job["id"])["weights"])
    outputs = client.predict(job["id"], MAZUR_SAMPLE["inputs"])["outputs"][0]
    console.print(
        f"Prediction for {MAZUR_SAMPLE['inputs'][0]}: {outputs[0]:.9f} {outputs[1]:.9f} "
        f"(targets {MAZUR_SAMPLE['targets'][0]})\n"
    )


def mazur_job(network: str, *, epochs: int, **training: Any) -> dict[str, Any]:
    """The job of the article: half squared error, rate 0.5, one sample over and over."""
    return {
        "name": "mazur",
        "network": network,
        "dataset": MAZUR_SAMPLE,
        "training": {
            "epochs": epochs,
            "batch_size": 1,
            "loss": "half_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 0.5},
            **training,
        },
    }


def train_iris(client: Client, console: Console) -> None:
    """Job two: a CSV file as an upload, a validation curve, and flowers it has never seen."""
    console.rule("Iris (4-7-3, mini-batches, from a CSV upload)")
    content, flowers, species = iris_csv()
    dataset = client.upload_csv(content, name="iris", scaling="standard")
    console.print(f"Uploaded {dataset['rows']} rows as {dataset['id']}")
    job = watch(client, console, client.submit(iris_job(dataset["id"])))

    curves = client.history(job["id"], metrics=["loss", "val_loss"], points=200)
    print(drawn(curves_of(curves), title="cross-entropy by epoch"))
    accuracy = job["final"]["val_accuracy"]
    console.print(f"Validation accuracy with the final weights: {accuracy:.1%}")
    predicted = client.predict(job["id"], flowers)["classes"]
    right = sum(guess == truth for guess, truth in zip(predicted, species, strict=True))
    console.print(
        f"Test accuracy on {len(species)} flowers that were never uploaded: "
        f"{right / len(species):.1%} ({right} of {len(species)})"
    )


def iris_job(dataset: str) -> dict[str, Any]:
    """McCaffrey's usual size for iris, with a fixed seed so that everybody sees the same."""
    return {
        "name": "iris",
        "network": {
            "inputs": 4,
            "layers": [
                {"units": 7, "activation": "tanh"},
                {"units": 3, "activation": "softmax"},
            ],
        },
        "dataset": dataset,
        "training": {
            "epochs": 300,
            "batch_size": 16,
            "loss": "cross_entropy",
            "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
            "validation": {"fraction": 0.2},
            "seed": 7,
        },
        "snapshots": {"best": "val_loss"},
    }


def iris_csv() -> tuple[bytes, list[list[float]], list[str]]:
    """Iris as a CSV file to send, and beside it the flowers and species held back as a test."""
    iris = builtin("iris")
    assert iris.classes is not None
    rows = iris.inputs.tolist()
    species = [iris.classes[number] for number in iris.targets.argmax(axis=1)]
    seen: dict[str, int] = {}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*iris.input_names, "species"])
    flowers: list[list[float]] = []
    truths: list[str] = []
    for row, name in zip(rows, species, strict=True):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= HELD_OUT_EACH:
            flowers.append(row)
            truths.append(name)
        else:
            writer.writerow([*row, name])
    return text.getvalue().encode(), flowers, truths


def watch(client: Client, console: Console, job: dict[str, Any]) -> dict[str, Any]:
    """Follow a job to its end with a progress bar; leave the demo where it did not succeed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:,.0f} of {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(f"{job['name']} {job['id']}", total=job["progress"]["epochs"])
        seen = job
        for seen in client.watch(job["id"]):
            bars.update(bar, completed=seen["progress"]["epoch"])
    if seen["status"] != "succeeded":
        console.print(f"[red]{seen['id']} {seen['status']}: {seen['error']}[/red]")
        raise typer.Exit(1)
    return seen


def print_weights(console: Console, weights: dict[str, Any]) -> None:
    """Every array of a snapshot under its name, a row per unit."""
    table = Table("weights", "row per unit")
    for name, values in weights.items():
        rows = values if isinstance(values[0], list) else [values]
        table.add_row(name, "\n".join("  ".join(f"{value: .9f}" for value in row) for row in rows))
    console.print(table)
