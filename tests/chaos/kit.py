"""The real stack as processes on loopback, to break one part of and see that it settles.

`Plant` runs the processes of `backpropd` apart, as containers would, and starts again what dies, as
whoever runs containers would; or it runs `backpropd up`, which looks after its own. `Run` submits
jobs to it, waits until they have ended, and checks the invariants straight from the database.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from backpropd.cli.supervisor import die_with_parent
from backpropd.client import Client, Problem
from backpropd.store.database import Database
from tests.chaos import brokers
from tests.chaos.invariants import Findings, examine
from tests.chaos.workload import JOBS
from tests.databases import migrated
from tests.stack import FAST
from tests.system.apart import free_port

QUICK = {**FAST, "BACKPROPD_CHECKPOINT_SECONDS": "0.2"}
LEASE_SECONDS = float(FAST["BACKPROPD_LEASE_SECONDS"])
# Seconds; nothing here should take so long, but machines differ.
PATIENCE = float(os.environ.get("BACKPROPD_CHAOS_PATIENCE", "90"))
BACKPROPD = [sys.executable, "-m", "backpropd.cli"]
# Hours of work, of which no test waits for the end.
FOR_EVER = {"epochs": 1_000_000, "batch_size": 1}
TRYING_AGAIN_HELPS = (503, 507)  # the statuses that say so


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Role:
    """A process to keep running, or one that is down on purpose."""

    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    held: bool = False  # down, and to stay so
    log_begins: int = 0  # where in its log that begins what the present process says


@dataclass(slots=True)
class Plant:
    """A stack. Where `embedded`, one role, `up`, that starts the others."""

    folder: Path
    database_url: str
    address: str
    broker_url: str
    roles: dict[str, Role]
    embedded: bool = False
    scratch: Path | None = None  # a folder that goes with it
    deaths: int = 0
    also: list[Callable[[], None]] = field(default_factory=list)  # to be done while tending
    client: Client = field(init=False)
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.address, timeout=30)
        self.database = Database(self.database_url)

    def tend(self) -> None:
        """Start what is dead and should run; its whole session goes first, as a container would."""
        for act in self.also:
            act()
        for name, role in self.roles.items():
            if role.process is not None and role.process.poll() is not None:
                self.deaths += 1
                _kill_session(role.process)
                role.process = None
            if role.process is None and not role.held:
                self._start(name, role)

    def _start(self, name: str, role: Role) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            role.log_begins = log.tell()
            role.process = subprocess.Popen(
                role.command,
                env=role.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - no threads here
            )

    def restart(self, prefix: str, **environment: str) -> None:
        """Kill these, and start them with this besides their environment."""
        chosen = {name: role for name, role in self.roles.items() if name.startswith(prefix)}
        for role in chosen.values():
            if role.process is not None:
                _kill_session(role.process)
        for name, role in chosen.items():
            if role.process is not None:
                role.process.wait(10)
            role.environment = {
                name: value
                for name, value in role.environment.items()
                if not name.startswith("BACKPROPD_FAILPOINT")
            } | environment
            self._start(name, role)
        if prefix == "worker":
            self.wait_until(self.all_listen, "workers that listen")
        self.wait_until(self.answers, "the API")

    def hold(self, name: str) -> None:
        """Kill a role, and keep it down."""
        role = self.roles[name]
        role.held = True
        if role.process is not None:
            _kill_session(role.process)
            role.process.wait(10)
            role.process = None

    def release(self, name: str) -> None:
        """Let a role that was held down start again."""
        self.roles[name].held = False
        self.tend()

    def start_once(self, name: str) -> subprocess.CompletedProcess[bytes]:
        """Start a role that must refuse to run, and end by itself."""
        role = self.roles[name]
        return subprocess.run(
            role.command,
            check=False,
            env=role.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )

    def root(self, name: str) -> psutil.Process | None:
        """The main process of a role: broker, reconciler, api, worker (or worker-2, ...).

        A broker may be no process at all.
        """
        with contextlib.suppress(psutil.Error):
            if not self.embedded:
                process = self.roles[name].process if name in self.roles else None
                return None if process is None else psutil.Process(process.pid)
            up = self.roles["up"].process
            assert up is not None
            word = {"broker": "broker.sock", "api": "gunicorn", "worker": "worker.app"}
            for child in psutil.Process(up.pid).children():
                if word.get(name, "worker.reconciler") in " ".join(child.cmdline()):
                    return child
        return None

    @property
    def workers(self) -> list[str]:
        """The names of the workers."""
        return [name for name in self.roles if name.startswith("worker")] or ["worker"]

    def children(self, name: str) -> list[psutil.Process]:
        """The processes of a role's pool."""
        with contextlib.suppress(psutil.Error):
            root = self.root(name)
            return [] if root is None else root.children(recursive=True)
        return []

    def busy_child(self) -> tuple[str, psutil.Process] | None:
        """The worker and its child that trains now; None where none does."""
        family = [(worker, child) for worker in self.workers for child in self.children(worker)]
        before = {child.pid: _cpu_seconds(child) for _, child in family}
        time.sleep(0.15)
        spent = [
            (_cpu_seconds(child) - before[child.pid], index)
            for index, (_, child) in enumerate(family)
        ]
        most, index = max(spent, default=(0.0, -1))
        return family[index] if most > 0.03 else None

    def all_listen(self) -> bool:
        """Whether every worker, as it was started last, has said that it listens."""
        if self.embedded:
            log = self.folder / "data" / "logs" / "worker.log"
            return log.exists() and b" ready." in log.read_bytes()
        return all(self._listens(name) for name in self.workers)

    def _listens(self, name: str) -> bool:
        role = self.roles[name]
        if role.process is None or role.process.poll() is not None:
            return False
        return b" ready." in (self.folder / f"{name}.log").read_bytes()[role.log_begins :]

    def answers(self) -> bool:
        """Whether the API does."""
        try:
            return httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until(
        self, true: Callable[[], Any], what: str, *, seconds: float = PATIENCE, every: float = 0.05
    ) -> None:
        """Tend the plant until something comes true."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise Broken(f"after {seconds} s still no {what}; logs in {self.folder}")
            self.tend()
            time.sleep(every)

    def stop(self) -> None:
        """Leave nothing behind."""
        for role in self.roles.values():
            if role.process is not None:
                if self.embedded:
                    role.process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        role.process.wait(10)
                _kill_session(role.process)
                role.process.wait(10)
        self.client.close()
        self.database.dispose()
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _cpu_seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(sum(process.cpu_times()[:2]))
    return 0.0


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _bare_environment(**settings: str) -> dict[str, str]:
    """This process's environment without the settings of some other stack."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("BACKPROPD_")}
    one_thread = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    return own | one_thread | settings


