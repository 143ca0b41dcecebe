"""What a fault costs, measured on a plant with the settings that everybody has.

Times are differences between this machine's clock before a fault and the time of the event that
the database holds of its end.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from backpropd.store import events, history
from backpropd.store.clock import now
from backpropd.store.tables import JobEventRow, SnapshotRow
from tests.chaos import faults
from tests.chaos.kit import Plant, Run
from tests.chaos.workload import JOBS


class Figures:
    """Samples in seconds, by what was measured, and a few counts."""

    def __init__(self, plant: Plant) -> None:
        self.plant, self.run = plant, Run(plant)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.notes: dict[str, Any] = {}
        self.long = self.run.submit_endless()

    def measure(self, samples: int, *, broker_gone_seconds: float) -> None:
        """What faults cost, with so many samples of each."""
        for _ in range(samples):
            self._recovery("worker killed", self._lose_worker)
        for _ in range(samples):
            self._recovery("child killed", self._kill_child)
        for _ in range(samples):
            self._recovery("drained", self._drain)
        for _ in range(samples):
            self._pause()
        for _ in range(samples):
            self._cancel()
        self._broker_gone(broker_gone_seconds)
        self._end()

    def measure_start(self, samples: int) -> None:
        """How soon a job begins where a slot is free; one other job trains meanwhile."""
        self.run.under_way(self.long)
        for _ in range(samples):
            self._whole_job()
            self._first_epoch()
        self._end()

    def _end(self) -> None:
        self.run.insist(lambda: self.plant.client.cancel(self.long))
        self.findings = self.run.settle()

    def _story(self, job_id: str) -> list[JobEventRow]:
        with self.plant.database.read() as session:
            return [e for e in events.after(session, job_id, 0, 100_000) if e.kind == "moved"]

    def _when(self, job_id: str, true: Callable[[JobEventRow], bool], what: str) -> datetime:
        """When the first such event was written, as soon as it is there."""
        found: list[JobEventRow] = []

        def there() -> bool:
            found.extend(event for event in self._story(job_id) if true(event))
            return bool(found)

        self.plant.wait_until(there, what, every=0.02)
        return found[0].at

    def _checkpoint(self) -> tuple[int, datetime]:
        """Attempt and time of the long job's newest checkpoint, once its attempt has made one."""
        newest = (
            select(SnapshotRow.attempt, SnapshotRow.created_at)
            .where(SnapshotRow.job_id == self.long, SnapshotRow.kind == "checkpoint")
            .order_by(SnapshotRow.epoch.desc())
            .limit(1)
        )
        found: list[tuple[int, datetime]] = []

        def there() -> bool:
            attempt = self.run.job(self.long)["attempt"]
            with self.plant.database.read() as session:
                row = session.execute(newest).one_or_none()
            if row is not None and row[0] == attempt:
                found.append((row[0], row[1]))
            return bool(found)

        self.plant.wait_until(there, "checkpoint of this attempt", every=0.2)
        return found[0]

    def _recovery(self, what: str, fault: Callable[[], None]) -> None:
        attempt, _ = self._checkpoint()
        time.sleep(0.5 + len(self.seconds[what]) % 4 / 2)  # not always the same phase of a beat
        # Who takes the job over must be there: else what is measured is how long a worker starts.
        self.plant.wait_until(self.plant.all_listen, "worker that is free")
        _, checkpoint_at = self._checkpoint()
        began = now()
        fault()
        if what != "drained":
            self.seconds["redone"].append((began - checkpoint_at).total_seconds())
        again = self._when(self.long, lambda e: e.attempt > attempt, "attempt after this one")
        self.seconds[what].append((again - began).total_seconds())

    def _holder(self) -> str:
        """The worker that trains the long job; which one is busy most, a busy machine may hide."""
        attempt = self.run.job(self.long)["attempt"]
        begins = f"job {self.long}: attempt {attempt} begins".encode()

        def holders() -> list[str]:
            logs = {name: self.plant.folder / f"{name}.log" for name in self.plant.workers}
            return [name for name, log in logs.items() if begins in log.read_bytes()]

        self.plant.wait_until(holders, "worker that holds the job")
        return holders()[0]

    def _lose_worker(self) -> None:
        faults.kill_worker(self.plant, self._holder())

    def _kill_child(self) -> None:
        faults.kill(self.plant.children(self._holder()))

    def _drain(self) -> None:
        root = self.plant.root(self._holder())
        self.seconds["drained worker exits"].append(faults.terminate(root))

    def _first_epoch(self) -> None:
        """Of a job that goes on after it: until its history can be read."""
        training = {**JOBS["momentum"]["training"], "epochs": 500}
        began = now()
        job_id = self.run.submit("short", name="more", training=training, snapshots={"best": None})

        def there() -> bool:
            with self.plant.database.read() as session:
                return history.last_row(session, job_id) > 0

        self.plant.wait_until(there, "first epoch", every=0.005)
        self.seconds["first epoch"].append((now() - began).total_seconds())
        self._when(job_id, lambda e: e.to_status == "succeeded", "end")

    def _whole_job(self) -> None:
        """One of a single epoch, by the times of its events."""
        training = {**JOBS["short"]["training"], "epochs": 1}
        began = now()
        job_id = self.run.submit("short", name="one", training=training, snapshots={"best": None})
        self.seconds["accepted"].append((now() - began).total_seconds())
        ended = self._when(job_id, lambda e: e.to_status == "succeeded", "end")
        started = self._when(job_id, lambda e: e.to_status == "running", "start")
        self.seconds["started"].append((started - began).total_seconds())
        self.seconds["one epoch"].append((ended - began).total_seconds())
        time.sleep(0.05)

    def _pause(self) -> None:
        self.run.under_way(self.long, epoch=1)
        seen = self._story(self.long)[-1].seq
        began = now()
        self.run.insist(lambda: self.plant.client.pause(self.long))
        ended = self._when(self.long, lambda e: e.seq > seen and e.to_status == "paused", "pause")
        self.seconds["stopped"].append((ended - began).total_seconds())
        self.run.insist(lambda: self.plant.client.resume(self.long))

    def _cancel(self) -> None:
        job_id = self.run.submit_endless()
        self.run.under_way(job_id, epoch=1)
        began = now()
        self.run.insist(lambda: self.plant.client.cancel(job_id))
        ended = self._when(job_id, lambda e: e.to_status == "cancelled", "cancel")
        self.seconds["stopped"].append((ended - began).total_seconds())

    def _broker_gone(self, seconds: float) -> None:
        """One job runs on, one is cancelled, ten are submitted; then the broker comes back."""
        doomed = self.run.submit_endless()
        for job_id in (self.long, doomed):
            self.run.under_way(job_id, epoch=1)
        before = self.run.job(self.long)
        with faults.broker_gone(self.plant):
            waiting = self._meanwhile(doomed, seconds)
            after = self.run.job(self.long)
            back = now()
        self.notes["undisturbed without a broker"] = (
            after["attempt"] == before["attempt"]
            and after["progress"]["epoch"] > before["progress"]["epoch"]
        )
        for job_id in waiting:
            started = self._when(job_id, lambda e: e.to_status == "running", "start")
            self.seconds["started after its return"].append((started - back).total_seconds())

    def _meanwhile(self, doomed: str, seconds: float) -> list[str]:
        """Cancel one job, submit ten and wait for so long; those that wait then."""
        gone, began = time.monotonic(), now()
        self.run.insist(lambda: self.plant.client.cancel(doomed))
        ended = self._when(doomed, lambda e: e.to_status == "cancelled", "cancel")
        self.seconds["stopped without a broker"].append((ended - began).total_seconds())
        waiting = []
        for _ in range(10):
            began = now()
            waiting.append(self.run.submit("short"))
            self.seconds["accepted without a broker"].append((now() - began).total_seconds())
        while time.monotonic() - gone < seconds:
            self.plant.tend()
            time.sleep(0.1)
        return waiting
