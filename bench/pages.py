"""What the pages cost: the first view, and panning over a curve of a million epochs.

python -m bench.pages
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench import machine
from tests.jobs import mazur_job
from tests.stack import Stack
from tests.web.browser import FLAGS, chromium

ROUNDS = 5
EPOCHS = 1_000_000
PAN_SECONDS = 4.0
# Frames are counted by the browser itself, between the first and the last that it drew.
COUNT_FRAMES = """() => {
  window.frames_drawn = [];
  const next = (now) => { window.frames_drawn.push(now); requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""


def main() -> None:
    """Measure, and print a line for each figure."""
    path = chromium()
    if path is None:
        raise SystemExit("There is no Chromium here to measure in.")
    print(machine.description())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        stack = Stack(Path(folder) / "data")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            for address in ("/", "/step-by-step", "/jobs/new"):
                print(_first_view(browser, stack.address, address))
            print(_panning(browser, stack))
        finally:
            browser.close()
            stack.stop()


def _first_view(browser: Browser, server: str, address: str) -> str:
    """Median bytes and seconds until what the page is for is there, in a browser without a past."""
    wanted = {"/": ".beginnings a", "/step-by-step": ".card .result", "/jobs/new": ".submit button"}
    sizes, times = [], []
    for _ in range(ROUNDS):
        context = browser.new_context(base_url=server)
        page = context.new_page()
        received: list[float] = []
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.loadingFinished", lambda e, r=received: r.append(e["encodedDataLength"])
        )
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.locator(wanted[address]).first.wait_for()
        times.append(time.perf_counter() - began)
        sizes.append(sum(received))
        context.close()
    kilobytes, milliseconds = statistics.median(sizes) / 1000, 1000 * statistics.median(times)
    return f"first view of {address}: {kilobytes:.0f} KB, usable after {milliseconds:.0f} ms"


def _panning(browser: Browser, stack: Stack) -> str:
    """Frames a second while the view is dragged to and fro over part of the curve."""
    job: dict[str, Any] = stack.finished(
        stack.client.submit(mazur_job(epochs=EPOCHS, kernel="compiled"))
    )
    page = browser.new_page(base_url=stack.address, viewport={"width": 1280, "height": 900})
    page.goto(f"/jobs/{job['id']}")
    page.locator("section[data-fine=false] .u-over").wait_for()
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    page.locator("section[data-fine=true]").wait_for()
    frames = _dragged(page)
    gaps = [b - a for a, b in itertools.pairwise(frames)]
    rate = 1000 * len(gaps) / sum(gaps)
    slowest = max(gaps)
    return (
        f"panning over {job['progress']['epoch']:,} epochs: {rate:.0f} frames a second, "
        f"the slowest after {slowest:.0f} ms"
    )


def _dragged(page: Page) -> list[float]:
    """When each frame was drawn, in milliseconds, while the mouse drags with Shift held."""
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    middle, reach, y = box["x"] + box["width"] / 2, box["width"] / 3, box["y"] + 100
    page.keyboard.down("Shift")
    page.mouse.move(middle, y)
    page.mouse.down()
    page.evaluate(COUNT_FRAMES)
    began, step = time.perf_counter(), 0
    while time.perf_counter() - began < PAN_SECONDS:
        step += 1
        page.mouse.move(middle + reach * (1 - abs(step % 80 - 40) / 20), y)
    frames: list[float] = page.evaluate("window.frames_drawn")
    page.mouse.up()
    page.keyboard.up("Shift")
    return frames


if __name__ == "__main__":
    main()
