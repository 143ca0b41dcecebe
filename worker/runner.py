"""Runs one attempt of one job, from its lease to its end."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from backpropd.data.prepare import Prepared, prepare
from backpropd.data.table import Damaged, Dataset
from backpropd.engine import Data, Training, TrainingState, evaluate, fit
from backpropd.export.weights import theta_of
from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training, generators, start
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.store import datasets, descendants, leases, networks, snapshots, workers
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Corrupt, Fenced
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import JobStatus, Want
from backpropd.store.tables import JobRow
from worker.kernels import chosen
from worker.lineage import fingerprint
from worker.recorder import News, Recorder

log = logging.getLogger(__name__)

FIRST_BLOCK_SECONDS = 0.01  # a job that is over by then is written down once, whole
BLOCK_SECONDS = 0.2  # how long a user waits, at most, for a wish to be seen within a beat
WAIT_SECONDS = 0.05  # between two looks at what is waited for
BACKOFF_SECONDS = 2.0


class Runner:
    """Turns the engine's crank for one job after the other."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        drained: Callable[[], bool],
        alive: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`drained` says whether the worker goes down, `alive` is told of every step forward, and
        `clock` is monotonic, in seconds.
        """
        self.database, self.settings = database, settings
        self.drained, self.alive, self.clock, self.sleep = drained, alive, clock, sleep

    def run(self, lease: Lease, job: JobRow) -> None:
        """Train until the job ends, is stopped by its user, or must be handed back.

        An error that nobody foresaw queues the job again after a while; the third fails it.
        """
        try:
            # Once a job: it takes a millisecond, and sums keep one order from here on.
            with threadpool_limits(limits=self.settings.threads):
                self._run(lease, job)
        except Fenced:
            log.warning("job %s: attempt %d was fenced off", lease.job_id, lease.attempt)
            self._count_fenced(job)
        except Busy:
            # Nothing could be read to begin with. The lease goes stale and somebody else tries.
            log.warning("job %s: the database did not answer", lease.job_id)
        except MemoryError:
            detail = "The job needs more memory than a worker has."
            self._fail(lease, {"code": "memory", "title": "Out of memory", "detail": detail})
        except Damaged:
            log.error("job %s: the dataset %s is damaged", lease.job_id, job.dataset_id)
            detail = (
                f"The stored dataset {job.dataset_id} is not what was uploaded; upload it again."
            )
            error = {"code": "dataset_damaged", "title": "Damaged dataset", "detail": detail}
            self._fail(lease, error)
        except Exception as error:
            log.exception("job %s: attempt %d failed", lease.job_id, lease.attempt)
            self._stumble(lease, error)

    def _count_fenced(self, job: JobRow) -> None:
        """For the operator's view; best effort."""
        with suppress(Busy), self.database.write() as session:
            workers.count_fenced(session, job.worker_id or "")

    def _run(self, lease: Lease, job: JobRow) -> None:
        self.alive()
        course = _Course(
            self.database,
            lease,
            job,
            auto_kernels=self.settings.auto_kernels,
            wait=self._waiting(lease),
        )
        recorder = Recorder(
            self.database,
            lease,
            course.spec,
            self.settings,
            run_seconds=job.run_seconds,
            clock=self.clock,
            sleep=self._patient_sleep,
        )
        state = course.begin()
        if course.spec.strict and not course.exact:
            detail = "It would go on under other circumstances than it began, and it is strict."
            self._fail(lease, {"code": "inexact", "title": "Not exact", "detail": detail})
            return
        if state.epoch == 0 and state.batch == 0:
            recorder.keep_initial(state)
        recorder.begin(course.facts, course.news)
        every = course.spec.snapshots.every
        ticker = _Ticker(self.clock, FIRST_BLOCK_SECONDS)
        blocks = fit(
            course.training,
            course.data,
            state,
            enough=ticker,
            mark=None if every is None else lambda epoch: epoch % every == 0,
            plan=course.kernel,
        )
        max_seconds = course.spec.training.stop.max_seconds
        for block in blocks:
            self.alive()
            want = recorder.take(block)
            if state.ended:
                self._end(recorder, course, state, state.ended)
            elif want is not Want.RUN and recorder.obey(state):
                return
            elif self.drained():
                recorder.hand_back(state)
                return
            elif max_seconds is not None and recorder.run_seconds >= max_seconds:
                self._end(recorder, course, state, "max_seconds")
                return
            ticker.restart(BLOCK_SECONDS)

    def _waiting(self, lease: Lease) -> Callable[[], bool]:
        """For who waits before training begins: holds the lease, and says whether to go on."""
        ticker = _Ticker(self.clock, self.settings.beat_seconds)

        def wait() -> bool:
            self._patient_sleep(WAIT_SECONDS)
            want = Want.RUN
            if ticker():
                ticker.restart(self.settings.beat_seconds)
                with contextlib.suppress(Busy), self.database.write() as session:
                    want = leases.beat(session, lease)
            return want is Want.RUN and not self.drained()

        return wait

    def _patient_sleep(self, seconds: float) -> None:
        """Wait for the database; that is no hang."""
        self.alive()
        self.sleep(seconds)

    def _end(self, recorder: Recorder, course: _Course, state: TrainingState, why: str) -> None:
        final = course.measured(state)
        error: dict[str, Any] | None = None
        status = JobStatus.SUCCEEDED
        if why == "diverged":
            status = JobStatus.FAILED
            detail = (
                f"In epoch {state.epoch + 1} a number was not finite any more, first in the layer "
                f"{state.diverged_in!r}. "
                f"The weights from the end of epoch {state.epoch} are kept as final; a smaller "
                "learning_rate, or scaled inputs, may help."
            )
            error = {"code": "diverged", "title": "Diverged", "detail": detail}
            error |= {"epoch": state.epoch + 1, "layer": state.diverged_in}
        recorder.finish(state, status, reason=why, final=final, error=error)

    def _fail(self, lease: Lease, error: dict[str, Any]) -> None:
        try:
            with self.database.write() as session:
                leases.beat(session, lease)
                reason = error["code"]
                leases.finish(session, lease, JobStatus.FAILED, reason=reason, error=error)
        except (Fenced, Busy):
            log.warning("job %s: could not be failed; its lease goes stale", lease.job_id)

    def _stumble(self, lease: Lease, error: Exception) -> None:
        # The class alone: a message may quote data, paths or SQL.
        detail = f"The worker met an error that was not foreseen ({type(error).__name__})."
        problem = {"code": "internal", "title": "Internal error", "detail": detail}
        seconds = BACKOFF_SECONDS * (1 + random.random()) * lease.attempt  # noqa: S311 - no secret
        try:
            with self.database.write() as session:
                leases.beat(session, lease)
                run_after = now() + timedelta(seconds=seconds)
                leases.stumble(session, lease, error=problem, run_after=run_after)
        except (Fenced, Busy):
            log.warning("job %s: could not be handed back; its lease goes stale", lease.job_id)


