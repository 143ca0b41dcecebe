"""The report of the long run: its parts, each kept as a file, and the page that joins them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import psutil

ROOT = Path(__file__).parents[2]
KINDS = ("storm", "start", "figures")
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


def commit() -> str:
    """Which version of the tree this is."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return ran.stdout.strip() or "unknown"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class Part:
    """A storm or figures on one database: what was found, when, and on what machine."""

    kind: str
    database: str
    name: str  # tells storms on one database apart
    command: str
    rows: list[Row] = field(default_factory=list)  # all but a storm's
    counts: dict[str, int] = field(default_factory=dict)  # of a storm
    told: str = ""
    machine: str = field(default_factory=machine)
    commit: str = field(default_factory=commit)
    began: str = field(default_factory=_now)
    ended: str = ""
    load_before: str = field(default_factory=load)
    load_after: str = ""

    def write(self, folder: Path) -> None:
        """It is over: keep it as a file."""
        self.ended, self.load_after = self.ended or _now(), self.load_after or load()
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        self.file(folder).write_text(text + "\n")

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / f"{self.kind}-{self.database}-{self.name}.json"

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


def forget(folder: Path, kind: str, database: str) -> None:
    """Delete the parts of earlier runs."""
    for file in folder.glob(f"{kind}-{database}-*.json"):
        file.unlink()


def gathered(folder: Path, databases: Sequence[str] = DATABASES) -> list[Part]:
    """The parts kept there, storms first; raises FileNotFoundError where one is missing."""
    parts = []
    for kind in KINDS:
        for database in databases:
            files = folder.glob(f"{kind}-{database}-*.json")
            found = sorted((Part.read(file) for file in files), key=lambda part: part.began)
            if not found:
                raise FileNotFoundError(f"{folder} has no {kind} on {database}")
            parts += found
    return parts


def rows(parts: Sequence[Part], database: str) -> list[Row]:
    """Every line of the table on one database; several storms count as one."""
    here = [part for part in parts if part.database == database]
    storms = [Counter(part.counts) for part in here if part.kind == "storm"]
    figures = [row for part in here if part.kind != "storm" for row in part.rows]
    return [*storm_rows(sum(storms, Counter())), *figures]


def storm_rows(found: Counter[str]) -> list[Row]:
    """What was lost, which is to be nothing."""

    def none(figure: str, key: str) -> Row:
        return Row(figure, "0", str(found[key]), found[key] == 0)

    identical, succeeded = found["identical"], found["succeeded"]
    return [
        Row("SIGKILLs", "≥ 1000", str(found["kills"]), found["kills"] >= 1000),
        Row(
            "zombies: woke up to find their job taken over, and wrote nothing",
            "≥ 200",
            f"{found['zombies']} (of {found['frozen']} frozen)",
            found["zombies"] >= 200,
        ),
        Row("attempts", "", f"{found['attempts']} attempts of {found['jobs']} jobs", True),
        none("jobs lost", "lost"),
        none("epochs lost or doubled", "epochs wrong"),
        Row("results bit-identical", "all", f"{identical} of {succeeded}", identical == succeeded),
        none("broken invariants", "broken"),
        Row("retried by hand after three kills without progress", "", str(found["by hand"]), True),
    ]


def page(parts: Sequence[Part]) -> str:
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
        "The storms ask what is lost, which no load of the machine excuses; the others are times,",
        "which it does change. Load averages are those over 1, 5 and 15 minutes.",
        "",
        "| command | commit | began (UTC) | minutes | load before | load after |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{part.command}` | {part.commit} | {part.began[:16].replace('T', ' ')} "
        f"| {part.minutes:.0f} | {part.load_before} | {part.load_after} |"
        for part in parts
    ]
    lines += ["", "## The storms", ""]
    lines += [f"- {part.database}: {part.told}" for part in parts if part.kind == "storm"]
    return "\n".join([*lines, "", *LIMITS, ""])


def _table(parts: Sequence[Part]) -> list[str]:
    databases = list(dict.fromkeys(part.database for part in parts))
    columns = [rows(parts, database) for database in databases]
    lines = [
        "| figure | to reach | " + " | ".join(databases) + " |",
        "|---|---|" + "---|" * len(databases),
    ]
    for same in zip(*columns, strict=True):
        shown = [
            row.measured if row.reached else f"**{row.measured}: not reached**" for row in same
        ]
        lines.append(f"| {same[0].figure} | {same[0].target} | " + " | ".join(shown) + " |")
    return lines


LIMITS = [
    "## Known limits",
    "",
    "- The seed repeats the order of the faults, not the moment at which each one hits.",
    "- On SQLite a process that is frozen in the midst of a transaction holds the write lock,",
    "  and everybody waits until it wakes up or is killed; on PostgreSQL",
    "  `idle_in_transaction_session_timeout` ends it.",
    "- Times of tens of milliseconds follow whatever else the machine does: the job of one",
    "  epoch took 51, 103 and 90 ms on PostgreSQL in three runs of half an hour.",
    "- A job that loses three workers in a row without getting on to a new checkpoint is taken",
    "  for one that kills them, and fails with `crash_loop`; its user may retry it. A storm",
    "  that kills often enough meets this by chance; it is counted above.",
]
