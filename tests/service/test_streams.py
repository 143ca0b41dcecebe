"""A job's stream: every event once, from wherever a client left off, and the latest progress."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from backpropd.client.streams import Event, read
from backpropd.store import jobs, leases, news
from backpropd.store.database import Database
from backpropd.store.news import Seen
from backpropd.store.tables import LOCAL_TENANT, JobRow
from service import streams as streaming
from service.feeds import frames, seen_by
from service.streams import Streams, TooMany
from tests.jobs import claim, iris_job, mazur_job, submit
from tests.service.client import CheckingClient, faults
from tests.service.conftest import Service


def streamed(client: CheckingClient, job_id: str, last: str | None = None) -> list[Event]:
    """All that the stream of a job that has ended says."""
    headers = {} if last is None else {"Last-Event-ID": last}
    answer = client.get(f"/v1/jobs/{job_id}/events/stream", headers=headers)
    assert answer.status_code in (200, 204), answer.get_data(as_text=True)
    return list(read(answer.get_data(as_text=True).split("\n")))


def test_a_stream_tells_every_event_and_ends_with_the_last(service_on_both: Service) -> None:
    job = service_on_both.trained(mazur_job(epochs=50))
    client = service_on_both.client
    listed = client.get(f"/v1/jobs/{job['id']}/events").get_json()["data"]
    told = streamed(client, job["id"])

    assert listed == [event.data for event in told if event.kind != "progress"]
    assert ["moved", "moved", "progress", "moved"] == [event.kind for event in told]
    assert (50, 1.0) == (told[2].data["epoch"], told[2].data["fraction"])
    assert job["metrics"]["loss"]["last"] == told[2].data["metrics"]["loss"]
    assert "succeeded" == told[-1].data["to_status"]


def test_wherever_a_client_goes_on_it_gets_the_rest_once(service: Service) -> None:
    job = service.trained(mazur_job(epochs=50))
    whole = streamed(service.client, job["id"])
    for place, event in enumerate(whole):
        assert whole[place + 1 :] == streamed(service.client, job["id"], event.id)


def test_who_has_seen_all_is_told_not_to_ask_again(service: Service) -> None:
    job = service.trained(mazur_job(epochs=5))
    path = f"/v1/jobs/{job['id']}/events/stream"
    last = streamed(service.client, job["id"])[-1].id

    assert 204 == service.client.get(path, headers={"Last-Event-ID": last}).status_code
    assert 200 == service.client.head(path).status_code


def test_a_retried_job_goes_on_in_the_same_stream(service: Service) -> None:
    job = service.submit(mazur_job(epochs=5))
    lease, _ = claim(service.database)
    with service.database.write() as session:
        leases.beat(session, lease)
        leases.finish(session, lease, jobs.JobStatus.FAILED, reason="for the test")
    first = streamed(service.client, job["id"])
    service.client.post(f"/v1/jobs/{job['id']}/retry")
    service.train()
    rest = streamed(service.client, job["id"], first[-1].id)

    seqs = [event.data["seq"] for event in [*first, *rest] if event.kind != "progress"]
    assert list(range(1, len(seqs) + 1)) == seqs
    assert "succeeded" == rest[-1].data["to_status"]


@pytest.mark.parametrize("last", ["x", "-1", "1.2.3", "1e9", "9" * 40, "1.", "٣"])
def test_an_id_that_no_stream_gave_is_refused(service: Service, last: str) -> None:
    job = service.submit(mazur_job())
    path = f"/v1/jobs/{job['id']}/events/stream"
    answer = service.client.get(path, headers={"Last-Event-ID": last.encode().decode("latin-1")})

    assert {"/Last-Event-ID": "bad_event_id"} == faults(answer)


def test_a_stream_of_no_job_is_not_found(client: CheckingClient) -> None:
    assert 404 == client.get("/v1/jobs/job_none/events/stream").status_code


def test_so_many_streams_and_no_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = service.submit(mazur_job())
    path = f"/v1/jobs/{job['id']}/events/stream"
    few = replace(streaming.LIMITS, streams=2, streams_of_owner=1)
    monkeypatch.setattr(streaming, "LIMITS", few)
    first = service.client.get(path)  # its body is not read: it stays open
    second = service.client.get(path)

    assert (429, "too_many_streams") == (second.status_code, second.get_json()["code"])
    assert second.headers["Retry-After"]
    monkeypatch.setattr(streaming, "LIMITS", replace(few, streams=1))
    assert 503 == service.client.get(path).status_code
    next(iter(first.response))
    first.close()
    again = service.client.get(path)
    assert 200 == again.status_code
    again.close()


def test_progress_is_the_latest_state_not_a_row_an_epoch(database: Database) -> None:
    """
    However often a job is written between two looks, a look tells it once.
    """
    job_id = submit(database, mazur_job(epochs=1_000_000))
    lease, _ = claim(database)
    for epoch in range(1000, 50_000, 1000):
        with database.write() as session:
            leases.beat(session, lease, epoch=epoch)
    found = news.of(database, job_id, Seen())
    assert found is not None
    told, seen = frames(found, Seen())
    events = list(read(told.decode().split("\n")))
    again = news.of(database, job_id, seen)

    assert again is not None
    assert [49_000] == [event.data["epoch"] for event in events if event.kind == "progress"]
    assert (b"", seen) == frames(again, seen)
    assert seen == seen_by(events[-1].id)


# The thread that writes to all sockets, on real ones.


@pytest.fixture
def streams(database: Database) -> Iterator[Streams]:
    streams = Streams(database)
    yield streams
    streams.close()


def opened(streams: Streams, job_id: str, seen: Seen | None = None) -> socket.socket:
    """The client's end of a stream that begins."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    streams.reserve(LOCAL_TENANT)
    streams.begin(theirs, LOCAL_TENANT, job_id, seen or Seen())
    return ours


