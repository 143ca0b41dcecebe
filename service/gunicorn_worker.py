"""gunicorn's worker of threads, made to drop a client that is too slow to say what it wants."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# Seconds without a byte, after which a client has no thread any more; gunicorn waits for ever.
SEND_SECONDS = 5


class PromptWorker(ThreadWorker):  # type: ignore[misc]
    """Takes the thread of a slow client back, and loses no time on its connection's end."""

    def handle(self, conn: Any) -> Any:
        """Serve a request; whether, or that later, there may be another one on the connection."""
        began = time.monotonic()
        more = super().handle(conn)
        if more is False and time.monotonic() - began >= SEND_SECONDS:
            # Else the thread that accepts connections would wait 2 seconds for what it still sends.
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)
        return more

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Let go of a connection whose socket a stream has taken over (service/handover.py)."""
        if conn.sock.fileno() == -1:
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)
