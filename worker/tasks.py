"""The bell's task, and what a worker process does when it is born, dies or is told to go."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import resource
import socket
import subprocess
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import Task
from celery.signals import (
    setup_logging,
    task_failure,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

from backpropd import logs
from backpropd.bell import QUEUE, TASK
from backpropd.engine.kernels import preload
from backpropd.failpoints import failpoint
from backpropd.store import leases, queueing, workers
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Fenced
from worker import drain, warming
from worker.app import app, settings
from worker.runner import Runner

log = logging.getLogger(__name__)

# Random with every start: a process id or a host name may come back, this does not.
WORKER_ID = uuid.uuid4().hex
NICENESS = 10  # the API on the same machine goes first
OOM_SCORE = "500"  # if the system must kill somebody, a job can be rescued


# A child that has not come back from the arithmetic for so long hangs, with the lock of the
# interpreter held, maybe; it is killed from a thread of its own, and its job is rescued.
WATCHDOG_SECONDS = 60
SEEN_SECONDS = 5  # also for how long an operator's wish to drain may go unheard
# Celery is woken when a dying child's pipe closes, often a moment before the child can be waited
# for; it then takes it for alive, and would look again only after 5 seconds.
LOOK_SECONDS = 1


class _Child:
    """What one child of the pool holds; made after the fork, which no connection may cross."""

    def __init__(self) -> None:
        self.database = Database(settings.database_url)
        self.runner = Runner(self.database, settings, drained=drain.begun, alive=restart_watchdog)


_child: _Child | None = None
_warming: subprocess.Popen[bytes] | None = None
# Before the pool forks: no child then takes time for it when its first job comes.
_has_kernels = settings.auto_kernels and preload()


def child() -> _Child:
    """This child's own database and runner."""
    global _child  # noqa: PLW0603 - one a process is what a pool's child has
    if _child is None:
        _child = _Child()
    return _child


def restart_watchdog() -> None:
    """Say that the arithmetic goes on."""
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=2)


@contextlib.contextmanager
def parents_database() -> Iterator[Database]:
    """A database for the pool's parent, closed again at once: it forks at any time."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.dispose()


@app.task(name=TASK, bind=True)
def work(task: Task) -> None:
    """Claim the best waiting job and run it; ring once more while others wait."""
    here = child()
    if drain.begun():
        # It came too late for this worker, but another one may be free.
        ring_if_waiting(here.database)
        return
    try:
        with here.database.write() as session:
            claimed = leases.claim(
                session, worker_id=WORKER_ID, task_id=task.request.id, queue=QUEUE
            )
    except Busy:
        log.warning("the database did not answer a claim; the reconciler will ring again")
        return
    if claimed is None:
        return
    failpoint("after_claim")
    lease, job = claimed
    logs.bind(job_id=lease.job_id)
    log.info("job %s: attempt %d begins", lease.job_id, lease.attempt)
    try:
        here.runner.run(lease, job)
    finally:
        logs.unbind()
        faulthandler.cancel_dump_traceback_later()
    ring_if_waiting(here.database)


def ring_if_waiting(database: Database) -> None:
    """One bell for the jobs that still wait; best effort, the reconciler rings too.

    Also where this worker goes down: what it has just handed back waits for another one.
    """
    try:
        with database.read() as session:
            waiting = queueing.waiting(session, QUEUE)
        if waiting:
            work.apply_async()
    except Exception as error:  # the broker or the database, neither of which may stop a worker
        log.warning("could not ring: %s", type(error).__name__)


def forget_brokers_file() -> None:
    """Where a SQLite file is the broker: open it anew, for SQLite forbids to share what is open.

    Kombu keeps its engines for the whole program, and so would hand the parent's to its children.
    """
    if settings.broker_url.startswith("sqla"):
        from kombu.transport.sqlalchemy import Channel  # noqa: PLC0415 - seldom there to be used

        for engine, _ in Channel._engines.values():
            engine.dispose(close=False)
        Channel._engines.clear()


@worker_process_init.connect
def on_fork(**_: Any) -> None:
    """Make a child modest and bounded."""
    forget_brokers_file()
    os.nice(NICENESS)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Elsewhere than on Linux, or where it is not allowed, the system chooses by itself.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(OOM_SCORE)


@worker_ready.connect
def on_ready(sender: Any, **_: Any) -> None:
    """Say that this worker is here, now and every few seconds; look after its children."""
    sender.timer.call_repeatedly(SEEN_SECONDS, show, (sender,))
    if sender.controller.use_eventloop:
        sender.timer.call_repeatedly(LOOK_SECONDS, sender.pool.maintain_pool)
    else:  # a thread of the pool looks; it then waits for 10 seconds for what a child may have said
        sender.pool._pool.lost_worker_timeout = LOOK_SECONDS
    show(sender)
    if _has_kernels:
        global _warming  # noqa: PLW0603 - one a worker
        _warming = warming.start()


def show(consumer: Any) -> None:
    """Write this worker down as seen now, and do what its operator wishes."""
    try:
        with parents_database() as database, database.write() as session:
            wanted = workers.seen(
                session,
                WORKER_ID,
                host=socket.gethostname(),
                version=version("backpropd"),
                queue=QUEUE,
                slots=settings.slots,
            )
    except Busy:
        log.warning("the database did not answer; this worker is not listed")
        return
    if wanted is not drain.asked():
        drain_as_asked(consumer, wanted)


def drain_as_asked(consumer: Any, wanted: bool) -> None:
    """Stop listening for bells and hand back what is held, or listen again."""
    log.warning("an operator wants this worker %s", "drained" if wanted else "to take jobs again")
    if wanted:
        consumer.cancel_task_queue(QUEUE)
    else:
        consumer.add_task_queue(QUEUE)
    drain.ask(wanted)


@worker_shutting_down.connect
def on_going_down(**_: Any) -> None:
    """Ask the children to hand their jobs back."""
    drain.begin()
    if _warming is not None:
        _warming.kill()


@setup_logging.connect
def on_logging(**_: Any) -> None:
    """Our form of log for Celery too."""
    logs.configure(settings)


@task_failure.connect
def on_failure(task_id: str, exception: BaseException, **_: Any) -> None:
    """Rescue at once what a killed child held, instead of waiting for its lease to go stale."""
    if isinstance(exception, WorkerLostError):
        try:
            with parents_database() as database:
                with database.write() as session:
                    leases.rescue_task(session, task_id)
                ring_if_waiting(database)
        except (Busy, Fenced):
            log.warning("the database did not answer a rescue; the reconciler will do it")
