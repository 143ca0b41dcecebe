"""A backup under a running job, restored into another stack, where it ends to the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import iris_job
from tests.stack import Stack

pytestmark = pytest.mark.system


def backpropd(data: Path, *arguments: str) -> str:
    """What a command says, of the database in this folder."""
    url = f"sqlite:///{data / 'backpropd.sqlite'}"
    done = subprocess.run(
        [sys.executable, "-m", "backpropd.cli", *arguments],
        env=os.environ | {"BACKPROPD_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_job_goes_on_from_a_backup_bit_for_bit(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    file = tmp_path / "backup.sqlite"
    stack = Stack(first)
    try:
        job = stack.client.submit(iris_job(epochs=3000, kernel="plain"))
        for seen in stack.client.watch(job["id"]):
            if seen["progress"]["epoch"] > 500:
                break
        assert "checked" in backpropd(first, "backup", str(file))
        assert "running" == stack.client.job(job["id"])["status"]
        undisturbed = stack.finished(job)
        weights = stack.client.weights(job["id"])
        curve = stack.client.history(job["id"])
    finally:
        stack.stop()

    second.mkdir()
    assert "queued again" in backpropd(second, "restore", str(file))
    stack = Stack(second)
    try:
        there = stack.client.job(job["id"])
        assert there["status"] in ("queued", "running", "succeeded")
        resumed = stack.finished(job)
        assert (resumed["attempt"], undisturbed["attempt"]) == (2, 1)
        assert weights["sha256"] == stack.client.weights(job["id"])["sha256"]
        assert curve == stack.client.history(job["id"])
        assert any(move["reason"] == "restored from a backup" for move in resumed["transitions"])
    finally:
        stack.stop()
