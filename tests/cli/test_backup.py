"""backup and restore as commands: what they say, and how they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from backpropd.cli.app import app
from backpropd.store.database import Database
from tests.jobs import mazur_job, submit

runner = CliRunner()


def test_a_backup_is_made_and_restored(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url)
    submit(database, mazur_job())
    database.dispose()
    file, other = tmp_path / "backup.sqlite", tmp_path / "other.sqlite"
    monkeypatch.setenv("BACKPROPD_DATABASE_URL", database_url)
    made = runner.invoke(app, ["backup", str(file)])
    again = runner.invoke(app, ["backup", str(file)])
    monkeypatch.setenv("BACKPROPD_DATABASE_URL", f"sqlite:///{other}")
    restored = runner.invoke(app, ["restore", str(file)])
    twice = runner.invoke(app, ["restore", str(file)])

    assert 0 == made.exit_code
    assert f"{file}: 1 jobs" in made.output
    assert (1, True) == (again.exit_code, "exists already" in again.output)
    assert 0 == restored.exit_code
    assert "1 jobs. What was running is queued again." in restored.output
    assert (1, True) == (twice.exit_code, "holds a job already" in twice.output)


def test_no_backup_and_no_folder_are_told(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKPROPD_DATABASE_URL", database_url)
    nowhere = runner.invoke(app, ["backup", str(tmp_path / "none" / "file")])
    missing = runner.invoke(app, ["restore", str(tmp_path / "none")])
    (tmp_path / "text").write_text("no backup")
    text = runner.invoke(app, ["restore", str(tmp_path / "text")])

    assert (1, True) == (nowhere.exit_code, "cannot write" in nowhere.output)
    assert (1, True) == (missing.exit_code, "is no file" in missing.output)
    assert (1, True) == (text.exit_code, "is no backup" in text.output)
