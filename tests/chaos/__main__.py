"""The long run: a storm on each database, then times; writes docs/reference/chaos.md.

    python -m tests.chaos [--kills 1000] [--zombies 200] [--database sqlite|postgresql|both]

Each part can also run apart, say at a calmer time; `page` joins what they have left in a folder,
where storms of several seeds add up.

    python -m tests.chaos storm --database sqlite --seed 7
    python -m tests.chaos start --database sqlite
    python -m tests.chaos figures --database sqlite
    python -m tests.chaos page
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.chaos.faults import Server
from tests.chaos.figures import Figures
from tests.chaos.invariants import Findings
from tests.chaos.kit import QUICK, Broken, Plant, apart, standing
from tests.chaos.page import DATABASES, KINDS, ROOT, Part, Row, forget, gathered, page, rows
from tests.chaos.storm import Storm

PAGE = ROOT / "docs/reference/chaos.md"
BROKER_GONE_SECONDS = 120


def counts(storm: Storm, findings: Findings) -> dict[str, int]:
    """What a storm did, and what was lost in it."""
    succeeded, cancelled = findings.statuses["succeeded"], findings.statuses["cancelled"]
    missing = len(set(storm.run.accepted) - findings.examined)
    return {
        "kills": storm.kills,
        "frozen": storm.done["child frozen"],
        "zombies": storm.zombies,
        "jobs": findings.jobs,
        "attempts": findings.attempts,
        "succeeded": succeeded,
        "identical": findings.identical,
        "lost": findings.jobs - succeeded - cancelled + missing,
        "epochs wrong": findings.epochs_wrong,
        "broken": len(findings.broken),
        "by hand": storm.run.crash_loops,
    }


def row(figures: Figures, what: str, key: str, percent: float, most: float | None) -> Row:
    """A line of a figure's samples."""
    samples = figures.seconds[key]
    found = float(np.percentile(samples, percent))
    name = {50: "p50", 99: "p99", 100: "longest"}[int(percent)]
    text = f"{found:.3g} s (n = {len(samples)})"
    if most is None:
        return Row(f"{what}, {name}", "", text, True)
    return Row(f"{what}, {name}", f"≤ {most:g} s", text, found <= most)


def start_rows(figures: Figures) -> list[Row]:
    """How soon a job begins."""
    return [
        row(figures, "submit answered with 202", "accepted", 50, None),
        row(figures, "submit to the start", "started", 50, None),
        row(figures, "submit to the end of a job of one epoch", "one epoch", 50, 0.05),
        row(figures, "submit to the first epoch of a longer job", "first epoch", 50, 0.05),
    ]


def figure_rows(figures: Figures) -> list[Row]:
    """What faults cost."""
    runs_on = figures.notes["undisturbed without a broker"]
    return [
        row(figures, "running again after a worker is killed whole", "worker killed", 50, 12),
        row(figures, "running again after a worker is killed whole", "worker killed", 99, 15),
        row(figures, "running again after a pool child is killed", "child killed", 99, 5),
        row(figures, "running again after a drain", "drained", 100, 3),
        row(figures, "a drained worker has ended", "drained worker exits", 100, 5),
        row(figures, "training done again after a crash", "redone", 100, 5),
        row(figures, "cancel and pause", "stopped", 99, 2.5),
        Row("broker gone: running jobs undisturbed", "yes", "yes" if runs_on else "no", runs_on),
        row(
            figures,
            "broker gone: submit answered with 202",
            "accepted without a broker",
            100,
            None,
        ),
        row(figures, "broker gone: cancel", "stopped without a broker", 100, 2.5),
        row(figures, "broker back: all waiting jobs started", "started after its return", 100, 5),
    ]


