"""The brokers that may carry the bells of a plant, and what can be done to each from outside.

BACKPROPD_CHAOS_BROKER chooses the one of a whole run: `private`, a server on a Unix socket as
`backpropd up` starts it; `tcp`, such a server on a port; `sql`, a SQLite file, the last resort.
A bell carries nothing, so no test may care which it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import redis

from backpropd.bell import QUEUE
from backpropd.cli.broker import Broker, private_broker, server_program, sqlite_broker
from tests.system.apart import free_port

KINDS = ("private", "tcp", "sql")
KIND = os.environ.get("BACKPROPD_CHAOS_BROKER", KINDS[0])
assert KIND in KINDS, f"BACKPROPD_CHAOS_BROKER is one of {', '.join(KINDS)}"
SQL = "sqla+sqlite:///"


def made(kind: str, folder: Path) -> Broker:
    """A broker of this kind that keeps what it keeps in this folder."""
    if kind == "sql":
        return sqlite_broker(folder)
    if kind == "private":
        broker = private_broker(folder)
        assert broker.command is not None, "no redis-server, no valkey-server: the extra `embedded`"
        return broker
    program, port = server_program(), free_port()
    assert program is not None, "no redis-server, no valkey-server: the extra `embedded`"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return Broker(f"redis://127.0.0.1:{port}/0", [*command, "--appendonly", "yes"], "on a port")


def flush(url: str) -> None:
    """Every message is gone, if the broker is there to be told."""
    if url.startswith(SQL):
        with _file(url) as file:
            file.execute("DELETE FROM kombu_message")
        return
    with _client(url) as client, contextlib.suppress(redis.RedisError):
        client.flushall()


def put(url: str, messages: Iterable[bytes | str]) -> None:
    """Messages at the end of the workers' queue, whatever they are."""
    if url.startswith(SQL):
        with _file(url) as file:
            file.executemany(
                "INSERT INTO kombu_message (visible, payload, version, queue_id) "
                "SELECT 1, ?, 1, id FROM kombu_queue WHERE name = ?",
                [(_text(message), QUEUE) for message in messages],
            )
        return
    with _client(url) as client, contextlib.suppress(redis.RedisError):
        client.rpush(f"backpropd:{QUEUE}", *messages)


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """The file of a SQL broker, which nobody can read or write meanwhile."""
    other = sqlite3.connect(url.removeprefix(SQL), isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _client(url: str) -> redis.Redis:
    if url.startswith("redis+socket://"):
        return redis.Redis(unix_socket_path=url.removeprefix("redis+socket://"), socket_timeout=5)
    return redis.Redis.from_url(url, socket_timeout=5)


@contextlib.contextmanager
def _file(url: str) -> Iterator[sqlite3.Connection]:
    other = sqlite3.connect(url.removeprefix(SQL), timeout=10)
    try:
        with other, contextlib.suppress(sqlite3.OperationalError):  # nobody has rung yet
            yield other
    finally:
        other.close()


def _text(message: bytes | str) -> str:
    return message if isinstance(message, str) else message.decode("latin-1")
