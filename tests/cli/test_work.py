"""What a user does on the command line, against the real stack."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from backpropd.cli import app
from tests.jobs import MAZUR
from tests.stack import Stack
from tests.system.apart import free_port

pytestmark = pytest.mark.system

IRIS_CSV = str(Path(__file__).parents[2] / "examples/iris.csv")
# By the plain path: slow enough to be interrupted, and begun without a compiler.
LONG = ["builtin:xor", "--hidden", "2", "--batch-size", "all", "--epochs", "1000000"]
LONG += ["--set", "kernel=plain"]
ENVIRONMENT = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that the tests of this module share."""
    stack = Stack(tmp_path_factory.mktemp("work") / "data")
    yield stack
    stack.stop()


@pytest.fixture
def say(stack: Stack) -> Any:
    """Say something to `backpropd`, which speaks to the stack."""

    def say(*arguments: str, code: int = 0, **environment: str) -> Result:
        given = ENVIRONMENT | {"BACKPROPD_SERVER": stack.address} | environment
        result: Any = CliRunner().invoke(app, list(arguments), env=given)
        assert code == result.exit_code, result.output
        return result  # type: ignore[no-any-return]

    return say


@pytest.fixture(scope="module")
def trained(stack: Stack) -> str:
    """The id of a job that is through, named iris."""
    job = stack.client.train([8], IRIS_CSV, target="species", epochs=30, seed=7, name="iris")
    return job.wait(60).id


def test_one_command_leads_from_a_file_to_a_trained_network(say: Any) -> None:
    result = say(
        "train", IRIS_CSV, "--target", "species", "--hidden", "8", "--seed", "7", "--watch"
    )

    assert "succeeded after 200 of 200 epochs" in result.stdout
    assert "val_accuracy  " in result.stdout
    assert "200/200 epochs" in result.stderr
    assert "samples/s" in result.stderr


def test_without_watching_the_id_is_all_that_is_printed(say: Any, stack: Stack) -> None:
    tags = ["--tag", "team=a", "--tag", "try=2"]
    more = [
        "--set",
        "priority=7",
        "--set",
        'stop={"loss_below": 0.5}',
        "--set",
        "loss=cross_entropy",
    ]
    job_id = say("train", IRIS_CSV, "--hidden", "8,4", *tags, *more).stdout.strip()
    job = stack.client.job(job_id)

    assert {"team": "a", "try": "2"} == job["tags"]
    assert (7, 0.5) == (job["priority"], job["training"]["stop"]["loss_below"])
    assert [8, 4, 3] == [layer["units"] for layer in job["network"]["layers"]]
    assert "iris" == job["name"]