@contextlib.contextmanager
def plant_on(database: str, settings: dict[str, str]) -> Iterator[Plant]:
    """A plant for a while; its logs and its database stay where something breaks."""
    folder = Path(tempfile.mkdtemp(prefix=f"backpropd-chaos-{database}-"))
    server = Server() if database == "postgresql" else None
    kept = f"{folder} {server.folder if server else ''}"
    print(f"{database}: logs in {kept}", flush=True)
    try:
        url = server.url(server.create()) if server else f"sqlite:///{folder / 'plant.sqlite'}"
        with standing(apart(folder, url, settings=settings)) as plant:
            yield plant
    except BaseException:
        print(f"{database}: broken, logs and database are kept in {kept}", flush=True)
        if server is not None:
            server.server.cleanup()  # stops it
        raise
    if server is not None:
        server.stop()
    shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do, as the command says."""

    kills: int
    zombies: int
    seed: int
    samples: int
    results: Path

    def storm(self, database: str) -> None:
        """Random faults, and what is lost."""
        part = self._part("storm", database)
        with plant_on(database, QUICK) as plant:
            storm = Storm(plant, seed=self.seed)
            began = time.monotonic()
            storm.blow(kills=self.kills, zombies=self.zombies)
            storm.clear()
            findings = storm.run.findings()
            findings.broken = list(dict.fromkeys([*storm.broken, *findings.broken]))
            told = f"{storm.told(findings)}; {time.monotonic() - began:.0f} s"
            print(f"{database}: {told}", *findings.broken, sep="\n", flush=True)
            part.counts, part.told = counts(storm, findings), told
            part.write(self.results)
            if findings.broken:
                raise Broken(f"{len(findings.broken)} invariants")

    def start(self, database: str) -> None:
        """How soon a job begins, on a machine that should have nothing else to do."""
        part = self._part("start", database)
        with plant_on(database, {}) as plant:
            figures = Figures(plant)
            figures.measure_start(self.samples)
        part.rows = start_rows(figures)
        print(*part.rows, sep="\n", flush=True)
        part.write(self.results)

    def figures(self, database: str) -> None:
        """What faults cost, on a machine that should have nothing else to do."""
        part = self._part("figures", database)
        with plant_on(database, {}) as plant:
            figures = Figures(plant)
            figures.measure(self.samples, broker_gone_seconds=BROKER_GONE_SECONDS)
        part.rows = figure_rows(figures)
        part.write(self.results)

    def _part(self, kind: str, database: str) -> Part:
        said = f"--kills {self.kills} --zombies {self.zombies} --seed {self.seed}"
        said = said if kind == "storm" else f"--samples {self.samples}"
        command = f"python -m tests.chaos {kind} --database {database} {said}"
        name = str(self.seed) if kind == "storm" else "all"
        part = Part(kind, database, name, command)
        part.file(self.results).unlink(missing_ok=True)  # where the same was asked before
        return part


def main() -> int:
    """Do what is asked, and write the page; 1 where something breaks or is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("part", choices=("all", *KINDS, "page"), nargs="?", default="all")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--kills", type=int, default=1000, help="of a storm")
    parser.add_argument("--zombies", type=int, default=200, help="of a storm")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of a storm")
    parser.add_argument("--samples", type=int, default=20, help="of each figure that takes long")
    parser.add_argument("--results", type=Path, default=ROOT / "build/chaos", help="a folder")
    given = parser.parse_args()
    asked = Asked(given.kills, given.zombies, given.seed, given.samples, given.results)
    chosen = DATABASES if given.database == "both" else (given.database,)
    print(f"seed {asked.seed}", flush=True)
    broken = False
    for kind in KINDS:
        do = getattr(asked, kind)
        for database in chosen if given.part in ("all", kind) else ():
            if given.part == "all" or kind != "storm":
                forget(asked.results, kind, database)
            try:
                do(database)
            except Broken as why:  # the other parts may still tell something
                print(f"{kind} on {database}: {why}", flush=True)
                broken = True
    if given.part in KINDS:
        return int(broken)
    parts = gathered(asked.results, chosen)
    text = page(parts)
    print(text)
    if given.database == "both":
        PAGE.write_text(text)
    return int(broken or not all(row.reached for each in chosen for row in rows(parts, each)))


if __name__ == "__main__":
    sys.exit(main())
