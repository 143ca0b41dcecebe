"""`backpropd history`: a job's rows as a file that any tool reads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer

from backpropd.cli.app import UNREACHABLE, app, refuse
from backpropd.client import Client, Problem


class Format(StrEnum):
    """What a file of rows may be."""

    CSV = "csv"
    NDJSON = "ndjson"
    NPZ = "npz"
    PARQUET = "parquet"


class Rows(StrEnum):
    """What was written down."""

    HISTORY = "history"
    BATCHES = "batches"
    LAYERS = "layers"


BINARY = (Format.NPZ, Format.PARQUET)


@app.command()
def history(
    job: Annotated[str, typer.Argument(help="The job's id: job_...")],
    format_: Annotated[Format, typer.Option("--format", help="The file's format.")] = Format.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; without it, standard output.")
    ] = None,
    rows: Annotated[
        Rows, typer.Option(help="Rows of epochs, of batches, or of layers' statistics.")
    ] = Rows.HISTORY,
    metrics: Annotated[
        str, typer.Option(help="Names with commas between them; default: all.")
    ] = "",
    by: Annotated[
        str | None, typer.Option(help="What --from and --to count: epoch, update or time.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="The first row.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last row, included.")] = None,
    points: Annotated[int | None, typer.Option(help="At most so many rows.")] = None,
    method: Annotated[
        str | None, typer.Option(help="How rows are chosen: minmax, lttb or mean.")
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            "--server", "--address", envvar="BACKPROPD_SERVER", help="The server's address."
        ),
    ] = "http://127.0.0.1:8000",
) -> None:
    """Write every epoch of a job to a file, or to standard output."""
    if output is None and format_ in BINARY and sys.stdout.isatty():
        refuse(f"{format_} is nothing for a terminal; say --output FILE.", code=2)
    with Client(address) as client:
        pieces = client.history_file(
            job,
            file_format=format_,
            rows=rows,
            metrics=[name for name in metrics.split(",") if name],
            by=by,
            first=first,
            last=last,
            points=points,
            method=method,
        )
        try:
            _write(pieces, output)
        except Problem as problem:
            refuse("; ".join(each["detail"] for each in problem.errors) or str(problem))
        except httpx.HTTPError as error:
            refuse(f"{address} does not answer, or broke off: {error}", code=UNREACHABLE)
        except OSError as error:
            refuse(f"{output or 'standard output'}: {error.strerror}")


def _write(pieces: Iterator[bytes], output: Path | None) -> None:
    """All of it or nothing: a file gets its name when it is whole."""
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f"{output.name}.part")
    try:
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(partial, output)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
