"""`backpropd history` against the real service over a socket: all of a file, or none of it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from typer.testing import CliRunner, Result

from backpropd.cli import app
from backpropd.client import Client
from backpropd.settings import Settings
from backpropd.store.database import Database
from service.app import create_app
from tests.client.place import SilentBell, serving
from tests.jobs import Fake, claim, iris_job, runner

JOB: dict[str, Any] = iris_job() | {"history": {"batches": True, "layers": True}}


@pytest.fixture(scope="module")
def job(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The address of a service, and a job in it that is through."""
    file = tmp_path_factory.mktemp("cli") / "history.sqlite"
    shutil.copy(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    with serving(create_app(Settings(), database=database, bell=SilentBell())) as address:
        with Client(address) as client:
            job_id = client.submit(JOB)["id"]
        runner(database, clock=Fake(1e-6)).run(*claim(database))
        yield address, job_id
    database.dispose()


def said(job: tuple[str, str], *options: str) -> Result:
    address, job_id = job
    return CliRunner().invoke(app, ["history", job_id, "--address", address, *options])


def test_rows_come_to_standard_output(job: tuple[str, str]) -> None:
    answer = said(job, "--metrics", "loss,val_loss", "--from", "29")

    assert 0 == answer.exit_code
    assert ["epoch,loss,val_loss", "29", "30"] == [
        answer.stdout.splitlines()[0],
        *(line.split(",")[0] for line in answer.stdout.splitlines()[1:]),
    ]


def test_a_file_gets_its_name_when_it_is_whole(job: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    answer = said(job, "--format", "parquet", "--output", str(file))
    table = pyarrow.parquet.read_table(file)

    assert (0, [file]) == (answer.exit_code, list(tmp_path.iterdir()))
    assert list(range(1, 31)) == table["epoch"].to_pylist()


def test_batches_and_statistics_come_too(job: tuple[str, str]) -> None:
    batches = said(job, "--rows", "batches", "--format", "npz")
    layers = said(job, "--rows", "layers", "--metrics", "weight_norm")

    assert 240 == len(np.load(io.BytesIO(batches.stdout_bytes))["update"])
    assert "layers.hidden.weight_norm" in layers.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--metrics", "lss"], "Did you mean 'loss'?"),
        (["--by", "time", "--from", "noon"], "with its zone"),
        (["--points", "3"], "greater than or equal to 4"),
    ],
)
def test_a_refusal_is_told_and_leaves_no_file(
    job: tuple[str, str], tmp_path: Path, options: list[str], sentence: str
) -> None:
    answer = said(job, "--output", str(tmp_path / "rows.csv"), *options)

    assert 1 == answer.exit_code
    assert sentence in answer.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    answer = said(("http://127.0.0.1:1", "job_1"), "--output", str(tmp_path / "rows.csv"))

    assert 3 == answer.exit_code
    assert "http://127.0.0.1:1 does not answer" in answer.stderr


def test_the_client_compares_jobs_and_reads_batches(job: tuple[str, str]) -> None:
    address, job_id = job
    with Client(address) as client:
        compared = client.compare([job_id, job_id], points=50, by="update")
        batches = client.batches(job_id, first=2, last=3)
        timed = client.history(job_id, by="time", first=0, metrics=["loss"])

    assert [] == compared["differences"]
    assert [2, 3] == batches["update"]
    assert 30 == len(timed["time"])