def test_a_definition_in_a_file_is_trained(say: Any, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(
        json.dumps({"inputs": 2, "layers": [{"units": 1, "activation": "logistic"}]})
    )
    shown = say(
        *["train", "builtin:xor", "--network", str(tmp_path / "net.json"), "--epochs", "3"],
        *["--validation", "0", "--watch", "--json"],
    )
    job = json.loads(shown.stdout)

    assert ("succeeded", "binary_cross_entropy") == (job["status"], job["training"]["loss"])


def test_jobs_are_listed_for_people_and_for_programs(say: Any, trained: str) -> None:
    (line,) = [row for row in say("jobs").stdout.splitlines() if trained in row]
    listed = json.loads(say("jobs", "--json", "--filter", f'id = "{trained}"').stdout)

    assert ["iris", "succeeded", "30/30"] == line.split()[1:4]
    assert [trained] == [job["id"] for job in listed]


def test_a_job_is_shown_with_its_curve(say: Any, trained: str) -> None:
    shown = say("show", trained).stdout

    assert "4 -> 8 tanh -> 3 softmax" in shown
    assert "┤" in shown
    assert "at epoch" in shown
    assert trained == json.loads(say("show", trained, "--json").stdout)["id"]
    assert "accuracy" in say("show", trained, "--metrics", "accuracy").stdout


def test_jobs_are_compared_in_one_frame(say: Any, stack: Stack, trained: str) -> None:
    other = stack.client.attach(trained).clone(name="other", training={"epochs": 5}).wait(60)
    shown = say("compare", trained, other.id).stdout

    assert "least loss" in shown
    assert "┤" in shown
    assert all(name in shown for name in ("iris", "other"))
    assert 2 == len(json.loads(say("compare", trained, other.id, "--json").stdout)["data"])


def test_what_was_learned_is_taken(say: Any, trained: str, tmp_path: Path) -> None:
    shown = say("weights", trained).stdout
    written = say(
        "export", trained, "-o", str(tmp_path / "iris.npz"), "--snapshot", "initial"
    ).stdout

    assert "hidden.weight" in shown
    assert [8, 4] == list(
        np.shape(json.loads(say("weights", trained, "--json").stdout)["weights"]["hidden.weight"])
    )
    assert "iris.npz: " in written
    with np.load(tmp_path / "iris.npz") as archive:
        assert (8, 4) == archive["hidden.weight"].shape


def test_rows_are_predicted(say: Any, trained: str) -> None:
    rows = ["--row", "5.1,3.5,1.4,0.2", "--row", "6.3,3.3,6.0,2.5"]
    shown = say("predict", trained, *rows).stdout.splitlines()

    assert ["class", "setosa", "versicolor", "virginica"] == shown[0].split()
    assert ["setosa", "virginica"] == [line.split()[0] for line in shown[1:]]
    assert 2 == len(json.loads(say("predict", trained, *rows, "--json").stdout)["outputs"])


def test_the_rows_of_a_file_are_predicted(say: Any, trained: str, tmp_path: Path) -> None:
    """Columns are found by their names, and others are not looked at."""
    shown = json.loads(say("predict", trained, IRIS_CSV, "--json").stdout)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")

    assert 150 == len(shown["classes"])
    assert "sepal_length" in say("predict", trained, str(tmp_path / "wrong.csv"), code=1).stderr


@pytest.mark.parametrize("name", ["iris.onnx", "iris.safetensors", "iris.py", "iris.json"])
def test_a_files_name_says_its_format(say: Any, trained: str, tmp_path: Path, name: str) -> None:
    say("export", trained, "-o", str(tmp_path / name))

    assert [name] == [file.name for file in tmp_path.iterdir()]
    assert (tmp_path / name).stat().st_size > 300


def test_a_step_is_traced(say: Any, trained: str, tmp_path: Path, mazur: dict[str, Any]) -> None:
    (tmp_path / "mazur.json").write_text(json.dumps(MAZUR))
    sample = ["--inputs", "0.05,0.10", "--targets", "0.01,0.99"]
    shown = say("trace", "--network", str(tmp_path / "mazur.json"), *sample).stdout

    assert f"{mazur['simultaneous']['0']['error']:.9f}" in shown
    assert "out_h1" in shown
    assert "dE_total" in say("trace", trained, "--row", "3").stdout
    assert "steps" in json.loads(say("trace", trained, "--json").stdout)


def test_networks_and_datasets_are_listed_and_shown(say: Any, stack: Stack, trained: str) -> None:
    job = stack.client.job(trained)

    assert job["network_id"] in say("networks", "--limit", "1000").stdout
    assert "tanh" in say("networks", job["network_id"]).stdout
    assert "setosa, versicolor, virginica" in say("datasets").stdout
    assert "petal_length" in say("datasets", job["dataset_id"]).stdout
    assert "builtin:xor" in say("datasets", "--builtin").stdout
    for arguments in (["networks"], ["networks", job["network_id"]], ["datasets", "--builtin"]):
        assert json.loads(say(*arguments, "--json").stdout)


def test_a_job_is_paused_resumed_and_cancelled(say: Any) -> None:
    job = say("train", *LONG, "--validation", "0").stdout.strip()

    assert f"{job} is " in say("pause", job).stdout
    assert json.loads(say("resume", job, "--json").stdout)["want"] == "run"
    say("cancel", job)
    assert f"{job} cancelled" in say("watch", job, code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["show", "job_none"], 1, "404 There is no job 'job_none'."),
        (["jobs", "--filter", "stat = 3"], 1, "400 /filter: There is no field 'stat'. Did you"),
        (["train", "builtin:xor", "--epochs", "0"], 1, "/training/epochs"),
        (["train", "builtin:xor", "--optimizer", "sgdd"], 1, "Did you mean 'sgd'"),
        (["train", "none.csv"], 2, "there is no file 'none.csv'"),
        (["train", "builtin:xor", "--hidden", "x"], 2, "--hidden takes numbers of units"),
        (["train", "builtin:xor", "--set", "epoch=3"], 2, "Did you mean 'epochs'"),
        (["train", "builtin:xor", "--set", "epochs"], 2, "--set takes KEY=VALUE"),
        (["train", "builtin:xor", "--tag", "=a"], 2, "--tag takes KEY=VALUE"),
        (["train", "builtin:xor", "--scaling", "minmax"], 2, "for an upload"),
        (
            ["train", "builtin:xor", "--network", "none.json"],
            2,
            "--network none.json: No such file",
        ),
        (["train", "builtin:xor", "--network", IRIS_CSV], 2, "is no JSON"),
        (["predict", "job_1"], 2, "give a file, or rows"),
        (["predict", "job_1", "none.csv"], 2, "there is no file"),
        (["trace"], 2, "give a job, or --network"),
        (["trace", "--network", "net_1"], 2, "needs --inputs"),
        (
            ["trace", "--network", "net_1", "--inputs", "a", "--targets", "1"],
            2,
            "--inputs takes numbers",
        ),
        (["export", "job_1", "-o", "weights"], 2, "say --format"),
        (["jobs", "--server", "nonsense"], 2, "--server nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_goes_wrong_has_a_sentence_and_a_status(
    say: Any, arguments: list[str], code: int, sentence: str
) -> None:
    result = say(*arguments, code=code)

    assert result.stderr.startswith("backpropd: ")
    assert sentence in result.stderr
    assert "" == result.stdout


def test_a_server_that_is_not_there_has_a_status_of_its_own(say: Any) -> None:
    address = f"http://127.0.0.1:{free_port()}"

    assert f"no answer from {address}" in say("jobs", code=3, BACKPROPD_SERVER=address).stderr


def test_a_job_that_fails_has_the_status_of_failure(say: Any, tmp_path: Path) -> None:
    rows = io.StringIO()
    csv.writer(rows).writerows([["a", "y"], *([i, 1e6 * i] for i in range(20))])
    (tmp_path / "steep.csv").write_text(rows.getvalue())
    wild = ["--optimizer", "sgd", "--learning-rate", "1e9", "--activation", "linear"]
    result = say("train", str(tmp_path / "steep.csv"), *wild, "--watch", code=1)

    assert "failed after" in result.stdout
    assert "not finite" in result.stdout


def watching(stack: Stack, *, stdin: int, stdout: int | None) -> subprocess.Popen[bytes]:
    """The command that trains and watches, which hears Ctrl-C whoever started these tests.

    Who runs them in the background of a script lets them ignore it, and their children with them.
    """
    command = [
        sys.executable,
        "-m",
        "backpropd.cli",
        "train",
        *LONG,
        "--validation",
        "0",
        "--watch",
    ]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRONMENT | {"BACKPROPD_SERVER": stack.address},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no lock is held
    )


