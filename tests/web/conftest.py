"""A real stack, a real browser, and what holds on every page whatever a test does there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.databases import need
from tests.stack import Stack
from tests.web.browser import FLAGS, chromium

PATIENCE_MS = 20_000  # the machine may be busy with other tests
SERIOUS = ("serious", "critical")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack that the tests of the pages share."""
    stack = Stack(tmp_path_factory.mktemp("web") / "data")
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; where there is none, the tests that need it say so."""
    need("chromium")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine; `make test` says why")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@dataclass
class Watched:
    """What a browser did that no page may do."""

    home: str
    faults: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = ()  # what a test provokes itself

    def follow(self, context: BrowserContext) -> None:
        """Note console errors, exceptions, and requests that leave the server."""
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._note(str(error.error)))
        context.on("request", lambda request: self._leaves(request.url))

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self._note(f"{said.text} ({said.location.get('url')})")

    def _leaves(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self._note(f"a request to {url}")

    def _note(self, fault: str) -> None:
        self.faults.append(fault)

    def unforgiven(self) -> list[str]:
        """What nobody had asked for."""
        return [each for each in self.faults if not any(f in each for f in self.forgiven)]


@pytest.fixture
def watched(stack: Stack) -> Watched:
    """What the pages of this test did wrong."""
    return Watched(stack.address)


@pytest.fixture
def context(browser: Browser, stack: Stack, watched: Watched) -> Iterator[BrowserContext]:
    """A browser without a past; no console error and no request elsewhere is let through."""
    context = browser.new_context(
        base_url=stack.address, viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.follow(context)
    yield context
    context.close()
    assert not watched.unforgiven()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of that browser."""
    return context.new_page()


def accessible(page: Page) -> None:
    """Assert that axe-core finds nothing serious."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in SERIOUS]
    shown = [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious]

    assert not shown


def fits(page: Page) -> None:
    """Assert that nothing makes the page wider than a phone."""
    page.set_viewport_size({"width": 360, "height": 740})

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


IMAGES = Path(__file__).parents[2] / "docs" / "images"
