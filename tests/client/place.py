"""The service behind a real HTTP server in this process, and a worker's hand on its jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from backpropd.client import Client
from backpropd.store.database import Database
from service.bell import Bell
from tests.jobs import Fake, claim, runner


class SilentBell(Bell):
    """Wakes nobody: the tests run the jobs themselves."""

    def __init__(self) -> None:
        pass

    def ring(self) -> None:
        pass


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address of a server in a thread."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Place:
    """A client, and the database behind the service it speaks to."""

    client: Client
    database: Database

    def train(self) -> None:
        """Run the best waiting job to its end, as a worker does."""
        runner(self.database, clock=Fake(1e-6)).run(*claim(self.database))

    def trained(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job that is through."""
        job = self.client.submit(job)
        self.train()
        return self.client.job(job["id"])
