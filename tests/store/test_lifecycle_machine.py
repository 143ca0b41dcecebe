"""Every interleaving of users, workers and reconcilers, drawn by Hypothesis against a model."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backpropd.store import events, jobs, leases
from backpropd.store.database import Database
from backpropd.store.errors import Fenced, WrongState
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import FINAL, MOVES, JobStatus, allowed_actions
from backpropd.store.tables import LOCAL_TENANT
from tests.databases import migrated
from tests.jobs import find, mazur_job, submit

# Every step is made durable; where there is a folder in memory, that costs nothing.
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def template() -> Path:
    """A migrated database, made once."""
    file = Path(tempfile.mkdtemp()) / "template.sqlite"
    atexit.register(shutil.rmtree, file.parent)
    migrated(f"sqlite:///{file}")
    return file


class JobMachine(RuleBasedStateMachine):
    """One job; two workers that may each believe they hold it; users; a late reconciler."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=QUICK))
        file = self.folder / "machine.sqlite"
        shutil.copy(template(), file)
        self.database = Database(f"sqlite:///{file}")
        self.job_id = submit(self.database, mazur_job())
        self.leases: list[Lease] = []
        self.sightings: list[tuple[int, int]] = []
        self.attempts = 0
        self.final: str | None = None

    @rule()
    def claim(self) -> None:
        before = find(self.database, self.job_id)
        with self.database.write() as session:
            got = leases.claim(session, worker_id="w", task_id="t", queue="cpu")
        claimable = before.status == "queued" and before.want == "run"
        assert (got is not None) == claimable
        if got is not None:
            self.attempts += 1
            assert got[0].attempt == self.attempts
            self.leases.append(got[0])

    def held(self, lease: Lease) -> bool:
        job = find(self.database, self.job_id)
        return job.status == "running" and job.attempt == lease.attempt

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        held = self.held(lease)
        try:
            with self.database.write() as session:
                leases.beat(session, lease)
            assert held
        except Fenced:
            assert not held

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), end=st.sampled_from(["succeeded", "failed", "queued", "obey"]))
    def leave(self, data: st.DataObject, end: str) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        held = self.held(lease)
        try:
            with self.database.write() as session:
                want = leases.beat(session, lease)
                if end == "queued":
                    leases.give_back(session, lease, reason="drained")
                elif end != "obey":
                    leases.finish(session, lease, JobStatus(end), reason="done")
                elif want != "run":
                    to = JobStatus.PAUSED if want == "pause" else JobStatus.CANCELLED
                    leases.finish(session, lease, to, reason="obeyed")
            assert held
        except Fenced:
            assert not held

    @rule()
    def see(self) -> None:
        with self.database.read() as session:
            self.sightings += [(a, b) for _, a, b in leases.observed(session)]

    @precondition(lambda self: self.sightings)
    @rule(data=st.data())
    def rescue(self, data: st.DataObject) -> None:
        attempt, beat = data.draw(st.sampled_from(self.sightings))
        job = find(self.database, self.job_id)
        as_seen = job.status == "running" and (job.attempt, job.beat) == (attempt, beat)
        with self.database.write() as session:
            done = leases.rescue(session, job_id=self.job_id, attempt=attempt, beat=beat)
        assert (done is not None) == as_seen

    @rule(wish=st.sampled_from(["cancel", "pause", "resume", "retry"]))
    def ask(self, wish: str) -> None:
        before = find(self.database, self.job_id)
        refused = False
        try:
            with self.database.write() as session:
                getattr(jobs, wish)(session, LOCAL_TENANT, self.job_id)
        except WrongState:
            refused = True
        after = find(self.database, self.job_id)
        if refused:
            assert wish not in allowed_actions(before.status, before.want)
            assert (before.status, before.version) == (after.status, after.version)

    @invariant()
    def the_events_are_a_path_of_legal_moves(self) -> None:
        if not hasattr(self, "job_id"):
            return
        job = find(self.database, self.job_id)
        with self.database.read() as session:
            rows = events.after(session, self.job_id, 0, 10_000)
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        moves = [row for row in rows if row.kind == "moved"]
        status: str | None = None
        for move in moves:
            assert move.from_status == status
            if status is not None:
                assert move.to_status in MOVES[JobStatus(status)]
            status = move.to_status
        assert status == job.status
        assert job.attempt == self.attempts
        if self.final is not None:
            assert job.status == self.final
        if job.status in FINAL:
            self.final = job.status

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()
            shutil.rmtree(self.folder)


# More than ten thousand steps, each with its invariants.
JobMachine.TestCase.settings = settings(max_examples=260, stateful_step_count=40, deadline=None)
TestJobMachine = JobMachine.TestCase
