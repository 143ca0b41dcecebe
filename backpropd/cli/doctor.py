"""`backpropd doctor`: is this machine fit to run the processes that its settings describe?"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import redis
import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info

from backpropd.bell import QUEUE
from backpropd.cli.app import app, settings
from backpropd.settings import Settings
from backpropd.store import keys, workers
from backpropd.store.database import Database
from backpropd.store.errors import Busy, Unusable
from backpropd.store.migrate import WrongSchema, check_schema

GOOD, POOR, BAD = "good", "poor", "bad"
FREE_BYTES = 2**30  # under so much free disk a history may soon find no room
SLOW_SECONDS = 0.05  # a database on this machine or beside it answers in a tenth of that
SKEW_SECONDS = 5.0  # leases depend on no clock; times that people read do
PACKAGES = ("backpropd", "numpy", "numba", "sqlalchemy", "celery", "flask", "redis", "psycopg")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something that was looked at."""

    what: str
    found: str
    verdict: str
    advice: str = ""


@app.command()
def doctor() -> None:
    """Look at settings, versions, BLAS, database, broker, disk and clock; exit 1 if one is bad."""
    verdicts = list(examine(settings()))
    table = Table("what", "found", "verdict", "advice", box=None)
    for each in verdicts:
        table.add_row(each.what, each.found, each.verdict, each.advice)
    Console(width=160).print(table)
    if any(each.verdict == BAD for each in verdicts):
        raise typer.Exit(1)


def examine(asked: Settings) -> Iterator[Verdict]:
    """Everything, the most basic first."""
    yield Verdict("Python", f"{platform.python_version()} on {platform.platform()}", GOOD)
    yield from _packages()
    yield from _settings(asked)
    yield _blas()
    yield from _database(asked)
    yield _broker(asked)
    yield _disk(asked)


def _packages() -> Iterator[Verdict]:
    found = {name: installed(name) for name in PACKAGES}
    yield Verdict("versions", ", ".join(f"{k} {v}" for k, v in found.items() if v), GOOD)
    if found["numba"] is None:
        advice = "without it training takes the plain path: pip install 'backpropd[kernels]'"
        yield Verdict("numba", "not installed", POOR, advice)


def installed(package: str) -> str | None:
    """The package's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _settings(asked: Settings) -> Iterator[Verdict]:
    given = sorted(f"BACKPROPD_{name.upper()}" for name in asked.model_fields_set)
    yield Verdict("settings", ", ".join(given) or "all defaults", GOOD)
    cores = os.cpu_count() or 1
    if asked.slots > cores:
        found = f"{asked.slots} slots on {cores} cores"
        yield Verdict("slots", found, POOR, "jobs take turns: set BACKPROPD_SLOTS to the cores")
    if asked.beat_seconds > asked.lease_seconds / 2:
        found = f"a beat each {asked.beat_seconds:g} s, leases of {asked.lease_seconds:g} s"
        yield Verdict("lease", found, BAD, "beat at least twice in a lease, or jobs are rescued")


def _blas() -> Verdict:
    np.ones((2, 2)) @ np.ones((2, 2))  # loads it
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        return Verdict("BLAS", "unknown", POOR, "large layers will be slow")
    pool = pools[0]
    core = os.environ.get("OPENBLAS_CORETYPE")
    found = f"{pool['internal_api']} {pool['version']}, {pool.get('architecture', '?')}"
    if core:
        return Verdict("BLAS", found, POOR, f"OPENBLAS_CORETYPE={core} may hide a newer chip")
    return Verdict("BLAS", found, GOOD)


def _database(asked: Settings) -> Iterator[Verdict]:
    try:
        database = Database(asked.database_url)
    except Unusable as error:
        yield Verdict("database", str(error), BAD, "set BACKPROPD_DATABASE_URL")
        return
    shown = database.url.render_as_string(hide_password=True)
    try:
        check_schema(database)
        seconds = _timed(database.ping)
        slow = seconds > SLOW_SECONDS
        advice = "every heartbeat waits for it" if slow else ""
        yield Verdict(
            "database", f"{shown}: {seconds * 1e3:.1f} ms", POOR if slow else GOOD, advice
        )
        if database.is_sqlite:
            yield Verdict("SQLite", sqlite3.sqlite_version, GOOD)
        else:
            yield _clock(database)
        with database.read() as session:
            live, free = workers.live(session), workers.slots(session, QUEUE)
            guarded = keys.any_alive(session)
        found = f"{len(live)} seen lately, {free} slots"
        yield Verdict("workers", found, GOOD if free else POOR, "" if free else "nobody trains")
        yield Verdict("keys", "needed" if guarded else "none: loopback addresses alone", GOOD)
    except Busy as error:
        reason = getattr(error.__cause__, "orig", error)
        yield Verdict("database", f"{shown}: {reason}", BAD, "start it, or mend its address")
    except WrongSchema:
        yield Verdict("database", f"{shown}: another schema", BAD, "run `backpropd migrate`")
    finally:
        database.dispose()


def _clock(database: Database) -> Verdict:
    skew = abs((database.time() - datetime.now(UTC)).total_seconds())
    slow = skew > SKEW_SECONDS
    advice = "synchronise it; not_before and expiry of keys follow it" if slow else ""
    return Verdict("clock", f"{skew:.1f} s from the database's", POOR if slow else GOOD, advice)


def _broker(asked: Settings) -> Verdict:
    url = asked.broker_url
    if not url.startswith(("redis", "rediss")):
        return Verdict("broker", url.split("://")[0], POOR, "the last resort; Redis wakes at once")
    try:
        client = redis.Redis.from_url(
            url.replace("redis+socket", "unix"), socket_timeout=2, socket_connect_timeout=2
        )
        seconds = _timed(client.ping)
        policy = dict(client.config_get("maxmemory-policy")).get("maxmemory-policy", "noeviction")
    except (redis.RedisError, ValueError) as error:
        advice = "jobs are stored and begin when it is back"
        return Verdict("broker", type(error).__name__, BAD, advice)
    if policy != "noeviction":
        return Verdict("broker", f"{policy}", POOR, "set maxmemory-policy to noeviction")
    return Verdict("broker", f"{seconds * 1e3:.1f} ms", GOOD)


def _disk(asked: Settings) -> Verdict:
    folder = Path.cwd()
    if asked.database_url.startswith("sqlite:///"):
        folder = Path(asked.database_url.removeprefix("sqlite:///")).absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    small = free < FREE_BYTES
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    return Verdict("disk", found, POOR if small else GOOD, "make room" if small else "")


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
