"""Open streams: one thread a process looks for the news of all of them and writes to their sockets.

A stream holds no thread of the server's: once its head is sent, its socket is taken from the server
and given to this thread. What a client has not read yet is not made: news come from rows, so a slow
one gets the latest state when it reads again, and no more than a few frames of it lie in memory.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from backpropd.spec.limits import LIMITS
from backpropd.store import news
from backpropd.store.database import Database
from backpropd.store.errors import Busy
from backpropd.store.news import News, Seen, Watcher
from service.feeds import KEEP_ALIVE, frames

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.04  # between two looks for news
KEEP_ALIVE_SECONDS = 15.0
# Unread for so long, or vanished without a word: the connection is given up.
STALLED_SECONDS = 30.0
BLIND_SECONDS = 0.5  # after a database that did not answer


@dataclass(eq=False, slots=True)
class Stream:
    """An open connection, whose head is sent."""

    sock: socket.socket
    tenant_id: str
    job_id: str
    seen: Seen
    pending: bytearray = field(default_factory=bytearray)
    closing: bool = False  # when all is written
    written_at: float = 0.0


class TooMany(Exception):
    """So many streams are open as may be; `whole` says that it is the process that is full."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole


class Streams:
    """The streams of one process. Its thread begins with the first of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._places: Counter[str] = Counter()  # by owner, those that begin just now too
        self._new: deque[Stream] = deque()
        self._thread: threading.Thread | None = None
        self._ring: socket.socket | None = None  # wakes the thread

    def reserve(self, tenant_id: str) -> None:
        """Take a place for a stream of this owner; raises TooMany."""
        with self._lock:
            if self._places.total() >= LIMITS.streams:
                raise TooMany(whole=True)
            if self._places[tenant_id] >= LIMITS.streams_of_owner:
                raise TooMany(whole=False)
            self._places[tenant_id] += 1

    def release(self, tenant_id: str) -> None:
        """Give a place back that came to no stream."""
        with self._lock:
            self._places[tenant_id] -= 1
            if not self._places[tenant_id]:
                del self._places[tenant_id]

    def begin(self, sock: socket.socket, tenant_id: str, job_id: str, seen: Seen) -> None:
        """Own this socket, of a place that was reserved, from now on."""
        sock.setblocking(False)
        # A peer that is gone without a word is noticed by what it does not acknowledge.
        with suppress(OSError, AttributeError):
            milliseconds = int(STALLED_SECONDS * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._new.append(Stream(sock, tenant_id, job_id, seen, written_at=time.monotonic()))
        with self._lock:
            if self._ring is None:
                bell, self._ring = socket.socketpair()
                loop = _Loop(self._database, self._new, bell, self.release)
                self._thread = threading.Thread(target=loop.run, name="streams", daemon=True)
                self._thread.start()
            self._ring.send(b"\0")

    def close(self) -> None:
        """End every stream, and the thread."""
        with self._lock:
            ring, self._ring = self._ring, None
        if ring is not None and self._thread is not None:
            ring.close()
            self._thread.join()

    def __len__(self) -> int:
        """How many are open."""
        return self._places.total()


class _Loop:
    """What the thread does: writes, notices who is gone, and looks for news now and then."""

    def __init__(
        self,
        database: Database,
        new: deque[Stream],
        bell: socket.socket,
        release: Callable[[str], None],
    ) -> None:
        self.database, self.new, self.bell, self.release = database, new, bell, release
        self.watcher = Watcher(database)
        bell.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(bell, selectors.EVENT_READ, None)
        self.streams: dict[str, set[Stream]] = {}  # by job
        self.versions: dict[str, int] = {}  # of the jobs' rows, at the last look
        self.behind: set[Stream] = set()  # those that have not been told all
        self.next_look = self.next_round = 0.0
        self.ended = False

    def run(self) -> None:
        """Until the other end of the bell is closed."""
        while not self.ended:
            try:
                self.turn()
            except Exception as error:  # whatever it is, it must not end all the streams
                if not isinstance(error, Busy):
                    log.exception("streams")
                self.next_look = time.monotonic() + BLIND_SECONDS
                self.watcher.look_again()
        for stream in [each for some in self.streams.values() for each in some]:
            self._drop(stream)
        self.watcher.close()
        self.selector.close()
        self.bell.close()

    def turn(self) -> None:
        """Wait for a socket or for the next look."""
        wait = max(0.0, self.next_look - time.monotonic()) if self.streams else None
        for key, ready in self.selector.select(wait):
            if key.data is None:
                self._adopt()
            elif ready & selectors.EVENT_READ and self._is_gone(key.data):
                self._drop(key.data)
            elif ready & selectors.EVENT_WRITE:
                self._write(key.data)
        now = time.monotonic()
        if now >= self.next_look:
            self.next_look = now + LOOK_SECONDS
            self._look()
        if now >= self.next_round:
            self.next_round = now + 1
            self._go_round(now)

    def _adopt(self) -> None:
        with suppress(BlockingIOError):
            while rung := self.bell.recv(4096):
                pass
            self.ended = not rung
        while self.new:
            stream = self.new.popleft()
            self.selector.register(stream.sock, selectors.EVENT_READ, stream)
            self.streams.setdefault(stream.job_id, set()).add(stream)
            self.versions.setdefault(stream.job_id, -1)
            self.behind.add(stream)
        self.next_look = 0.0

    def _look(self) -> None:
        for job_id in self.watcher.changed(self.versions):
            self.behind |= self.streams[job_id]
        same: dict[tuple[str, Seen], News | None] = {}  # many may watch one job
        for stream in list(self.behind):
            if stream.pending:
                continue  # it has not read what it was told before
            key = stream.job_id, stream.seen
            if key not in same:
                same[key] = news.of(self.database, *key)
            self._tell(stream, same[key])

    def _tell(self, stream: Stream, found: News | None) -> None:
        if found is None:  # deleted
            stream.closing = True
        else:
            told, stream.seen = frames(found, stream.seen)
            stream.pending += told
            stream.closing = found.ended
            self.versions[stream.job_id] = found.job.version
            if not found.complete:
                self._write(stream)
                return
        self.behind.discard(stream)
        self._write(stream)

    def _write(self, stream: Stream) -> None:
        try:
            while stream.pending:
                sent = stream.sock.send(stream.pending)
                del stream.pending[:sent]
                stream.written_at = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(stream)
            return
        if stream.closing and not stream.pending:
            with suppress(OSError):
                stream.sock.shutdown(socket.SHUT_WR)
            self._drop(stream)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.pending else 0)
        if self.selector.get_key(stream.sock).events != wanted:
            self.selector.modify(stream.sock, wanted, stream)

    def _go_round(self, now: float) -> None:
        """Say that all is well to those who have heard nothing, and give up who does not read."""
        for stream in [each for some in self.streams.values() for each in some]:
            if stream.pending and now - stream.written_at > STALLED_SECONDS:
                self._drop(stream)
            elif not stream.pending and now - stream.written_at > KEEP_ALIVE_SECONDS:
                stream.pending += KEEP_ALIVE
                self._write(stream)

    @staticmethod
    def _is_gone(stream: Stream) -> bool:
        """Whether its client has left; what else it sends means nothing."""
        try:
            return not stream.sock.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _drop(self, stream: Stream) -> None:
        self.selector.unregister(stream.sock)
        stream.sock.close()
        self.behind.discard(stream)
        here = self.streams[stream.job_id]
        here.discard(stream)
        if not here:
            del self.streams[stream.job_id], self.versions[stream.job_id]
        self.release(stream.tenant_id)
