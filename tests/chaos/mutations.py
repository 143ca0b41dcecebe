"""Whether the tests can fail: takes away one protection at a time, and runs those that must notice.

    python -m tests.chaos.mutations

Each mutant is a copy of the tree with one change. Exits with 1 where a mutant survives, or where a
test fails although nothing was changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
COPIED = ("backpropd", "service", "worker", "migrations", "tests")
FILES = ("pyproject.toml", "docker-compose.yml")
CHAOS = "tests/chaos/test_chaos.py"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A protection, how it is taken away, and the tests that must go red."""

    name: str
    file: str
    inside: str  # the function in which it stands
    before: str
    after: str
    tests: Sequence[str]
    only: str  # pytest's -k


MUTATIONS = [
    Mutation(
        "the fence: a beat no longer names its attempt",
        "backpropd/store/leases.py",
        "def beat(",
        "            JobRow.attempt == lease.attempt,\n",
        "",
        [CHAOS, "tests/worker/test_resume.py", "tests/store/test_leases.py"],
        "sqlite and (zombie or old_lease or lost_the_lease)",
    ),
    Mutation(
        "the rescue's compare-and-set: it no longer names the beat it saw",
        "backpropd/store/leases.py",
        "def rescue(",
        "            JobRow.beat == beat,\n",
        "",
        ["tests/worker/test_reconciler.py", "tests/store/test_leases.py"],
        "sqlite",
    ),
    Mutation(
        "the fallback: a damaged checkpoint is not passed over",
        "worker/runner.py",
        "def begin(",
        "except (Corrupt, ValueError):",
        "except ZeroDivisionError:",
        [CHAOS, "tests/worker/test_resume.py"],
        "sqlite and damaged",
    ),
    Mutation(
        "the checksum: content is read as it comes",
        "backpropd/store/snapshots.py",
        "def content(",
        "    if sha256_hex(row.content) != snapshot.sha256:\n        raise Corrupt\n",
        "",
        ["tests/worker/test_resume.py", "tests/store/test_snapshots.py"],
        "sqlite and (damaged or corrupt or changed)",
    ),
    Mutation(
        "the second ring: the reconciler rings for nobody",
        "worker/reconciler.py",
        "def call(",
        "            self.ring()\n",
        "            pass\n",
        [CHAOS, "tests/worker/test_reconciler.py"],
        "sqlite and (after_commit or bell)",
    ),
]


def copy_to(folder: Path) -> None:
    """The tree, without what it was made from."""
    for name in COPIED:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)


def mutate(folder: Path, mutation: Mutation) -> None:
    """Take the protection away; raises ValueError where it is not found once."""
    file = folder / mutation.file
    text = file.read_text()
    start = text.index(mutation.inside)
    end = text.find("\ndef ", start + 1)
    body = text[start : end if end > 0 else None]
    if mutation.before not in body:
        raise ValueError(f"{mutation.file}: {mutation.inside} has no {mutation.before!r}")
    mutated = body.replace(mutation.before, mutation.after, 1)
    file.write_text(text[:start] + mutated + text[start + len(body) :])


def failed(folder: Path, tests: Sequence[str], only: str) -> tuple[int, list[str]]:
    """How many of these tests ran there, and the names of those that failed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BACKPROPD_CHAOS_PATIENCE": "25",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only, *tests]
    ran = subprocess.run(
        command, check=False, capture_output=True, cwd=folder, env=environment, text=True
    )
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    counts = re.findall(r"(\d+) (?:passed|failed)", ran.stdout.splitlines()[-1])
    return sum(map(int, counts)), names


def main() -> int:
    """Run every mutant and show what noticed it; 1 where one survived."""
    table = Table("mutation", "tests run", "red", "seconds", show_lines=True)
    bad = 0
    for mutation in [None, *MUTATIONS]:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="backpropd-mutant-") as temporary:
            folder = Path(temporary)
            copy_to(folder)
            if mutation is None:
                name, expected = "none: everything must be green", False
                ran, red = 0, list[str]()
                for each in MUTATIONS:
                    more, names = failed(folder, each.tests, each.only)
                    ran, red = ran + more, red + names
            else:
                name, expected = mutation.name, True
                mutate(folder, mutation)
                ran, red = failed(folder, mutation.tests, mutation.only)
        good = bool(red) == expected and ran > 0
        bad += not good
        shown = "\n".join(each.removeprefix("tests/") for each in red) or "-"
        shown += "" if good else "\nSURVIVED" if expected else "\nNOT GREEN"
        table.add_row(name, str(ran), shown, f"{time.monotonic() - began:.0f}")
        print(f"{name}: {len(red)} of {ran} red", file=sys.stderr, flush=True)
    Console(width=140).print(table)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
