"""The report of the long run: its parts, each kept as a file, and the page that joins them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import psutil

KINDS = ("storm", "figures")
DATABASES = ("sqlite", "postgresql")


class Row(NamedTuple):
    """A line of the table, on one database."""

    figure: str
    target: str
    measured: str
    reached: bool


def machine() -> str:
    """This machine in a line."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line]
    cpu = names[0].split(":")[1].strip() if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def load() -> str:
    """The load averages of this machine over 1, 5 and 15 minutes."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class Part:
    """A storm or the figures on one database: what was found, when, and on what machine."""

    kind: str
    database: str
    command: str
    rows: list[Row] = field(default_factory=list)
    told: str = ""
    machine: str = field(default_factory=machine)
    began: str = field(default_factory=_now)
    ended: str = ""
    load_before: str = field(default_factory=load)
    load_after: str = ""

    def close(self, rows: list[Row], told: str) -> None:
        """This is what was found, now."""
        self.rows, self.told = rows, told
        self.ended, self.load_after = _now(), load()

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / f"{self.kind}-{self.database}.json"

    def write(self, folder: Path) -> None:
        """Keep it as a file."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        self.file(folder).write_text(text + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """A part that was kept."""
        found = json.loads(file.read_text())
        return cls(**{**found, "rows": [Row(*row) for row in found["rows"]]})

    @property
    def minutes(self) -> float:
        """How long it took."""
        took = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)
        return took.total_seconds() / 60


def gathered(folder: Path, databases: Iterable[str] = DATABASES) -> list[Part]:
    """The parts kept there, storms first; raises FileNotFoundError where one is missing."""
    names = [f"{kind}-{database}.json" for kind in KINDS for database in databases]
    return [Part.read(folder / name) for name in names]


def page(parts: list[Part]) -> str:
    """The report of all parts."""
    lines = [
        "# Chaos",
        "",
        "What kills, freezes and outages cost, and that they lose nothing.",
        "Written by `make chaos`; do not edit. The faults are in `tests/chaos/faults.py`,",
        "what must hold after them in `tests/chaos/invariants.py`.",
        "",
        *[f"- machine: {each}" for each in dict.fromkeys(part.machine for part in parts)],
        "- the storm runs with a beat of 0.2 s and a lease of 3 s, so that many faults fit into a",
        "  while; every time below is measured with the settings that everybody has (2 s and 10 s)",
        "- two workers of one slot each, one API, one reconciler, Valkey or Redis on a Unix socket",
        "",
        *_table(parts),
        "",
        "## The parts",
        "",
        "The storms ask what is lost, which no load of the machine excuses; the figures are times,",
        "which it does change. Load averages are those over 1, 5 and 15 minutes.",
        "",
        "| command | began (UTC) | minutes | load before | load after |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{part.command}` | {part.began[:16].replace('T', ' ')} | {part.minutes:.0f} "
        f"| {part.load_before} | {part.load_after} |"
        for part in parts
    ]
    lines += ["", "## The storms", ""]
    lines += [f"- {part.database}: {part.told}" for part in parts if part.kind == "storm"]
    return "\n".join([*lines, "", *LIMITS, ""])


def _table(parts: list[Part]) -> list[str]:
    databases = list(dict.fromkeys(part.database for part in parts))
    cells: dict[tuple[str, str], dict[str, str]] = {}  # by figure and target, then by database
    for part in parts:
        for row in part.rows:
            shown = row.measured if row.reached else f"**{row.measured}: not reached**"
            cells.setdefault((row.figure, row.target), {})[part.database] = shown
    return [
        "| figure | to reach | " + " | ".join(databases) + " |",
        "|---|---|" + "---|" * len(databases),
        *[
            f"| {figure} | {target} | "
            + " | ".join(shown.get(each, "") for each in databases)
            + " |"
            for (figure, target), shown in cells.items()
        ],
    ]


LIMITS = [
    "## Known limits",
    "",
    "- The seed repeats the order of the faults, not the moment at which each one hits.",
    "- On SQLite a process that is frozen in the midst of a transaction holds the write lock,",
    "  and everybody waits until it wakes up or is killed; on PostgreSQL",
    "  `idle_in_transaction_session_timeout` ends it.",
    "- A job that loses three workers in a row without getting on to a new checkpoint is taken",
    "  for one that kills them, and fails with `crash_loop`; its user may retry it. A storm",
    "  that kills often enough meets this by chance; it is counted above.",
]
