"""A link that may swallow packets: nothing passes any more, and neither end is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True, eq=False)
class _Pair:
    """A connection of a client, and the one to the server that belongs to it."""

    client: socket.socket
    server: socket.socket | None  # None where the connection was never passed on
    dead: bool = False


@dataclass(slots=True)
class Link:
    """A port of the loopback address that leads to the Unix socket of a server.

    A connection through which packets were swallowed stays dead also when the link is whole again,
    as behind a firewall that has forgotten it; new ones pass.
    """

    path: Path
    whole: bool = True
    pairs: list[_Pair] = field(default_factory=list)
    listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        port: int = self.listener.getsockname()[1]
        return port

    def swallow(self) -> None:
        """Let nothing pass any more, in both directions."""
        self.whole = False
        for pair in self.pairs:
            pair.dead = True

    def heal(self) -> None:
        """Let new connections pass. The servers have noticed by now which clients are gone."""
        self.whole = True
        for pair in [pair for pair in self.pairs if pair.dead]:
            if pair.server is not None:
                _hang_up(pair.server)

    def close(self) -> None:
        """No link any more."""
        _hang_up(self.listener)
        for pair in self.pairs:
            for end in (pair.client, pair.server):
                if end is not None:
                    _hang_up(end)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        if self.whole:
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.path))
            except OSError:  # nobody is there, which the client is told
                server.close()
                client.close()
                return
        pair = _Pair(client, server, dead=server is None)
        self.pairs.append(pair)
        threading.Thread(target=self._pump, args=(pair, client, server), daemon=True).start()
        if server is not None:
            threading.Thread(target=self._pump, args=(pair, server, client), daemon=True).start()

    @staticmethod
    def _pump(pair: _Pair, source: socket.socket, target: socket.socket | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if target is not None and not pair.dead:
                    target.sendall(data)
        if target is not None and not pair.dead:
            _hang_up(target)
        source.close()


def _hang_up(end: socket.socket) -> None:
    """Wake whoever reads from it, too."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
