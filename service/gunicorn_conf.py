"""How gunicorn serves the app: two processes of threads, which wait well on a database."""

from __future__ import annotations

import os
import resource
import socket
import struct
import tempfile
from typing import Any

from backpropd import logs
from backpropd.settings import Settings
from service.gunicorn_worker import SEND_SECONDS

worker_class = "service.gunicorn_worker.PromptWorker"
workers = 2
# More than may wait for a job (service/api/jobs.py), so that waiting never takes all of them.
threads = 16
timeout = 90  # seconds; above the longest wait that a request may ask for
graceful_timeout = 3
keepalive = 30
control_socket_disable = True  # it would lie in the home of whoever starts it
accesslog = None  # the app logs its requests itself, with their ids
logconfig_dict = logs.configuration(Settings())
logconfig_dict["loggers"]["gunicorn.error"] = {"level": "INFO", "propagate": True, "handlers": []}
# Each worker imports the app after its fork: no connection is shared.
preload_app = False
limit_request_line = 8190  # a filter of the greatest length, percent-encoded
limit_request_fields = 100

# Where the processes add up what each has counted. Prometheus's library looks for it when it is
# imported, so nothing here may import it earlier.
_counts = tempfile.TemporaryDirectory(prefix="backpropd-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts.name

READ_SECONDS = 30  # without a byte taken of an answer


def post_fork(server: Any, worker: Any) -> None:
    """Allow as many open files as this process may have: each open stream is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def when_ready(server: Any) -> None:
    """Let every connection have these limits, which it inherits from the socket that listens."""
    limits = ((socket.SO_RCVTIMEO, SEND_SECONDS), (socket.SO_SNDTIMEO, READ_SECONDS))
    for listener in server.LISTENERS:
        for option, seconds in limits:
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))


def child_exit(server: Any, worker: Any) -> None:
    """Let what a dead process counted stay, without its gauges."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
