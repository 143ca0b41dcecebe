"""The long run: a storm on each database, then figures; writes docs/reference/chaos.md.

python -m tests.chaos [--kills 1000] [--zombies 200] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tests.chaos.faults import Server
from tests.chaos.figures import Figures
from tests.chaos.invariants import Findings
from tests.chaos.kit import QUICK, apart, standing
from tests.chaos.storm import Storm

PAGE = Path(__file__).parents[2] / "docs/reference/chaos.md"
Row = tuple[str, str, str, bool]  # figure, target, measured, reached


def storm_rows(storm: Storm, findings: Findings) -> list[Row]:
    """What was lost, which is to be nothing."""
    succeeded = findings.statuses["succeeded"]
    unended = findings.jobs - succeeded - findings.statuses["cancelled"]
    blows = f"{storm.kills} SIGKILLs, {storm.zombies} zombies"
    attempts = f"{findings.attempts} attempts of {findings.jobs} jobs"
    identical = f"{findings.identical} of {succeeded}"
    return [
        ("faults", "1,000 SIGKILLs, 200 zombies", blows, storm.kills >= 1000),
        ("attempts", "", attempts, True),
        ("jobs lost", "0", str(unended), unended == 0),
        (
            "epochs lost or doubled",
            "0",
            str(findings.epochs_wrong),
            findings.epochs_wrong == 0,
        ),
        ("results bit-identical", "all", identical, findings.identical == succeeded),
        ("other broken invariants", "0", str(len(findings.broken)), not findings.broken),
        (
            "retried by hand after three kills without progress",
            "",
            str(storm.run.crash_loops),
            True,
        ),
    ]


def figure_rows(figures: Figures) -> list[Row]:
    """What faults cost."""

    def row(what: str, key: str, percent: float, most: float | None) -> Row:
        samples = figures.seconds[key]
        found = float(np.percentile(samples, percent))
        name = {50: "p50", 99: "p99", 100: "longest"}[int(percent)]
        text = f"{found:.3g} s (n = {len(samples)})"
        if most is None:
            return (f"{what}, {name}", "", text, True)
        return (f"{what}, {name}", f"≤ {most:g} s", text, found <= most)

    runs_on = figures.notes["undisturbed without a broker"]
    return [
        row("running again after a worker is killed whole", "worker killed", 50, 12),
        row("running again after a worker is killed whole", "worker killed", 99, 15),
        row("running again after a pool child is killed", "child killed", 99, 5),
        row("running again after a drain", "drained", 100, 3),
        row("a drained worker has ended", "drained worker exits", 100, 5),
        row("training done again after a crash", "redone", 100, 5),
        row("cancel and pause", "stopped", 99, 2.5),
        row("submit answered with 202", "accepted", 50, None),
        row("submit to the start", "started", 50, None),
        row("submit to the end of a job of one epoch", "first epoch", 50, 0.05),
        ("broker gone: running jobs undisturbed", "yes", "yes" if runs_on else "no", runs_on),
        row("broker gone: submit answered with 202", "accepted without a broker", 100, None),
        row("broker gone: cancel", "stopped without a broker", 100, 2.5),
        row("broker back: all waiting jobs started", "started after its return", 100, 5),
    ]


def machine() -> str:
    """This machine in a line."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line]
    cpu = names[0].split(":")[1].strip() if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}; "
        f"load averages at the end {load}"
    )


def one(database: str, kills: int, zombies: int, seed: int) -> tuple[list[Row], str]:
    """The storm and the figures on one database."""
    server = Server() if database == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory(prefix="backpropd-chaos-") as temporary:
            folder = Path(temporary)

            def url(name: str) -> str:
                return (
                    server.url(server.create()) if server else f"sqlite:///{folder / name}.sqlite"
                )

            with standing(apart(folder / "storm", url("storm"), settings=QUICK)) as plant:
                storm = Storm(plant, seed=seed)
                began = time.monotonic()
                storm.blow(kills=kills, zombies=zombies)
                findings = storm.calm()
                told = f"{storm.told(findings)}; {time.monotonic() - began:.0f} s"
            print(f"{database}: {told}", flush=True)
            with standing(apart(folder / "figures", url("figures"), settings={})) as plant:
                figures = Figures(plant)
                figures.measure(max(6, kills // 20), broker_gone_seconds=min(120, 20 + kills / 10))
            return [*storm_rows(storm, findings), *figure_rows(figures)], told
    finally:
        if server is not None:
            server.stop()


def page(rows: dict[str, list[Row]], told: dict[str, str], seed: int, command: str) -> str:
    """The report."""
    databases = list(rows)
    lines = [
        "# Chaos",
        "",
        "What kills, freezes and outages cost, and that they lose nothing.",
        "Written by `make chaos`; do not edit. The faults are in `tests/chaos/faults.py`,",
        "what must hold after them in `tests/chaos/invariants.py`.",
        "",
        f"- command: `{command}`",
        f"- machine: {machine()}",
        f"- seed: {seed}",
        "- the storm runs with a beat of 0.2 s and a lease of 3 s, so that many faults fit into a",
        "  while; every time below is measured with the settings that everybody has (2 s and 10 s)",
        "- two workers of one slot each, one API, one reconciler, Valkey or Redis on a Unix socket",
        "",
        "| figure | to reach | " + " | ".join(databases) + " |",
        "|---|---|" + "---|" * len(databases),
    ]
    for index, (what, target, *_) in enumerate(rows[databases[0]]):
        cells = []
        for database in databases:
            _, _, measured, reached = rows[database][index]
            cells.append(measured if reached else f"**{measured}: not reached**")
        lines.append(f"| {what} | {target} | " + " | ".join(cells) + " |")
    lines += ["", "## The storms", ""]
    lines += [f"- {database}: {sentence}" for database, sentence in told.items()]
    lines += [
        "",
        "## Known limits",
        "",
        "- The seed repeats the order of the faults, not the moment at which each one hits.",
        "- On SQLite a process that is frozen in the midst of a transaction holds the write lock,",
        "  and everybody waits until it wakes up or is killed; on PostgreSQL",
        "  `idle_in_transaction_session_timeout` ends it.",
        "- A job that loses three workers in a row without getting on to a new checkpoint is taken",
        "  for one that kills them, and fails with `crash_loop`; its user may retry it. A storm",
        "  that kills often enough meets this by chance; it is counted above.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run, print the page and write it; 1 where a figure is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--zombies", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    asked = parser.parse_args()
    chosen = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    command = (
        f"python -m tests.chaos --kills {asked.kills} --zombies {asked.zombies} "
        f"--database {asked.database} --seed {asked.seed}"
    )
    print(command, flush=True)
    rows, told = {}, {}
    for database in chosen:
        rows[database], told[database] = one(database, asked.kills, asked.zombies, asked.seed)
    text = page(rows, told, asked.seed, command)
    print(text)
    if asked.database == "both":
        PAGE.write_text(text)
    return int(not all(row[3] for each in rows.values() for row in each))


if __name__ == "__main__":
    sys.exit(main())
