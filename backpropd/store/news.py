"""What is new of the jobs that somebody watches: one look for all of them.

The watch of a stream: durable events by their number, and the latest progress between them. All of
it comes from rows, so that whoever says what was seen last gets the rest, from any process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backpropd.store import events, history
from backpropd.store.database import Database
from backpropd.store.lifecycle import ENDED
from backpropd.store.tables import JobEventRow, JobRow, MetricSummaryRow

AT_ONCE = 500  # ids in one query
EVENTS_AT_ONCE = 100  # of one job; more come with the next look


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watcher knows: the number of the last event, and the version of the job's row."""

    seq: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """What happened to a job since: events, then how it stands; of one moment."""

    events: Sequence[JobEventRow]
    job: JobRow
    metrics: Sequence[MetricSummaryRow]
    complete: bool  # no event is left out

    @property
    def ended(self) -> bool:
        """Whether nothing will follow, unless its user retries the job."""
        return self.complete and self.job.status in ENDED


def of(database: Database, job_id: str, seen: Seen) -> News | None:
    """The news of a job since this was seen; None where it is not there any more."""
    with database.read() as session:
        job = session.get(JobRow, job_id)
        if job is None:
            return None
        found = events.after(session, job_id, seen.seq, EVENTS_AT_ONCE + 1)
        metrics = history.summaries(session, [job_id])[job_id]
    return News(found[:EVENTS_AT_ONCE], job, metrics, len(found) <= EVENTS_AT_ONCE)


class Watcher:
    """Tells which of many jobs have changed. Keep one a thread; it holds a connection."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Any = None
        self._data_version: int | None = None

    def changed(self, known: Mapping[str, int]) -> list[str]:
        """The jobs whose row's version is another, or that are gone. Raises Busy.

        On SQLite nothing is read as long as nobody has committed anything anywhere.
        """
        data_version = self._sqlite_data_version()
        if data_version is not None and data_version == self._data_version:
            return []
        ids = list(known)
        found: dict[str, int] = {}
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            with self.database.read() as session:
                query = select(JobRow.id, JobRow.version).where(JobRow.id.in_(some))
                found.update((id_, version) for id_, version in session.execute(query))
        self._data_version = data_version
        return [id_ for id_ in ids if found.get(id_) != known[id_]]

    def look_again(self) -> None:
        """Take nothing for known: somebody else is watched now."""
        self._data_version = None

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _sqlite_data_version(self) -> int | None:
        """A number that changes with every commit of another connection; None on PostgreSQL."""
        if not self.database.is_sqlite:
            return None
        if self._connection is None:
            self._connection = self.database.read_engine.raw_connection()
            self._connection.detach()  # it is for good, and no place of the pool's
        row = self._connection.cursor().execute("PRAGMA data_version").fetchone()
        version: int = row[0]
        return version
