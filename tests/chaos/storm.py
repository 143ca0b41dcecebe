"""Random faults in an order that a seed decides, while jobs keep coming and users change minds.

The order of the faults can be repeated; the moment at which each one hits can not.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from backpropd.client import Problem
from tests.chaos import faults
from tests.chaos.invariants import Findings, examine_ended
from tests.chaos.kit import LEASE_SECONDS, Plant, Run

IN_FLIGHT = 4  # jobs that wait or run at any time
PAUSE_SECONDS = (0.3, 1.5)
TOLD_EACH = 50  # kills
NOTICED_SECONDS = 2.5  # after a lease, a reconciler that looks each second has surely seen it


@dataclass(frozen=True, slots=True)
class Frozen:
    """Processes that sleep, and until when."""

    processes: list[psutil.Process]
    until: float


class Storm:
    """Faults on one plant, and one run of jobs in their midst."""

    def __init__(self, plant: Plant, *, seed: int, lease_seconds: float = LEASE_SECONDS) -> None:
        self.plant, self.seed, self.lease_seconds = plant, seed, lease_seconds
        self.chance = random.Random(seed)
        self.run = Run(plant, seed)
        self.done: Counter[str] = Counter()
        self.frozen: list[Frozen] = []
        # Whoever sleeps in the midst of a transaction on SQLite holds all others up.
        plant.also.append(self._thaw_due)
        self.paused: set[str] = set()
        self.examined: set[str] = set()
        self.broken: list[str] = []  # what did not hold in the midst of the storm
        # Each with how often it comes; 0 is returned where nothing was there to be hit.
        self.faults: dict[str, tuple[int, Callable[[], int | None]]] = {
            "child killed": (8, self._kill_child),
            "worker killed": (3, self._kill_worker),
            "API killed": (2, lambda: faults.kill([plant.root("api")])),
            "API child killed": (2, lambda: faults.kill(self._one_of(plant.children("api")))),
            "reconciler killed": (3, lambda: faults.kill([plant.root("reconciler")])),
            "child frozen": (3, self._freeze_child),
            "job paused": (1, self._pause),
            "job cancelled": (1, self._cancel),
            "worker drained": (1, self._drain),
            "broker killed": (2, lambda: faults.kill([plant.root("broker")])),
            "broker flushed": (2, lambda: faults.flush_broker(plant)),
            "broker fed garbage": (1, lambda: faults.feed_garbage(plant, 20)),
        }

    @property
    def kills(self) -> int:
        """How many SIGKILLs there were."""
        return sum(count for what, count in self.done.items() if what.endswith("killed"))

    @property
    def zombies(self) -> int:
        """How many processes woke up to find that their job had been taken over, and gave way.

        Fewer than were frozen: some hold no job, some are killed in their sleep, and some are not
        missed in time, because the reconciler was killed, or because they sleep on SQLite's lock.
        """
        logs = self.plant.folder.rglob("worker*.log")
        return sum(log.read_bytes().count(b" was fenced off") for log in logs)

    def blow(self, *, seconds: float = 1e9, kills: int = 10**9, zombies: int = 0) -> None:
        """For so long, or until there were so many kills, and at least so many zombies."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (self.kills < kills or self.zombies < zombies):
            self._keep_busy()
            what = self._choose(kills, zombies)
            hit = self.faults[what][1]() != 0
            self.done[what] += hit
            if hit and what.endswith("killed") and self.kills % TOLD_EACH == 0:
                print(self.so_far(), flush=True)
            self._wait(self.chance.uniform(*PAUSE_SECONDS))

    def so_far(self) -> str:
        """How it stands, in a line; checks the jobs that have ended since it was asked last."""
        findings = examine_ended(self.plant.database, set(self.run.accepted) - self.examined)
        self.examined |= findings.examined
        self.broken += findings.broken
        return "\n".join(
            [
                f"{time.strftime('%H:%M:%S')} {self.kills} kills, {self.zombies} zombies, "
                f"{len(self.run.accepted)} jobs, {len(self.examined)} of them ended, "
                f"{len(self.broken)} broken invariants",
                *findings.broken,
            ]
        )

    def calm(self) -> Findings:
        """No more faults: everything comes to its end; raises Broken where that shows a loss."""
        self.clear()
        return self.run.settle()

    def clear(self) -> None:
        """No more faults, and nobody sleeps or pauses."""
        for frozen in self.frozen:
            faults.thaw(frozen.processes)
        self.frozen.clear()
        self.plant.also.remove(self._thaw_due)
        for job_id in self.paused:
            self.plant.wait_until(
                lambda job_id=job_id: self.run.job(job_id)["status"] != "running", "pause"
            )
            self._ask("resume", job_id)

    def told(self, findings: Findings) -> str:
        """What happened, in a few lines."""
        done = ", ".join(f"{count} x {what}" for what, count in sorted(self.done.items()))
        return (
            f"seed {self.seed}: {self.kills} kills, {self.zombies} zombies ({done}); "
            f"{findings.jobs} jobs in {findings.attempts} attempts: {dict(findings.statuses)}, "
            f"{findings.identical} with identical bits; {self.run.crash_loops} retried by their "
            f"user after three kills without progress"
        )

    def _choose(self, kills: int, zombies: int) -> str:
        names = list(self.faults)
        weights = [self.faults[name][0] for name in names]
        if self.kills >= kills:  # only zombies are missing
            return "child frozen"
        if 10**9 > kills > 0 and zombies:  # as many for each kill as were asked for
            behind = self.zombies / zombies < self.kills / kills
            if behind:
                return "child frozen"
        return self.chance.choices(names, weights)[0]

    def _keep_busy(self) -> None:
        unended = [job for job in self.run.accepted[-3 * IN_FLIGHT :] if not self._ended(job)]
        for _ in range(IN_FLIGHT - len(unended)):
            self.run.submit(self.chance.choice(["momentum", "adam", "adam", "short"]))

    def _ended(self, job_id: str) -> bool:
        return self.run.job(job_id)["status"] in ("succeeded", "failed", "cancelled", "paused")

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self.plant.tend()
            if time.monotonic() >= end:
                return
            time.sleep(0.05)

    def _thaw_due(self) -> None:
        for frozen in [each for each in self.frozen if each.until <= time.monotonic()]:
            faults.thaw(frozen.processes)
            self.frozen.remove(frozen)

    def _one_of(self, processes: list[psutil.Process]) -> list[psutil.Process]:
        draw = self.chance.random()  # drawn also in vain, so that the order stays that of the seed
        return [processes[int(draw * len(processes))]] if processes else []

    def _worker(self) -> str:
        return self.chance.choice(self.plant.workers)

    def _kill_child(self) -> int:
        draw = self._worker()
        busy = self.plant.busy_child()
        return faults.kill([busy[1]] if busy else self._one_of(self.plant.children(draw)))

    def _kill_worker(self) -> int:
        worker = self._worker()
        if self.chance.random() < 0.5:
            return faults.kill([self.plant.root(worker)])
        return faults.kill_worker(self.plant, worker)

    def _freeze_child(self) -> int:
        draw = self._worker()
        # Somebody must be awake to take its job over.
        if sum(len(frozen.processes) for frozen in self.frozen) >= 1:
            self._wait(max(0.0, self.frozen[0].until - time.monotonic()) + 0.1)
        tries = (self.plant.busy_child() for _ in range(5))
        busy = next((found for found in tries if found), None)
        chosen = [busy[1]] if busy else self._one_of(self.plant.children(draw))
        until = time.monotonic() + self.lease_seconds + NOTICED_SECONDS
        frozen = faults.freeze(chosen)
        self.frozen.append(Frozen(frozen, until))
        return len(frozen)

    def _drain(self) -> None:
        root = self.plant.root(self._worker())
        if root is not None:
            root.terminate()

    def _some_job(self) -> str:
        return self.chance.choice(self.run.accepted[-IN_FLIGHT:])

    def _pause(self) -> None:
        job_id = self._some_job()
        if self._ask("pause", job_id):
            self.paused.add(job_id)

    def _cancel(self) -> None:
        self._ask("cancel", self._some_job())

    def _ask(self, wish: str, job_id: str) -> bool:
        """Ask for it; False where the job's state does not allow it any more."""
        try:
            self.run.insist(lambda: getattr(self.plant.client, wish)(job_id))
        except Problem as refused:
            if refused.status != 409:
                raise
            return False
        return True
