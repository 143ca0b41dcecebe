"""The pictures of the README, taken from pages that work; and what a first view costs.

They are written to docs/images where BACKPROPD_PICTURES is set, else only taken.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.jobs import iris_job
from tests.stack import Stack
from tests.web.conftest import IMAGES

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("web")]

MOST_BYTES = 200_000  # of a picture in the repository
FIRST_VIEW_BYTES = 200_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where pictures go."""
    return IMAGES if os.environ.get("BACKPROPD_PICTURES") else tmp_path


def taken(page: Page, folder: Path, name: str, height: int) -> None:
    """Take a picture of the top of the page; it is small and no blank sheet."""
    page.set_viewport_size({"width": 1200, "height": height})
    page.mouse.move(0, 0)
    content = page.screenshot(path=folder / f"{name}.png", animations="disabled")
    width, _ = struct.unpack(">II", content[16:24])

    assert 1200 == width
    assert 15_000 < len(content) < MOST_BYTES


def test_step_by_step(page: Page, folder: Path) -> None:
    page.goto("/step-by-step")
    page.get_by_role("button", name="d E total by d w5 equals 0.082167041").click()
    expect(page.locator(".card .result")).to_have_text("0.082167041")
    page.evaluate("scrollTo(0, 0)")
    taken(page, folder, "step-by-step", 840)


def test_a_job_and_a_comparison(page: Page, stack: Stack, folder: Path) -> None:
    jobs = []
    for name, rate in (("iris, rate 0.05", 0.05), ("iris, rate 0.005", 0.005)):
        optimizer = {"name": "sgd", "learning_rate": rate, "momentum": 0.9}
        job = iris_job(epochs=300, optimizer=optimizer) | {"name": name}
        jobs.append(stack.finished(stack.client.submit(job))["id"])
    page.goto(f"/jobs/{jobs[0]}")
    expect(page.locator(".confusion")).to_be_visible()
    taken(page, folder, "job", 1000)
    page.goto(f"/compare?jobs={','.join(jobs)}")
    expect(page.locator(".u-legend")).to_be_visible()
    taken(page, folder, "compare", 900)


def test_the_network_in_the_dark(page: Page, stack: Stack, folder: Path) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto("/")
    page.get_by_role("button", name="Watch XOR being learned").click()
    expect(page.locator(".epochs")).to_have_text("epoch 600 of 600")
    page.get_by_role("link", name="Network").click()
    page.locator(".surface[data-epoch='600']").wait_for()
    taken(page, folder, "network", 760)


@pytest.mark.parametrize("address", ["/", "/step-by-step", "/jobs/new"])
def test_a_first_view_is_small(page: Page, address: str) -> None:
    """
    Files as they travel to a browser that has never been here.
    """
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda end: sizes.append(end["encodedDataLength"]))
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()

    assert 10 < len(sizes)
    assert sum(sizes) < FIRST_VIEW_BYTES
