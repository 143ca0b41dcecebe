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
from dataclasses import dataclass

from backpropd.bell import QUEUE
from backpropd.settings import Settings
from backpropd.store import idempotency, jobs, leases, workers
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Fenced

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RING_SECONDS = 2.0  # while anything waits, at least one bell in this time
PURGE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A running job's attempt and beat, and when they were first seen so."""

    attempt: int
    beat: int
    since: float


class Reconciler:
    """Watches the queue and the running jobs.

    A lease is stale when attempt and beat have not changed for `lease_seconds` of this process's
    own monotonic clock: no two machines need agree on the time. If this process was blind itself
    (the database did not answer, or it was stopped), it begins to watch anew, so that an outage is
    no reason to rescue everybody.
    """

    def __init__(
        self,
        database: Database,
        *,
        ring: Callable[[], None],
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ring` sounds one bell and may raise; `clock` is monotonic, in seconds."""
        self.database, self.ring, self.clock = database, ring, clock
        self.lease_seconds = lease_seconds
        self.sightings: dict[str, Sighting] = {}
        self.last_look: float | None = None
        self.last_ring = -RING_SECONDS
        self.last_purge = clock()

    def poll(self) -> None:
        """Look once and do what is due. Raises Busy where the database does not answer."""
        self.rescue_stale()
        self.ring_for_waiting()
        if self.clock() - self.last_purge >= PURGE_SECONDS:
            self.purge()

    def rescue_stale(self) -> None:
        """Rescue the running jobs whose beat stood still for the length of a lease."""
        with self.database.read() as session:
            running = leases.observed(session)
        seen = self.clock()
        if self.last_look is None or seen - self.last_look > self.blind_seconds:
            self.sightings.clear()
        self.last_look = seen
        known, self.sightings = self.sightings, {}
        for job_id, attempt, beat in running:
            before = known.get(job_id)
            if before is None or (before.attempt, before.beat) != (attempt, beat):
                before = Sighting(attempt, beat, seen)
            self.sightings[job_id] = before
            if seen - before.since >= self.lease_seconds:
                self._rescue(job_id, before)

    @property
    def blind_seconds(self) -> float:
        """A gap between two looks after which the watch begins anew."""
        return max(3 * POLL_SECONDS, self.lease_seconds / 2)

    def ring_for_waiting(self) -> None:
        """Sound as many bells as jobs wait and slots may be free, and one in any case."""
        with self.database.read() as session:
            waiting = jobs.waiting(session, QUEUE)
            slots = sum(worker.slots for worker in workers.live(session, QUEUE))
            busy = len(self.sightings)
        if not waiting:
            return
        bells = min(waiting, max(slots - busy, 0) + 1)
        if slots <= busy and self.clock() - self.last_ring < RING_SECONDS:
            return
        self.last_ring = self.clock()
        for _ in range(bells):
            self.ring()

    def purge(self) -> None:
        """Delete what is kept for a time only."""
        self.last_purge = self.clock()
        with self.database.write() as session:
            idempotency.purge(session)
            workers.purge(session)

    def _rescue(self, job_id: str, seen: Sighting) -> None:
        try:
            with self.database.write() as session:
                status = leases.rescue(session, job_id=job_id, attempt=seen.attempt, beat=seen.beat)
        except Fenced:
            return  # somebody else was faster
        if status is not None:
            log.warning("job %s: attempt %d fell silent; now %s", job_id, seen.attempt, status)
            del self.sightings[job_id]


def ring() -> None:
    """One bell, through the worker's own app."""
    from worker.tasks import work  # noqa: PLC0415 - the class above needs no Celery

    work.apply_async()


def main() -> None:
    """Poll until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings()
    database = Database(settings.database_url)
    reconciler = Reconciler(database, ring=ring, lease_seconds=settings.lease_seconds)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    while not stop.is_set():
        try:
            reconciler.poll()
        except Busy:
            log.warning("the database did not answer")
        except Exception as error:  # the broker: SQL holds the queue, and the next poll rings again
            log.warning("could not ring: %s", type(error).__name__)
        stop.wait(POLL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
    database.dispose()


if __name__ == "__main__":
    main()
