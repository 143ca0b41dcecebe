"""Rings again, and rescues what lost its worker. Run one, or three: every act is a compare-and-set.

python -m worker.reconciler
"""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from backpropd import logs
from backpropd.bell import QUEUE
from backpropd.failpoints import failpoint
from backpropd.settings import Settings
from backpropd.store import (
    dependencies,
    idempotency,
    leases,
    queueing,
    retention,
    snapshots,
    workers,
)
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Fenced
from backpropd.store.retention import Policy

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Two polls with their jitter. Who has not looked for longer has seen nothing stand still.
BLIND_SECONDS = 3 * POLL_SECONDS
RING_SECONDS = 2.0  # while anything waits, at least one bell in this time
PURGE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A running job's attempt and beat, and when they were first seen so."""

    attempt: int
    beat: int
    since: float


class Watch:
    """Watches the running jobs, and rescues those whose worker fell silent.

    A lease is stale when attempt and beat have not changed for `lease_seconds` of this process's
    own monotonic clock: no two machines need agree on the time. If this process was blind itself
    (the database did not answer, or it was stopped), it begins to watch anew, so that an outage is
    no reason to rescue everybody.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self.database, self.clock = database, clock
        self.lease_seconds = lease_seconds
        self.sightings: dict[str, Sighting] = {}
        self.last_look: float | None = None
        self.last_purge = clock()

    def look(self) -> None:
        """Look once and do what is due. Raises Busy where the database does not answer."""
        with self.database.read() as session:
            running = leases.observed(session)
        seen = self.clock()
        if self.last_look is None or seen - self.last_look > BLIND_SECONDS:
            self.sightings.clear()
        self.last_look = seen
        known, self.sightings = self.sightings, {}
        for job_id, attempt, beat in running:
            before = known.get(job_id)
            if before is None or (before.attempt, before.beat) != (attempt, beat):
                before = Sighting(attempt, beat, seen)
            self.sightings[job_id] = before
        for job_id, sighting in list(self.sightings.items()):
            if seen - sighting.since >= self.lease_seconds:
                self._rescue(job_id, sighting)
        self._settle()
        if seen - self.last_purge >= PURGE_SECONDS:
            self._purge(seen)

    def _rescue(self, job_id: str, seen: Sighting) -> None:
        failpoint("before_rescue")
        try:
            with self.database.write() as session:
                status = leases.rescue(session, job_id=job_id, attempt=seen.attempt, beat=seen.beat)
        except Fenced:
            return  # somebody else was faster
        if status is not None:
            log.warning("job %s: attempt %d fell silent; now %s", job_id, seen.attempt, status)
            del self.sightings[job_id]

    def _settle(self) -> None:
        """Cancel what waits for a job that will not succeed."""
        with self.database.read() as session:
            if not dependencies.in_vain(session):
                return
        with suppress(Fenced), self.database.write() as session:
            dependencies.settle(session)

    def _purge(self, seen: float) -> None:
        """Delete what is kept for a time only."""
        self.last_purge = seen
        with self.database.write() as session:
            idempotency.purge(session)
            workers.purge(session)
            snapshots.purge(session)


class Keeper:
    """Deletes the jobs, and the parts of jobs, that are not to be kept any longer."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self.database, self.policy, self.clock = database, policy, clock
        self.next_round = clock()

    def go_round(self) -> None:
        """Delete what is due, now and then. Raises Busy where the database does not answer."""
        if self.clock() < self.next_round:
            return
        self.next_round = self.clock() + PURGE_SECONDS
        lost = retention.expire(self.database, self.policy)
        if lost:
            log.info("%d jobs lost what was to be kept no longer", lost)


class Ringer:
    """Rings for the jobs that wait: a bell may be lost, and nobody rings for a rescued job."""

    def __init__(
        self,
        database: Database,
        *,
        ring: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ring` sounds one bell and may raise; `clock` is monotonic, in seconds."""
        self.database, self.ring, self.clock = database, ring, clock
        self.last_ring = -RING_SECONDS

    def call(self) -> None:
        """Sound as many bells as jobs wait and slots are free, and one more in case of doubt.

        Raises Busy where the database does not answer, and what `ring` raises.
        """
        with self.database.read() as session:
            waiting = queueing.waiting(session, QUEUE)
            free = workers.slots(session, QUEUE) - len(leases.observed(session))
        if not waiting:
            return
        if free <= 0 and self.clock() - self.last_ring < RING_SECONDS:
            return
        self.last_ring = self.clock()
        for _ in range(min(waiting, max(free, 0) + 1)):
            self.ring()


def ring() -> None:
    """One bell, through the worker's own app."""
    from worker.tasks import work  # noqa: PLC0415 - the classes above need no Celery

    work.apply_async()


def repeat(act: Callable[[], None], name: str, stop: threading.Event) -> None:
    """Do this each second, whatever happens, until `stop`."""
    while not stop.is_set():
        try:
            act()
        except Busy:
            log.warning("%s: the database did not answer", name)
        except (
            Exception
        ) as error:  # the broker, say: SQL holds the queue, the next turn tries again
            log.warning("%s: %s", name, type(error).__name__)
        stop.wait(POLL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _policy(settings: Settings) -> Policy:
    return Policy(
        days=settings.keep_days,
        jobs=settings.keep_jobs,
        history_days=settings.keep_history_days,
        snapshots_days=settings.keep_snapshots_days,
        checkpoints_days=settings.keep_checkpoints_days,
    )


def main() -> None:
    """Watch and ring until SIGTERM or SIGINT."""
    settings = Settings()
    logs.configure(settings)
    database = Database(settings.database_url)
    watch = Watch(database, lease_seconds=settings.lease_seconds)
    ringer = Ringer(database, ring=ring)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    # Apart from the watch: a broker that does not answer holds a ring for seconds, and who cannot
    # look for seconds must begin its watch anew and so would never rescue anybody.
    ringing = threading.Thread(target=repeat, args=(ringer.call, "ring", stop), daemon=True)
    ringing.start()
    # Apart for the same reason: deleting much takes its time.
    keeping = threading.Thread(
        target=repeat,
        args=(Keeper(database, _policy(settings)).go_round, "keep", stop),
        daemon=True,
    )
    keeping.start()
    repeat(watch.look, "watch", stop)


if __name__ == "__main__":
    main()