@pytest.mark.parametrize(("answer", "status"), [(b"d\n", "running"), (b"c\n", "cancelled")])
def test_ctrl_c_asks_whether_to_leave_or_to_cancel(
    stack: Stack, answer: bytes, status: str
) -> None:
    """On a terminal, where somebody is there to answer."""
    terminal, end = pty.openpty()
    process = watching(stack, stdin=end, stdout=end)
    newest = _running(stack)
    process.send_signal(signal.SIGINT)
    time.sleep(1)  # it asks
    os.write(terminal, answer)
    _, told = process.communicate(timeout=30)
    for each in (terminal, end):
        os.close(each)
    job = stack.client.job(newest, wait=5) if status == "running" else stack.client.wait(newest)
    stack.client.cancel(newest)

    assert 130 == process.returncode
    assert newest in told.decode()
    assert status == job["status"]


def test_without_a_terminal_ctrl_c_leaves_the_job_alone(stack: Stack) -> None:
    process = watching(stack, stdin=subprocess.DEVNULL, stdout=None)
    newest = _running(stack)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    job = stack.client.job(newest)
    stack.client.cancel(newest)

    assert (130, "running") == (process.returncode, job["status"])
    assert f"{newest} goes on. See it again: backpropd watch {newest}" in told.decode()


def _running(stack: Stack) -> str:
    """The id of the job that runs, as soon as one does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for job in stack.client.jobs('status = "running" and want = "run"'):
            if job["progress"]["epoch"]:
                return str(job["id"])
        time.sleep(0.1)
    raise AssertionError("no job runs")
