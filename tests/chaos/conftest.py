"""The plants that the tests share: each breaks something of one, and leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import Server
from tests.chaos.kit import Plant, Run, apart
from tests.databases import need

# Each database's tests share a plant, so they must run in one test process.
DATABASES = [
    pytest.param(kind, marks=pytest.mark.xdist_group(f"chaos-{kind}"))
    for kind in ("sqlite", "postgresql")
]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server that nobody else needs: it is stopped in the middle of things."""
    need("postgresql")
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def plants() -> Iterator[dict[str, Plant]]:
    """Those that stand, by their database; each is built once, in whatever order tests come."""
    standing: dict[str, Plant] = {}
    yield standing
    for plant in standing.values():
        plant.stop()


@pytest.fixture(params=DATABASES)
def plant(
    request: pytest.FixtureRequest,
    plants: dict[str, Plant],
    tmp_path_factory: pytest.TempPathFactory,
) -> Plant:
    """Two workers with a slot each, API, reconciler and broker, over each database in turn."""
    need("redis")
    if request.param not in plants:
        folder = tmp_path_factory.mktemp("plant")
        url = f"sqlite:///{folder / 'plant.sqlite'}"
        if request.param == "postgresql":
            server: Server = request.getfixturevalue("server")
            url = server.url(server.create())
        plants[request.param] = apart(folder, url)
    return plants[request.param]


@pytest.fixture
def run(plant: Plant) -> Run:
    """The jobs of one test."""
    plant.wait_until(plant.answers, "API")
    return Run(plant)
