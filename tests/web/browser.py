"""The browser that the pages are tested in: the system's Chromium, found or installed.

`python -m tests.web.browser` installs Debian's package where there is none and that is possible;
`make test` calls it. Where it is not possible the tests of the pages say by name that they were
not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium alone would draw every letter as a box on a machine that has no font.
PACKAGES = ("chromium", "fonts-liberation", "fonts-noto-core")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
INSTALL_SECONDS = 240


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def install() -> str:
    """What came of trying to have a Chromium, as a sentence."""
    if found := chromium():
        return f"The pages are tested in {found}."
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return (
            "No Chromium here, and no right to install one: the tests of the pages are NOT RUN. "
            "Install the package chromium to run them."
        )
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    if found := chromium():
        return f"Installed {found}, to test the pages in."
    return f"Chromium could not be installed, the tests of the pages are NOT RUN:\n{done.stderr}"


if __name__ == "__main__":
    try:
        print(install())
    except (OSError, subprocess.SubprocessError) as error:
        print(f"Chromium could not be installed, the tests of the pages are NOT RUN: {error}")
    sys.exit(0)
