"""Commits what training gives: beat, history, snapshots and checkpoint in one fenced transaction.

Nothing of it can stand without the rest, and none of it is written by who has lost the lease.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.engine import Block, TrainingState
from backpropd.export.numbers import json_safe
from backpropd.export.weights import theta_bytes
from backpropd.failpoints import failpoint
from backpropd.settings import Settings
from backpropd.spec.job import JobSpec
from backpropd.store import history, leases, snapshots
from backpropd.store.clock import now
from backpropd.store.database import Database, Session
from backpropd.store.errors import Busy
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import JobStatus, Want
from backpropd.store.snapshots import Kept

log = logging.getLogger(__name__)

Epochs = NDArray[np.int64]
Floats = NDArray[np.float64]

News = tuple[str, str, dict[str, Any]]  # an event's kind, reason and detail

MEAN_SECONDS_BETWEEN_FAILURES = 3600.0
CHECKPOINT_SECONDS = (2.0, 60.0)
RETRY_SECONDS = (0.1, 5.0)
DIFFERING_TOLD = 20  # of what differs, the first ones say where it began


@dataclass(slots=True)
class _Pending:
    """What was trained and is not yet in the database."""

    epochs: list[Epochs] = field(default_factory=list)
    columns: list[dict[str, Floats]] = field(default_factory=list)
    batches: list[Epochs] = field(default_factory=list)
    batch_losses: list[Floats] = field(default_factory=list)
    since: datetime = field(default_factory=now)
    snapshots: list[Kept] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # columns of the job's row
    news: list[News] = field(default_factory=list)
    samples: int = 0


class Recorder:
    """Takes blocks, and writes them down when it is time."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        spec: JobSpec,
        settings: Settings,
        *,
        run_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """`run_seconds` is what earlier attempts took; `clock` is monotonic, in seconds."""
        self.database, self.lease, self.spec, self.settings = database, lease, spec, settings
        self.clock, self.sleep = clock, sleep
        self.started = self.flushed = self.checkpointed = clock()
        self.beat_at = self.started  # at once: whoever watches need not wait for a first epoch
        self.run_seconds_before = run_seconds
        self.checkpoint_every = settings.checkpoint_seconds or CHECKPOINT_SECONDS[0]
        self.pending = _Pending()
        self.last_row: tuple[Epochs, dict[str, Floats]] | None = None  # not among every k-th
        self.best_epoch_kept: int | None = None

    @property
    def run_seconds(self) -> float:
        """Seconds of training, over all attempts."""
        return self.run_seconds_before + self.clock() - self.started

    def take(self, block: Block) -> Want:
        """Keep a block; where a beat is due, commit, and bring home the user's wish."""
        self._keep_rows(block)
        self._keep_due_snapshots(block)
        self.pending.samples += block.samples
        if block.ended or self.clock() < self.beat_at:
            return Want.RUN
        return self.flush(block.state)

    def flush(self, state: TrainingState) -> Want:
        """Commit all that is pending, and a checkpoint if one is due."""
        due = self.clock() - self.checkpointed >= self.checkpoint_every
        return self._commit(state, checkpoint=due, then=None)

    def obey(self, state: TrainingState) -> bool:
        """Stop where the user wants it, with a checkpoint; False where that was taken back."""

        def then(session: Session) -> None:
            leases.obey(session, self.lease)

        return self._commit(state, checkpoint=True, then=then) is not Want.RUN

    def hand_back(self, state: TrainingState) -> None:
        """Give the job to another worker, with a checkpoint and without a charge."""

        def then(session: Session) -> None:
            leases.give_back(session, self.lease, reason="its worker goes down")

        self._commit(state, checkpoint=True, then=then)

    def finish(
        self,
        state: TrainingState,
        status: JobStatus,
        *,
        reason: str,
        final: dict[str, float],
        error: dict[str, Any] | None,
    ) -> None:
        """End the job: last history, final weights and state in one transaction."""
        measured = json_safe(final)
        if self.last_row is not None:
            self._pend_rows(*self.last_row)
            self.last_row = None
        self.pending.snapshots.append(self._snapshot("final", state.epoch, state.theta, measured))
        facts = {"stop_reason": reason, "final": measured, "error": error, "errors": 0}

        # A job that succeeded may be extended, and then goes on from its last state.
        extendable = status is JobStatus.SUCCEEDED

        def then(session: Session) -> None:
            leases.finish(session, self.lease, status, reason=reason, **facts)
            failpoint("before_final_commit")

        stay = 1 if extendable else 0
        self._commit(state, checkpoint=extendable, checkpoints=stay, then=then)
        failpoint("after_final_commit")

    def begin(self, facts: dict[str, Any], news: list[News]) -> None:
        """What this attempt knows at its start of the job, and its events; with the first beat."""
        self.pending.facts, self.pending.news = facts, news

    def keep_initial(self, state: TrainingState) -> None:
        """The weights before training; written with the first beat."""
        self.pending.snapshots.append(self._snapshot("initial", 0, state.theta, {}))

    def _keep_rows(self, block: Block) -> None:
        """The rows that the job's history shall have: 1, 1 + every, ..., and the last one."""
        epochs = block.first_epoch + np.arange(block.epochs, dtype=np.int64)
        wanted = (epochs - 1) % self.spec.history.every == 0
        if wanted.any():
            self._pend_rows(epochs[wanted], {n: v[wanted] for n, v in block.columns.items()})
        if block.batch_losses is not None and len(block.batch_losses):
            batches = block.first_batch + np.arange(len(block.batch_losses), dtype=np.int64)
            self.pending.batches.append(batches)
            self.pending.batch_losses.append(block.batch_losses)
        if len(wanted):
            last = (epochs[-1:], {name: values[-1:] for name, values in block.columns.items()})
            self.last_row = None if wanted[-1] else last

    def _pend_rows(self, epochs: Epochs, columns: dict[str, Floats]) -> None:
        self.pending.epochs.append(epochs)
        self.pending.columns.append(columns)

    def _keep_due_snapshots(self, block: Block) -> None:
        state, every = block.state, self.spec.snapshots.every
        if every and block.epochs and state.epoch and state.epoch % every == 0 and not state.batch:
            metrics = json_safe({name: float(v[-1]) for name, v in block.columns.items()})
            self.pending.snapshots.append(
                self._snapshot("every", state.epoch, state.theta, metrics)
            )

    def _best(self, state: TrainingState) -> list[Kept]:
        """The best weights so far, if they are newer than the ones that were kept."""
        if state.best_theta is None or state.best_epoch == self.best_epoch_kept:
            return []
        assert state.best_epoch is not None
        metrics = json_safe({str(self.spec.snapshots.best): state.best_value})
        return [self._snapshot("best", state.best_epoch, state.best_theta, metrics)]

    @staticmethod
    def _snapshot(kind: str, epoch: int, theta: Any, metrics: dict[str, Any]) -> Kept:
        return Kept(kind, epoch, theta_bytes(theta), metrics)

    def _commit(
        self,
        state: TrainingState,
        *,
        checkpoint: bool,
        checkpoints: int = snapshots.CHECKPOINTS_KEPT,
        then: Callable[[Session], None] | None,
    ) -> Want:
        """One transaction, tried until the database answers; the fence decides what holds.

        `checkpoints`: how many shall stay, this one included.
        """
        best = self._best(state)
        kept = [*self.pending.snapshots, *best]
        began = self.clock()
        if checkpoint:
            kept.append(Kept(snapshots.CHECKPOINT, state.epoch, state.to_bytes()))
        wait = RETRY_SECONDS[0]
        while True:
            try:
                want = self._write(state, kept, checkpoints, then)
                break
            except Busy:
                # Full jitter (a crowd of workers must not come back as one), and no end: the job
                # is safe as it stands, and whoever takes the lease meanwhile fences this one off.
                self.sleep(random.uniform(0, wait))  # noqa: S311 - no secret
                wait = min(2 * wait, RETRY_SECONDS[1])
        self.pending = _Pending()
        self.flushed = self.clock()
        self.beat_at = self.flushed + self.settings.beat_seconds
        if best:
            self.best_epoch_kept = state.best_epoch
        if checkpoint:
            self._set_checkpoint_interval(self.flushed - began)
        return want

    def _write(
        self,
        state: TrainingState,
        kept: list[Kept],
        checkpoints: int,
        then: Callable[[Session], None] | None,
    ) -> Want:
        seconds = max(self.clock() - self.flushed, 1e-9)
        with self.database.write() as session:
            want = leases.beat(
                session,
                self.lease,
                epoch=state.epoch,
                run_seconds=self.run_seconds,
                samples_per_second=self.pending.samples / seconds,
                **self.pending.facts,
            )
            failpoint("after_beat")
            for news in self.pending.news:
                leases.note(session, self.lease, *news)
            self._write_history(session)
            self._write_snapshots(session, kept, checkpoints)
            if then is not None:
                then(session)
        return want

    def _write_history(self, session: Session) -> None:
        pending, span = self.pending, (self.pending.since, now())
        if pending.epochs:
            epochs = np.concatenate(pending.epochs)
            columns = {
                name: np.concatenate([block[name] for block in pending.columns])
                for name in pending.columns[0]
            }
            differing = history.append(session, self.lease, epochs, columns, span=span)
            self._note_differing(session, "epochs", differing)
        if pending.batches:
            batches = np.concatenate(pending.batches)
            losses = {"loss": np.concatenate(pending.batch_losses)}
            differing = history.append(
                session, self.lease, batches, losses, axis=history.BATCHES, span=span
            )
            self._note_differing(session, "batches", differing)

    def _write_snapshots(self, session: Session, kept: list[Kept], checkpoints: int) -> None:
        differing = snapshots.keep(session, self.lease, kept, checkpoints=checkpoints)
        told = [{"kind": each.kind, "epoch": each.epoch} for each in differing]
        self._note_differing(session, "snapshots", told)

    def _note_differing(self, session: Session, what: str, differing: list[Any]) -> None:
        """A resumed job computes again what it had computed: every crash tests determinism."""
        if differing:
            reason = f"{len(differing)} {what} computed again are not what they were"
            log.warning("job %s: %s", self.lease.job_id, reason)
            detail = {what: differing[:DIFFERING_TOLD]}
            leases.note(session, self.lease, "nondeterminism", reason, detail)

    def _set_checkpoint_interval(self, cost: float) -> None:
        """Young 1974 and Daly 2006: sqrt(2 * cost * mean time between failures), bounded."""
        self.checkpointed = self.flushed
        if self.settings.checkpoint_seconds is None:
            best = math.sqrt(2 * cost * MEAN_SECONDS_BETWEEN_FAILURES)
            self.checkpoint_every = min(max(best, CHECKPOINT_SECONDS[0]), CHECKPOINT_SECONDS[1])
