"""The invariants that hold after every fault, read straight from the database.

I1 every 202 is a row, and every key made one         I5 the events are a path of legal moves
I2 every job comes to its end                         I6 one accepted writer an attempt
I3 the history is 1..N, each epoch once               I7 what the user wished is never undone
I4 weights and history are those of a quiet run       I8 nothing leaks
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import func, select, text

from backpropd.store import events
from backpropd.store.database import Database, Session
from backpropd.store.history_rows import rows
from backpropd.store.lifecycle import ENDED, MOVES, JobStatus
from backpropd.store.snapshots import CHECKPOINTS_KEPT
from backpropd.store.tables import (
    HistoryChunkRow,
    JobEventRow,
    JobRow,
    MetricSummaryRow,
    SnapshotContentRow,
    SnapshotRow,
)
from tests.chaos.workload import JOBS, result_of, undisturbed


@dataclass(slots=True)
class Findings:
    """What the jobs of a run went through, and every invariant that did not hold."""

    jobs: int = 0
    examined: set[str] = field(default_factory=set)  # ids
    broken: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # of events
    attempts: int = 0
    identical: int = 0  # of those that succeeded
    epochs_wrong: int = 0  # lost or doubled, in jobs that succeeded


def examine(database: Database, run: str, accepted: Collection[str], keys: int) -> Findings:
    """Check every job of a run; `accepted` are the ids of each 202, `keys` the keys used."""
    findings = Findings()
    for name in JOBS:  # takes longer than a session may idle in its transaction
        undisturbed(name)
    with database.read() as session:
        jobs = [job for job in session.scalars(select(JobRow)) if job.tags.get("run") == run]
        for job in jobs:
            _examine_job(session, job, findings)
        found = findings.examined
        findings.broken += [f"I1 {lost}: accepted, but no row" for lost in set(accepted) - found]
        if len(found) > keys:
            findings.broken.append(f"I1 {keys} keys made {len(found)} jobs")
        findings.broken += [f"I8 {leak}" for leak in _leaks(database, session)]
    return findings


def examine_ended(database: Database, ids: Collection[str]) -> Findings:
    """Check those of these jobs that nothing can change any more, in the midst of a run."""
    findings = Findings()
    over = (JobStatus.SUCCEEDED, JobStatus.CANCELLED)  # what failed may be retried
    query = select(JobRow).where(JobRow.id.in_(ids), JobRow.status.in_(over))
    with database.read() as session:
        for job in session.scalars(query).all():
            _examine_job(session, job, findings)
    return findings


def _examine_job(session: Session, job: JobRow, findings: Findings) -> None:
    findings.jobs += 1
    findings.examined.add(job.id)
    story = events.after(session, job.id, 0, 10_000)
    findings.statuses[job.status] += 1
    findings.kinds.update(event.kind for event in story)
    findings.attempts += job.attempt
    breaks = [*_unended(job), *_illegal(job, story), *_two_writers(session, job, story)]
    breaks += [*_undone(story), *_leftovers(session, job)]
    if job.status == JobStatus.SUCCEEDED:
        wrong = _epochs_wrong(session, job)
        findings.epochs_wrong += wrong
        if wrong:
            breaks.append(f"I3 {wrong} epochs are lost or doubled")
        differences = _differences(session, job)
        findings.identical += not differences
        breaks += differences
    if any(event.kind == "nondeterminism" for event in story):
        breaks.append("I4 epochs computed again were not what they were")
    if breaks:
        path = " ".join(f"{e.kind}:{e.to_status or ''}@{e.attempt}" for e in story)
        findings.broken += [f"{each} [{job.id} {job.name}: {path}]" for each in breaks]


def _unended(job: JobRow) -> Iterator[str]:
    if job.status not in ENDED:
        yield f"I2 is still {job.status}, wanted to {job.want}"
    if job.status == JobStatus.FAILED:
        yield f"I2 failed: {job.error}"


def _epochs_wrong(session: Session, job: JobRow) -> int:
    """How many of the epochs 1..N are not there, or not once."""
    there = rows(session, job.id, metrics=[], first=1, last=10**9).at
    counts = np.bincount(there, minlength=job.epoch + 1)
    expected = np.ones(job.epoch + 1, np.int64)
    expected[0] = 0
    wrong = int(np.abs(counts[: job.epoch + 1] - expected).sum() + counts[job.epoch + 1 :].sum())
    summaries = select(MetricSummaryRow.count).where(MetricSummaryRow.job_id == job.id)
    return wrong + sum(abs(count - job.epoch) for count in session.scalars(summaries))


def _differences(session: Session, job: JobRow) -> list[str]:
    if job.name not in JOBS:
        return []
    expected, actual = undisturbed(job.name), result_of(session, job)
    return [
        f"I4 {part}: expected {getattr(expected, part)}, is {getattr(actual, part)}"
        for part in ("epochs", "history", "snapshots", "final")
        if getattr(expected, part) != getattr(actual, part)
    ]


def _illegal(job: JobRow, story: Sequence[JobEventRow]) -> Iterator[str]:
    if [event.seq for event in story] != list(range(1, len(story) + 1)):
        yield "I5 the events have a gap"
    status, attempt = None, 0
    for event in story:
        if event.kind != "moved":
            continue
        if event.from_status != status:
            yield f"I5 event {event.seq} begins at {event.from_status}, the one before at {status}"
        if status is not None and event.to_status not in MOVES.get(JobStatus(status), ()):
            yield f"I5 event {event.seq}: {status} -> {event.to_status} is no legal move"
        attempt += event.to_status == JobStatus.RUNNING
        if event.attempt != attempt:
            yield f"I5 event {event.seq} is of attempt {event.attempt}, should be {attempt}"
        status = event.to_status
    if (status, attempt) != (job.status, job.attempt):
        yield f"I5 the events end at {status}@{attempt}, the row at {job.status}@{job.attempt}"


def _two_writers(session: Session, job: JobRow, story: Sequence[JobEventRow]) -> Iterator[str]:
    """A later attempt's history never precedes an earlier one's; who ends it wrote the weights."""
    order = select(HistoryChunkRow.attempt).where(HistoryChunkRow.job_id == job.id)
    writers = session.scalars(order.order_by(HistoryChunkRow.first)).all()
    if list(writers) != sorted(writers):
        yield f"I6 chunks of history are of the attempts {writers}"
    final = select(SnapshotRow.attempt).where(
        SnapshotRow.job_id == job.id, SnapshotRow.kind == "final"
    )
    for attempt in session.scalars(final):
        if attempt != job.attempt:
            yield f"I6 attempt {attempt} wrote the final weights, attempt {job.attempt} the end"
    claims = Counter(e.attempt for e in story if e.to_status == JobStatus.RUNNING)
    if any(count > 1 for count in claims.values()):
        yield f"I6 an attempt was claimed more than once: {claims}"


def _undone(story: Sequence[JobEventRow]) -> Iterator[str]:
    """After a wish to stop, the next move is that, or the end; or the wish was taken back."""
    wish: str | None = None
    stops = {"cancel": JobStatus.CANCELLED, "pause": JobStatus.PAUSED}
    for event in story:
        if event.kind == "wanted":
            wish = event.reason.rsplit(" ", 1)[-1]
        elif event.kind == "moved":
            if wish in stops and event.to_status not in (stops[wish], *ENDED):
                yield f"I7 event {event.seq} leads to {event.to_status} in spite of {wish}"
            wish = None


def _leftovers(session: Session, job: JobRow) -> Iterator[str]:
    most = 1 if job.status == JobStatus.SUCCEEDED else CHECKPOINTS_KEPT
    query = select(func.count()).select_from(SnapshotRow)
    held = session.scalar(
        query.where(SnapshotRow.job_id == job.id, SnapshotRow.kind == "checkpoint")
    )
    if held is not None and held > most:
        yield f"I8 {held} checkpoints are left"


def _leaks(database: Database, session: Session) -> Iterator[str]:
    orphans = session.scalar(
        select(func.count())
        .select_from(SnapshotContentRow)
        .outerjoin(SnapshotRow, SnapshotRow.id == SnapshotContentRow.snapshot_id)
        .where(SnapshotRow.id.is_(None))
    )
    if orphans:
        yield f"{orphans} contents belong to no snapshot"
    if not database.is_sqlite:
        idle = session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
                "AND datname = current_database() AND state_change < now() - interval '5 seconds'"
            )
        )
        if idle:
            yield f"{idle} sessions idle in a transaction"
