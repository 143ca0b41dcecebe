"""PostgreSQL's side of the store: what a connection is told, and how long an answer may take.

Behind a link that swallows packets an answer never comes, and no error either.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, create_engine, event

STATEMENT_SECONDS = 20
# A transaction lasts milliseconds. The server cannot see that its client is gone for good, and what
# it had locked stays so: a job, which nobody could rescue then.
IDLE_SECONDS = 10
# The server gives every statement up in time, so who is silent for longer is not there.
ANSWER_SECONDS = STATEMENT_SECONDS + 2
OPTIONS = " ".join(
    (
        "-c lock_timeout=5s",
        f"-c statement_timeout={STATEMENT_SECONDS}s",
        f"-c idle_in_transaction_session_timeout={IDLE_SECONDS}s",
        "-c synchronous_commit=on",
    )
)
CONNECT = {
    "options": OPTIONS,
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds that what was sent may stay unacknowledged; the system's default is minutes.
    "tcp_user_timeout": 10_000,
    # Prepared statements outlive a transaction, which a pooler between would not.
    "prepare_threshold": None,
}


class Impatient(psycopg.Connection[Any]):
    """A connection that is closed where its server leaves a request without an answer.

    The kernel notices a peer that does not acknowledge; a proxy that acknowledges and passes
    nothing on, or a server that is stopped, is noticed here alone.
    """

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """What the generator of a request returns; raises OperationalError where it takes long."""
        try:
            return super().wait(_in_time(gen), *args, **kwargs)
        except Silent:
            self.pgconn.finish()
            raise


class Silent(psycopg.OperationalError):
    """The server did not answer."""


def _in_time(gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same generator, which is told several times a second that nothing has come."""
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise Silent(f"no answer in {ANSWER_SECONDS} seconds")
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value


def engine_of(url: URL, **options: Any) -> Engine:
    """An engine of impatient connections."""
    engine = create_engine(url, connect_args=CONNECT, pool_pre_ping=True, pool_timeout=5, **options)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, parameters: Any) -> Impatient:
        return Impatient.connect(*args, **parameters)

    return engine
