"""What a browser asks for a foreign page is refused, and what our own pages ask is not."""

from __future__ import annotations

import io

import pytest

from backpropd.settings import Settings
from service.app import create_app
from tests.jobs import MAZUR
from tests.service.client import CheckingClient
from tests.service.conftest import RecordingBell, Service


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "a.localhost:1"]
)
def test_a_local_server_answers_to_local_names(client: CheckingClient, host: str) -> None:
    assert 200 == client.get("/v1/jobs", headers={"Host": host}).status_code


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_point_here_is_refused(client: CheckingClient, host: str) -> None:
    answer = client.get("/v1/jobs", headers={"Host": host})

    assert (421, "misdirected") == (answer.status_code, answer.get_json()["code"])


def test_an_operator_says_under_which_names_it_is_asked(service: Service) -> None:
    settings = Settings(trusted_hosts="train.example, .lab.example", keys_required=False)
    app = create_app(settings, database=service.database, bell=RecordingBell())
    client = app.test_client()
    codes = [
        client.get("/v1/jobs", headers={"Host": host}).status_code
        for host in ("train.example", "a.lab.example:443", "localhost", "evil.example")
    ]

    assert [200, 200, 421, 421] == codes


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:9"},  # another server of the same machine
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_writes_nothing(client: CheckingClient, headers: dict[str, str]) -> None:
    """
    Not even by a form, which needs no leave of ours.
    """
    form = {"file": (io.BytesIO(b"a,b\n1,2\n"), "x.csv")}
    answers = [
        client.post("/v1/datasets", data=form, headers=headers),
        client.post("/v1/networks", json=MAZUR, headers=headers),
        client.delete("/v1/jobs/job_x", headers=headers),
    ]

    assert {(403, "cross_site")} == {(a.status_code, a.get_json()["code"]) for a in answers}
    assert [] == client.get("/v1/datasets").get_json()["data"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, {}], ids=str
)
def test_our_own_pages_do(client: CheckingClient, headers: dict[str, str]) -> None:
    assert 201 == client.post("/v1/networks", json=MAZUR, headers=headers).status_code
