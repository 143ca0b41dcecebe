"""Takes the socket of a stream from the server that accepted it, once the head is sent.

gunicorn gives a request's socket to the application. A thread of the server is needed to check who
asks and for what; to wait for news it is not, and goes back to its pool.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from backpropd.store.news import Seen
from service.feeds import RETRY
from service.streams import Streams

STREAM = "backpropd.stream"  # where a view leaves what is to be streamed
SOCKET = "gunicorn.socket"

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Opening:
    """A stream that a view has let in; its place is reserved."""

    tenant_id: str
    job_id: str
    seen: Seen


class HandedOver(StopIteration):
    """The socket is somebody else's; the server has nothing more to do with it."""


class Handover:
    """Around the application; all but streams pass through untouched."""

    def __init__(self, app: Wsgi, streams: Streams) -> None:
        self.app, self.streams = app, streams

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer; raises HandedOver where the answer goes on elsewhere."""
        sock: Any = environ.get(SOCKET)
        if not environ.get("PATH_INFO", "").endswith("/events/stream") or not _can_move(sock):
            return self.app(environ, start_response)
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def hear(status: str, headers: list[tuple[str, str]], error: object = None) -> None:
            said[:] = [(status, headers)]

        body = self.app(environ, hear)
        opening: Opening | None = environ.pop(STREAM, None)
        status, headers = said[0]
        if opening is None:
            start_response(status, headers)
            return body
        # The body is for other servers; not closed, because that would give the place back.
        try:
            sock.sendall(_head(status, headers) + RETRY)
        except OSError:
            self.streams.release(opening.tenant_id)
            raise
        own = socket.socket(fileno=sock.detach())
        self.streams.begin(own, opening.tenant_id, opening.job_id, opening.seen)
        raise HandedOver


def _can_move(sock: object) -> bool:
    return isinstance(sock, socket.socket) and not isinstance(sock, ssl.SSLSocket)


def _head(status: str, headers: list[tuple[str, str]]) -> bytes:
    """An answer without a length ends with its connection."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Date: {formatdate(usegmt=True)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")