def heard(sock: socket.socket) -> Iterator[Event]:
    """The events, until the server closes."""
    with sock, sock.makefile("r", encoding="utf-8") as lines:
        yield from read(line.rstrip("\n") for line in lines)


def eventually(holds: Any) -> bool:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(holds())


def test_news_reach_everybody_who_watches(database: Database, streams: Streams) -> None:
    job_id = submit(database, mazur_job())
    other = submit(database, iris_job())
    watching = [opened(streams, job_id) for _ in range(20)]
    beside = opened(streams, other)
    told = [heard(sock) for sock in watching]
    assert ["queued"] * 20 == [next(events).data["to_status"] for events in told]
    with database.write() as session:
        jobs.cancel(session, LOCAL_TENANT, job_id)

    assert [["cancelled"]] * 20 == [[event.data["to_status"] for event in rest] for rest in told]
    assert eventually(lambda: len(streams) == 1)
    beside.close()
    assert eventually(lambda: len(streams) == 0)


def test_a_job_that_is_deleted_ends_its_streams(database: Database, streams: Streams) -> None:
    from sqlalchemy import delete

    job_id = submit(database, mazur_job())
    events = heard(opened(streams, job_id))
    assert "queued" == next(events).data["to_status"]
    with database.write() as session:
        session.execute(delete(JobRow).where(JobRow.id == job_id))

    assert [] == list(events)


def test_a_client_that_does_not_read_holds_up_nobody(database: Database, streams: Streams) -> None:
    """
    What it has not read is not made; when it reads again it gets the latest state, and every event.
    """
    job_id = submit(database, mazur_job(epochs=1_000_000))
    lease, _ = claim(database)
    slow, quick = opened(streams, job_id), opened(streams, job_id)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    told = heard(quick)
    # Text that fills every buffer between; the quick one reads it, and progress after it.
    for number in range(100):
        with database.write() as session:
            leases.beat(session, lease, epoch=number + 1)
            leases.note(session, lease, "resumed", "x" * 2000, {"text": "y" * 20_000})
    seen = 0
    while seen < 100:
        event = next(told)
        seen = event.data["epoch"] if event.kind == "progress" else seen
    with database.write() as session:
        leases.finish(session, lease, jobs.JobStatus.FAILED, reason="for the test")
    late = list(heard(slow))
    with closing(told):
        pass

    assert list(range(1, 104)) == [e.data["seq"] for e in late if e.kind != "progress"]
    assert len([event for event in late if event.kind == "progress"]) <= 100


def test_an_outage_of_the_database_ends_no_stream(
    database: Database, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backpropd.store.errors import Busy

    job_id = submit(database, mazur_job())
    events = heard(opened(streams, job_id))
    next(events)
    true_look, failed = news.Watcher.changed, threading.Event()

    def broken(self: news.Watcher, known: Any) -> list[str]:
        failed.set()
        raise Busy

    monkeypatch.setattr(news.Watcher, "changed", broken)
    with database.write() as session:
        jobs.pause(session, LOCAL_TENANT, job_id)
    assert failed.wait(10)
    monkeypatch.setattr(news.Watcher, "changed", true_look)

    assert "paused" == next(events).data["to_status"]


def test_many_events_come_in_pieces_and_none_is_left_out(
    database: Database, streams: Streams
) -> None:
    job_id = submit(database, mazur_job())
    with database.write() as session:
        for _ in range(150):
            jobs.pause(session, LOCAL_TENANT, job_id)
            jobs.resume(session, LOCAL_TENANT, job_id)
        jobs.cancel(session, LOCAL_TENANT, job_id)

    assert list(range(1, 303)) == [event.data["seq"] for event in heard(opened(streams, job_id))]


def test_silence_is_kept_alive_and_stalled_clients_are_given_up(
    database: Database, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.05)
    job_id = submit(database, mazur_job())
    sock = opened(streams, job_id)
    with sock, sock.makefile("r", encoding="utf-8") as lines:
        comments = (line for line in lines if line.startswith(":"))
        assert ": keep-alive\n" == next(comments)
    stalled = opened(streams, job_id)
    monkeypatch.setattr(streaming, "STALLED_SECONDS", 0.5)
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(version=2, epoch=1))
    monkeypatch.setattr(streaming, "KEEP_ALIVE", b":" + b" " * 10_000_000 + b"\n\n")

    assert eventually(lambda: len(streams) == 0)
    stalled.close()


def test_places_are_counted_by_owner(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        streaming, "LIMITS", replace(streaming.LIMITS, streams=3, streams_of_owner=2)
    )
    streams.reserve("a")
    streams.reserve("a")
    with pytest.raises(TooMany) as refused:
        streams.reserve("a")
    assert not refused.value.whole
    streams.reserve("b")
    with pytest.raises(TooMany) as refused:
        streams.reserve("b")
    assert refused.value.whole
    streams.release("a")
    streams.reserve("b")


def test_events_are_read_as_the_standard_says() -> None:
    lines = [": a comment", "", "id: 7", "event: moved", 'data:{"a": 1}', "", "data: {", "retry: 5"]

    assert [Event("7", "moved", {"a": 1})] == list(read(lines))
