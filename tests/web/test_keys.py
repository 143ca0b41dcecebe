"""The pages on a server that asks for a key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.jobs import mazur_job
from tests.stack import Stack
from tests.system.apart import wait_until
from tests.web.conftest import Watched, accessible

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("web")]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own: a first key closes the door for everybody else."""
    stack = Stack(tmp_path / "data")
    yield stack
    stack.stop()


def test_a_key_is_asked_for_and_sent(
    page: Page, stack: Stack, watched: Watched, tmp_path: Path
) -> None:
    watched.forgiven = ("401",)
    job = stack.finished(stack.client.submit(mazur_job(epochs=3) | {"name": "of the owner"}))
    command = [sys.executable, "-m", "backpropd.cli", "keys", "create"]
    key = subprocess.run(
        [*command, "--owner", "local", "--scope", "read,write"],
        env={"BACKPROPD_DATABASE_URL": f"sqlite:///{tmp_path / 'data' / 'backpropd.sqlite'}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    asked = f"{stack.address}/v1/jobs"
    # For some seconds each process of the API may still believe that there is none.
    wait_until(lambda: all(httpx.get(asked).status_code == 401 for _ in range(8)))
    page.goto("/")
    field = page.get_by_label("This server asks for a key")
    accessible(page)
    field.fill("bp_wrong")
    page.get_by_role("button", name="Use it").click()
    field.fill(key)
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("link", name="of the owner").click()
    expect(page.locator(".epochs")).to_have_text("epoch 3 of 3")
    with page.expect_download() as file:
        page.get_by_role("link", name="csv").click()

    assert 4 == len(Path(file.value.path()).read_text().splitlines())
    assert f"{job['id']}-history.csv" == file.value.suggested_filename
    assert key not in page.url