def apart(
    folder: Path,
    database_url: str,
    *,
    workers: int = 2,
    slots: int = 1,
    broker: str = brokers.KIND,
    settings: dict[str, str] = QUICK,
    dress: Callable[[str, dict[str, str]], dict[str, str]] = lambda name, environment: environment,
) -> Plant:
    """A plant of separate processes, with a broker of this kind.

    `dress` makes the environment of a role of the role's name and what all others have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A socket's path may not be long, and pytest's folders are.
    short = Path(tempfile.mkdtemp(prefix="backpropd-chaos-"))
    bell = brokers.made(broker, short)
    migrated(database_url)
    environment = _bare_environment(
        BACKPROPD_DATABASE_URL=database_url, BACKPROPD_BROKER_URL=bell.url, **settings
    )
    port = free_port()
    commands = {
        "reconciler": [*BACKPROPD, "reconcile"],
        "api": [*BACKPROPD, "api", "--port", str(port)],
    }
    for number in range(1, workers + 1):
        commands[f"worker-{number}"] = [*BACKPROPD, "worker", "--slots", str(slots)]
    if bell.command is not None:
        commands = {"broker": bell.command, **commands}
    roles = {
        name: Role(command, dress(name, dict(environment))) for name, command in commands.items()
    }
    plant = Plant(folder, database_url, f"http://127.0.0.1:{port}", bell.url, roles, scratch=short)
    return _ready(plant)


def embedded(folder: Path, *, slots: int = 2, broker: str = brokers.KIND) -> Plant:
    """A plant that is one `backpropd up`, which keeps its own processes running.

    Its broker is its own, or, where that is asked for, a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, port = folder / "data", free_port()
    broker_url = brokers.made("sql", folder).url if broker == "sql" else None
    given = {} if broker_url is None else {"BACKPROPD_BROKER_URL": broker_url}
    command = [*BACKPROPD, "up", "--port", str(port), "--data", str(data)]
    roles = {"up": Role([*command, "--workers", str(slots)], _bare_environment(**QUICK, **given))}
    url = f"sqlite:///{data.resolve() / 'backpropd.sqlite'}"
    socket = f"redis+socket://{(data / 'broker').resolve() / 'broker.sock'}"
    plant = Plant(folder, url, f"http://127.0.0.1:{port}", broker_url or socket, roles, True)
    return _ready(plant)


