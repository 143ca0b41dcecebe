"""/metrics: what an operator watches, for Prometheus.

Requests are counted by each process of the API, and gunicorn's processes share a folder in which
the counts of all are added up. The rest is read from the database when it is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from backpropd.store import figures
from backpropd.store.database import Database
from backpropd.store.figures import Figures

T = TypeVar("T")

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # known to the library by this name
UNKNOWN = "unknown"  # the route of an address at which there is nothing
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

REQUESTS = CollectorRegistry()
COUNTED = Counter(
    "backpropd_http_requests",
    "Requests by method, route and status.",
    ["method", "route", "status"],
    registry=REQUESTS,
)
SECONDS = Histogram(
    "backpropd_http_request_seconds",
    "Seconds until the answer begins.",
    ["route"],
    buckets=BUCKETS,
    registry=REQUESTS,
)


class State(Collector):
    """The whole service as its database shows it, and whether the broker answers."""

    def __init__(self, database: Database, ping_broker: Callable[[], bool]) -> None:
        self.database, self.ping_broker = database, ping_broker

    def collect(self) -> Iterator[Metric]:
        """Read everything once; raises Busy where the database does not answer."""
        answered, seconds = timed(self.ping_broker)
        yield gauge("broker_up", "1 while the broker answers.", float(answered))
        yield gauge("broker_seconds", "Seconds until the broker answered a ping.", seconds)
        found, seconds = timed(self._figures)
        yield gauge("database_seconds", "Seconds until it gave these figures.", seconds)
        yield from of(found)

    def _figures(self) -> Figures:
        with self.database.read() as session:
            return figures.read(session)


def of(found: Figures) -> Iterator[Metric]:
    """The figures in Prometheus's terms."""
    jobs = GaugeMetricFamily("backpropd_jobs", "Jobs by status.", labels=["status"])
    for status, count in found.jobs.items():
        jobs.add_metric([status], count)
    yield jobs
    yield gauge("queue_depth", "Jobs that a worker could claim now.", found.waiting)
    oldest = "For how long the oldest of them has waited."
    yield gauge("queue_oldest_seconds", oldest, found.oldest_seconds)
    yield gauge("slots", "Jobs that live workers can train at once.", found.slots)
    rate = "Epochs per second of all running jobs."
    yield gauge("epochs_per_second", rate, found.epochs_per_second)
    yield gauge("rescues", "Jobs taken from lost workers in the last ten minutes.", found.rescues)
    fenced = CounterMetricFamily(
        "backpropd_fenced_writes", "Writes that came after their lease was lost.", labels=["worker"]
    )
    for worker, count in found.fenced.items():
        fenced.add_metric([worker], count)
    yield fenced


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    """One number."""
    return GaugeMetricFamily(f"backpropd_{name}", meaning, value=value)


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What it gave, and the seconds it took."""
    began = time.perf_counter()
    return act(), time.perf_counter() - began


def page(database: Database, ping_broker: Callable[[], bool]) -> Response:
    """Everything, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(State(database, ping_broker))
    if FOLDER in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        counted = b""
    else:
        counted = generate_latest(REQUESTS)
    return Response(generate_latest(registry) + counted, content_type=CONTENT_TYPE_LATEST)


def install(app: Flask) -> None:
    """Count every request of the app."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else UNKNOWN
        COUNTED.labels(request.method, route, str(response.status_code)).inc()
        if "began" in g:
            SECONDS.labels(route).observe(time.perf_counter() - g.began)
        return response
