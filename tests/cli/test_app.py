"""What the command line says when it is asked, and when it is asked for what cannot be."""

from __future__ import annotations

import fcntl
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from backpropd.cli import app
from backpropd.settings import Settings
from tests.system.apart import free_port

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}  # no sentence is broken or coloured
COMMANDS = [
    *["api", "backup", "cancel", "compare", "datasets", "demo", "doctor", "export", "history"],
    *["jobs", "keys", "migrate", "networks", "parts", "pause", "predict", "reconcile", "restore"],
    *["resume", "show", "trace", "train", "up", "watch", "weights", "worker"],
]
PROCESSES = ["api", "worker", "reconcile", "migrate"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this shell, and a folder in which nothing is."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKPROPD_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def backpropd(*arguments: str, **environment: str) -> Result:
    result: Any = CliRunner().invoke(app, list(arguments), env=WIDE | environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result  # type: ignore[no-any-return]


def migrated_in(folder: Path) -> dict[str, str]:
    """The environment of commands on a new database in this folder."""
    environment = {"BACKPROPD_DATABASE_URL": f"sqlite:///{folder / 'some.sqlite'}"}
    assert 0 == backpropd("migrate", **environment).exit_code
    return environment


def test_without_a_command_all_of_them_are_listed() -> None:
    result = backpropd()

    assert sorted(COMMANDS) == sorted(
        [command.name or command.callback.__name__ for command in app.registered_commands]
        + [group.name for group in app.registered_groups]
    )
    assert all(f" {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(command: str) -> None:
    result = backpropd(command, "--help")

    assert 0 == result.exit_code
    assert f"Usage: backpropd {command}" in result.output.replace("root ", "backpropd ")
    assert len(result.output.splitlines()[3].strip()) > 10  # its sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bogus"], "No such option: --bogus"),
        (["frob"], "No such command 'frob'"),
        (["up", "--bogus"], "No such option: --bogus"),
        (["up", "--port", "99999"], "Invalid value for '--port'"),
        (["up", "--port", "http"], "Invalid value for '--port'"),
        (["up", "--workers", "0"], "Invalid value for '--workers'"),
        (["worker", "--slots", "0"], "Invalid value for '--slots'"),
        (["worker", "extra"], "unexpected extra argument"),
        (["api", "--port", "-1"], "Invalid value for '--port'"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_is_told(arguments: list[str], sentence: str) -> None:
    result = backpropd(*arguments)

    assert 2 == result.exit_code
    assert sentence in result.output


@pytest.mark.parametrize("command", PROCESSES)
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SLOTS", "many", "BACKPROPD_SLOTS: Input should be a valid integer"),
        ("LEASE_SECONDS", "-1", "BACKPROPD_LEASE_SECONDS: Input should be greater than 0"),
        ("LOG_LEVEL", "LOUD", "BACKPROPD_LOG_LEVEL: Input should be 'DEBUG'"),
        ("DATABASE_URL", "nonsense", "BACKPROPD_DATABASE_URL: no address; one is sqlite:///FILE"),
        ("DATABASE_URL", "mysql://h/d", "mysql is neither sqlite nor postgresql"),
        ("DATABASE_URL", "sqlite:////none/x", "no answer from sqlite:////none/x: unable to open"),
    ],
)
def test_a_setting_that_means_nothing_is_told_by_its_name(
    command: str, name: str, value: str, sentence: str
) -> None:
    result = backpropd(command, **{f"BACKPROPD_{name}": value})

    assert 1 == result.exit_code
    assert result.stderr.startswith("backpropd: ")
    assert sentence in result.stderr


def test_all_wrong_settings_are_told_at_once() -> None:
    result = backpropd("migrate", BACKPROPD_SLOTS="0", BACKPROPD_BEAT_SECONDS="x")

    assert "BACKPROPD_SLOTS: " in result.stderr
    assert "BACKPROPD_BEAT_SECONDS: " in result.stderr


@pytest.mark.parametrize("command", ["api", "worker", "reconcile"])
def test_a_database_that_nobody_migrated_is_refused(command: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    result = backpropd(command, BACKPROPD_DATABASE_URL=url)

    assert 1 == result.exit_code
    assert url in result.stderr
    assert "run `backpropd migrate`" in result.stderr


def test_migrating_says_what_is_now_where(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    for _ in range(2):
        result = backpropd("migrate", BACKPROPD_DATABASE_URL=url)

        assert (0, f"{url} is at this version's schema.\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "db.internal"])
@pytest.mark.parametrize("command", ["up", "api"])
def test_other_machines_are_refused_without_keys(command: str, host: str, tmp_path: Path) -> None:
    environment = migrated_in(tmp_path)
    folder = ["--data", str(tmp_path)] if command == "up" else []
    result = backpropd(command, "--host", host, *folder, **environment)

    assert 1 == result.exit_code
    assert f"{host} can be reached from other machines" in result.stderr
    assert "backpropd keys create" in result.stderr


def test_a_second_start_on_a_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = backpropd("up", "--port", "0", "--data", str(tmp_path))

    assert 3 == result.exit_code
    assert f"another `backpropd up` runs on {tmp_path}" in result.stderr
    assert "--data" in result.stderr


def test_a_port_that_is_taken_is_told_before_anything_begins(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = backpropd("up", "--port", str(port), "--data", str(tmp_path / "data"))

    assert 3 == result.exit_code
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr
    assert ["lock"] == [file.name for file in (tmp_path / "data").iterdir()]


def test_an_address_that_is_not_here_is_told(tmp_path: Path) -> None:
    environment = migrated_in(tmp_path)
    backpropd("keys", "create", "--owner", "a", **environment)
    result = backpropd("up", "--host", "192.0.2.1", "--data", str(tmp_path), **environment)

    assert 3 == result.exit_code
    assert "cannot listen on 192.0.2.1:8000" in result.stderr


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = backpropd("up", "--data", str(tmp_path / "file"))

    assert 1 == result.exit_code
    assert f"cannot make the folder {tmp_path / 'file'}: File exists" in result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize(
    ("folder", "sentence"),
    [("/proc", "cannot write in the folder /proc"), ("/proc/data", "cannot make the folder")],
)
def test_a_folder_in_which_nobody_can_write_is_told(folder: str, sentence: str) -> None:
    """Not even root, who may write anywhere else."""
    result = backpropd("up", "--data", folder)

    assert 1 == result.exit_code
    assert sentence in result.stderr


def test_a_database_that_up_is_given_and_cannot_reach_is_told(tmp_path: Path) -> None:
    url = f"postgresql://user:secret@127.0.0.1:{free_port()}/none"
    result = backpropd("up", "--port", "0", "--data", str(tmp_path), BACKPROPD_DATABASE_URL=url)

    assert 1 == result.exit_code
    assert "no answer from postgresql+psycopg://user:***@127.0.0.1" in result.stderr
    assert "secret" not in result.stderr


def test_a_part_that_is_not_installed_is_told_by_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backpropd.store.database.find_spec", lambda name: None)
    result = backpropd("migrate", BACKPROPD_DATABASE_URL="postgresql://h/d")

    assert 1 == result.exit_code
    assert "pip install 'backpropd[postgres]'" in result.stderr