def _ready(plant: Plant) -> Plant:
    try:
        plant.wait_until(plant.answers, "API")
        plant.wait_until(plant.all_listen, "worker that listens")
    except BaseException:
        plant.stop()
        raise
    return plant


class Run:
    """Jobs that belong together, submitted to one plant."""

    def __init__(self, plant: Plant, seed: int | None = None) -> None:
        self.plant, self.seed = plant, seed
        self.name = uuid.uuid4().hex
        self.keys = 0
        self.accepted: list[str] = []
        self.crash_loops = 0  # jobs that were failed because kills left them no progress
        self.refusals = 0  # answers that said: not now

    def submit(self, job: str, /, **changes: Any) -> str:
        """Submit the job of this name, with one key, until it is accepted; its id."""
        body = {**JOBS[job], **changes, "tags": {"run": self.name}}
        key = uuid.uuid4().hex
        self.keys += 1
        job = self.insist(lambda: self.plant.client.submit(body, idempotency_key=key))
        self.accepted.append(job["id"])
        return str(job["id"])

    def submit_endless(self) -> str:
        """Submit a job that is not over before it is cancelled; its id."""
        training = {**JOBS["momentum"]["training"], **FOR_EVER}
        return self.submit("momentum", name="long", training=training, snapshots={"best": None})

    def insist(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer; whoever is down comes back meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return ask()
            except (httpx.TransportError, Problem) as refused:
                helps = isinstance(refused, httpx.TransportError)
                helps = helps or refused.status in TRYING_AGAIN_HELPS
                if not helps or time.monotonic() > deadline:
                    raise
                self.refusals += 1
                self.plant.tend()
                time.sleep(0.1)

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it stands."""
        found: dict[str, Any] = self.insist(lambda: self.plant.client.job(job_id))
        return found

    def under_way(self, job_id: str, *, attempt: int = 1, epoch: int = 100) -> dict[str, Any]:
        """The job once this attempt of it, or a later one, has trained for a while."""
        seen: dict[str, Any] = {}

        def far_enough() -> bool:
            nonlocal seen
            seen = self.job(job_id)
            running = seen["status"] == "running" and seen["attempt"] >= attempt
            return bool(running and seen["progress"]["epoch"] >= epoch)

        self.plant.wait_until(far_enough, f"epoch {epoch} of attempt {attempt}")
        return seen

    def findings(self, *, seconds: float = PATIENCE) -> Findings:
        """Wait until every job has ended, or one does not; then check every invariant."""
        with contextlib.suppress(Broken):  # a job that does not end breaks I2
            for job_id in self.accepted:
                self.plant.wait_until(
                    lambda job_id=job_id: self._ended(job_id), f"end of {job_id}", seconds=seconds
                )
        return examine(self.plant.database, self.name, self.accepted, self.keys)

    def settle(self, *, seconds: float = PATIENCE) -> Findings:
        """Wait until every job has ended, then check every invariant; raises Broken."""
        findings = self.findings(seconds=seconds)
        if findings.broken:
            told = "\n".join(findings.broken)
            raise Broken(f"seed {self.seed}, logs in {self.plant.folder}:\n{told}")
        return findings

    def _ended(self, job_id: str) -> bool:
        job = self.job(job_id)
        if job["status"] == "failed" and job["error"]["code"] == "crash_loop":
            # Three kills without progress look like a job that kills; its user knows better.
            self.crash_loops += 1
            self.insist(lambda: self.plant.client.retry(job_id))
            return False
        return job["status"] in ("succeeded", "failed", "cancelled")


@contextlib.contextmanager
def standing(plant: Plant) -> Iterator[Plant]:
    """A plant for a while."""
    try:
        yield plant
    finally:
        plant.stop()
