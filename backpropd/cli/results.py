"""`backpropd weights`, `export`, `predict` and `trace`: what was learned, and its use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backpropd.cli.app import USAGE, app, refuse
from backpropd.cli.server import (
    HERE,
    AsJson,
    JobId,
    Server,
    Snapshot,
    connected,
    definition,
    numbers,
    print_json,
    print_table,
    which,
)


@app.command(
    epilog="Examples:\n\nbackpropd weights job_0197...\n\n"
    "backpropd weights job_0197... --snapshot best"
)
def weights(
    job: JobId, snapshot: Snapshot = "final", json: AsJson = False, server: Server = HERE
) -> None:
    """Print the weights of a snapshot, a row per unit; `export` writes them to a file."""
    with connected(server) as client:
        found = client.weights(job, which(snapshot))
    if json:
        print_json(found)
        return
    print_table(
        ["weights", "row per unit"],
        ([name, _matrix(values)] for name, values in found["weights"].items()),
    )


@app.command(
    epilog="Examples:\n\nbackpropd export job_0197... -o iris.npz\n\n"
    "backpropd export job_0197... -o iris.onnx --snapshot best"
)
def export(
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    file_format: Annotated[
        str | None, typer.Option("--format", help="Default: by the file's name, .npz or another.")
    ] = None,
    snapshot: Snapshot = "final",
    server: Server = HERE,
) -> None:
    """Write trained weights to a file, whole or not at all."""
    named = {".py": "python"}.get(output.suffix, output.suffix[1:])
    if not (file_format or named):
        refuse("say --format, or give the file a name that ends with it.", code=USAGE)
    with connected(server) as client:
        try:
            client.attach(job).export(output, file_format or named, snapshot=which(snapshot))
        except OSError as error:
            refuse(f"{output}: {error.strerror}")
    typer.echo(f"{output}: {output.stat().st_size:,} bytes")


@app.command(
    epilog="Examples:\n\nbackpropd predict job_0197... --row 5.1,3.5,1.4,0.2\n\n"
    "backpropd predict job_0197... flowers.csv --json"
)
def predict(
    job: JobId,
    file: Annotated[
        Path | None, typer.Argument(help="Rows in any format that datasets may have.")
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="One row, with commas between; may be repeated.")
    ] = None,
    snapshot: Snapshot = "final",
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """Predict for rows of a file, or for rows given here, in their own units."""
    if (file is None) == (not row):
        refuse("give a file, or rows with --row.", code=USAGE)
    if file is not None and not file.is_file():
        refuse(f"there is no file {str(file)!r}", code=USAGE)
    with connected(server) as client:
        if file is not None:
            found = client.predict_file(job, file, snapshot=which(snapshot))
        else:
            rows = [_cells(each) for each in row or ()]
            found = client.predict(job, rows, snapshot=which(snapshot))
    if json:
        print_json(found)
    elif found["classes"] is None:
        names = found.get("targets") or [f"y{i + 1}" for i in range(len(found["outputs"][0]))]
        print_table(names, found["outputs"])
    else:
        names = list(found["probabilities"][0])
        pairs = zip(found["classes"], found["probabilities"], strict=True)
        print_table(["class", *names], ([chosen, *(p[n] for n in names)] for chosen, p in pairs))


@app.command(
    epilog="Examples:\n\nbackpropd trace job_0197... --row 3\n\n"
    "backpropd trace --network mazur.json --inputs 0.05,0.1 --targets 0.01,0.99"
)
def trace(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="A step of this job's weights.")
    ] = None,
    row: Annotated[int, typer.Option(help="Of its dataset, counted from 0.", min=0)] = 0,
    snapshot: Snapshot = "final",
    network: Annotated[
        str | None, typer.Option(help="Instead of a job: net_..., or a file with a definition.")
    ] = None,
    inputs: Annotated[str | None, typer.Option(help="With --network: the sample.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="With --network: what it should give.")
    ] = None,
    loss: Annotated[str, typer.Option(help="With --network.")] = "half_squared_error",
    learning_rate: Annotated[float, typer.Option(help="With --network.")] = 0.5,
    json: AsJson = False,
    server: Server = HERE,
) -> None:
    """Show one training step in full: every number by its textbook name, with its formula."""
    step: dict[str, Any]
    if (job is None) == (network is None):
        refuse("give a job, or --network with --inputs and --targets.", code=USAGE)
    if job is not None:
        step = {"job": job, "snapshot": which(snapshot), "row": row}
    elif inputs is None or targets is None:
        refuse("--network needs --inputs and --targets.", code=USAGE)
    else:
        step = {
            "network": definition(str(network)),
            "inputs": numbers(inputs, "--inputs"),
            "targets": numbers(targets, "--targets"),
            "loss": loss,
            "learning_rate": learning_rate,
        }
    with connected(server) as client:
        found = client.trace(**step)
    if json:
        print_json(found)
        return
    print_table(
        ["phase", "symbol", "value", "formula", "meaning"],
        (
            [s["phase"], s["symbol"], f"{float(s['value']):.9f}", s["formula"], s["meaning"]]
            for s in found["steps"]
        ),
    )


def _cells(text: str) -> list[float | str]:
    """Cells of a row: numbers where they are numbers, else words."""
    cells: list[float | str] = []
    for cell in text.split(","):
        try:
            cells.append(float(cell))
        except ValueError:
            cells.append(cell.strip())
    return cells


def _matrix(values: list[Any]) -> str:
    rows = values if isinstance(values[0], list) else [values]
    return "\n".join("  ".join(f"{float(value): .9f}" for value in row) for row in rows)