class _Course:
    """What an attempt works on: spec, network, data and the state to begin from."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        job: JobRow,
        *,
        auto_kernels: bool,
        wait: Callable[[], bool],
    ) -> None:
        """`wait` is what kernels.chosen takes."""
        self.database, self.lease = database, lease
        with database.read() as session:
            network_row = networks.find(session, job.tenant_id, job.network_id)
            dataset_row = datasets.find(session, job.tenant_id, job.dataset_id)
            content = datasets.content(session, job.dataset_id)
        self.dataset = Dataset.from_bytes(content)
        if self.dataset.sha256 != dataset_row.sha256:
            raise Damaged
        self.network_spec = parse(NetworkSpec, network_row.definition)
        self.spec = parse(JobSpec, job.spec)
        self.seed, self.derived = job.seed, job.derived
        self.network = build_network(self.network_spec, dtype=self.spec.training.dtype)
        self.training: Training = build_training(
            self.network,
            self.network_spec,
            self.spec.training,
            self.spec.history,
            self.spec.snapshots,
            task=self.dataset.task,
        )
        self.streams = generators(job.seed, self.spec.training.seeds)
        self.prepared: Prepared = prepare(self.dataset, self.spec.training, rng=self.streams.split)
        self.data = Data(
            inputs=self.prepared.inputs,
            targets=self.prepared.targets,
            weights=self.prepared.weights,
            validation_inputs=self.prepared.validation_inputs,
            validation_targets=self.prepared.validation_targets,
        )
        before = job.lineage or {}
        self.kernel = chosen(
            self.training,
            self.data,
            self.spec.training.kernel,
            before.get("kernel"),
            auto=auto_kernels,
            wait=wait,
        )
        self.fingerprint = fingerprint(self.spec.training.dtype, self.kernel.version)
        self.exact = before.get("exact", True)
        self.fingerprint_before = before.get("fingerprint")
        self.news: list[News] = []

    @property
    def facts(self) -> dict[str, Any]:
        """What of the job is known now that its data are at hand, as columns of its row."""
        batches = math.ceil(
            len(self.data.inputs) / (self.training.batch_size or len(self.data.inputs))
        )
        return {
            "lineage": self.lineage,
            "encoding": self.encoding,
            "updates_per_epoch": batches,
        }

    @property
    def lineage(self) -> dict[str, Any]:
        """Where the result comes from."""
        return {
            "dataset_sha256": self.dataset.sha256,
            "seed": self.seed,
            "seeds": self.spec.training.seeds.model_dump(),
            "exact": self.exact,
            "kernel": {"name": self.kernel.kernel, "reason": self.kernel.reason},
            "fingerprint": self.fingerprint,
        }

    @property
    def encoding(self) -> dict[str, Any]:
        """What predicting must do to inputs, and what outputs mean."""
        return self.prepared.encoding.to_json()

    def begin(self) -> TrainingState:
        """The newest checkpoint that is whole, or the state before the first update."""
        if self.lease.attempt == 1 and self.derived != descendants.EXTEND:
            return start(self.network_spec, self.training, self.streams)
        with self.database.read() as session:
            for row in snapshots.checkpoints(session, self.lease.job_id):
                try:
                    state = TrainingState.from_bytes(snapshots.content(session, row))
                except (Corrupt, ValueError):
                    reason = f"the checkpoint of epoch {row.epoch} is damaged and was passed over"
                    self.news.append(("checkpoint_damaged", reason, {"epoch": row.epoch}))
                    continue
                self._note_resume(state)
                return state
            theta = None
            if self.spec.initial is not None:
                given = snapshots.content(
                    session, snapshots.find(session, self.lease.job_id, "initial")
                )
                theta = theta_of(given, self.spec.training.dtype)
        return start(self.network_spec, self.training, self.streams, theta)

    def measured(self, state: TrainingState) -> dict[str, float]:
        """Loss and metrics with these weights over the whole training and validation sets."""
        measured = self._evaluated(state, self.data.inputs, self.data.targets)
        if self.data.validation_inputs is not None:
            validation = self._evaluated(
                state, self.data.validation_inputs, self.data.validation_targets
            )
            measured |= {f"val_{name}": value for name, value in validation.items()}
        return measured

    def _evaluated(self, state: TrainingState, X: Any, T: Any) -> dict[str, float]:
        loss, metrics = self.training.loss, self.training.metrics
        # Weights that are finite still, in a run that diverged, may well give a loss that is not.
        with np.errstate(over="ignore", invalid="ignore"):
            return evaluate(self.network, state.theta, X, T, loss=loss, metrics=metrics)

    def _note_resume(self, state: TrainingState) -> None:
        where = {"epoch": state.epoch, "batch": state.batch}
        self.news.append(("resumed", f"goes on after epoch {state.epoch}", where))
        if self.fingerprint_before not in (None, self.fingerprint):
            self.exact = False
            reason = "goes on under other circumstances; equal bits are not promised"
            detail = {"before": self.fingerprint_before, "now": self.fingerprint}
            self.news.append(("circumstances_changed", reason, detail))


class _Ticker:
    """True once a stretch of time is over."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self.clock = clock
        self.restart(seconds)

    def restart(self, seconds: float) -> None:
        self.until = self.clock() + seconds

    def __call__(self) -> bool:
        return self.clock() >= self.until
