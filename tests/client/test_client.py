"""The client against the real service behind a real HTTP server, over a socket."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from flask import Flask, Response

from backpropd.client import Client, Problem
from tests.client.place import Place, serving
from tests.jobs import MAZUR, claim, iris_job, mazur_job, runner
from tests.system.apart import free_port

CSV = b"a,b,kind\n" + b"".join(b"%d,%d,%s\n" % (i, i % 3, b"xy"[i % 2 :][:1]) for i in range(12))


def test_a_definition_is_stored_and_named_in_a_job(place: Place) -> None:
    network = place.client.create_network(MAZUR)
    job = place.client.submit(mazur_job(epochs=2) | {"network": network["id"]})
    place.train()

    assert network["id"] == job["network_id"]
    assert "succeeded" == place.client.job(job["id"])["status"]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_csv_file_is_uploaded_with_its_options(
    client: Client, tmp_path: Path, as_file: bool
) -> None:
    (tmp_path / "rows.csv").write_bytes(CSV)
    content = tmp_path / "rows.csv" if as_file else CSV
    dataset = client.upload_csv(content, name="rows", scaling="minmax", inputs="a", targets="kind")

    assert ("rows", 12, "minmax") == (dataset["name"], dataset["rows"], dataset["scaling"])
    assert (["a"], ["x", "y"]) == (dataset["inputs"], dataset["classes"])


def test_history_is_read_whole_in_ranges_and_sampled(client: Client, iris: dict[str, Any]) -> None:
    whole = client.history(iris["id"])
    part = client.history(iris["id"], metrics=["loss", "val_loss"], first=5, last=9)
    sampled = client.history(iris["id"], metrics=["loss"], points=10, method="minmax")

    assert list(range(1, 31)) == whole["epoch"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(whole["series"])
    assert [5, 6, 7, 8, 9] == part["epoch"]
    assert {"loss": whole["series"]["loss"][4:9], "val_loss": whole["series"]["val_loss"][4:9]} == (
        part["series"]
    )
    assert 2 <= len(sampled["epoch"]) <= 10


def test_weights_are_the_same_numbers_in_each_format(client: Client, iris: dict[str, Any]) -> None:
    for snapshot in ("final", "initial", 10):
        read = client.weights(iris["id"], snapshot)["weights"]
        archive = np.load(io.BytesIO(client.weights_npz(iris["id"], snapshot)), allow_pickle=False)

        assert set(read) == {name for name in archive.files if name.endswith(("weight", "bias"))}
        for name, values in read.items():
            np.testing.assert_array_equal(archive[name], values)
    assert (5, 4) == np.shape(client.weights(iris["id"])["weights"]["hidden.weight"])


def test_a_trained_network_predicts_by_any_snapshot(client: Client, iris: dict[str, Any]) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
    final, initial = (
        client.predict(iris["id"], rows, snapshot=which) for which in ("final", "initial")
    )

    assert ["setosa", "virginica"] == final["classes"]
    assert final["outputs"] != initial["outputs"]
    assert [3, 3] == [len(row) for row in initial["outputs"]]


def test_layers_and_confusion_are_read(client: Client, iris: dict[str, Any]) -> None:
    confusion = client.confusion(iris["id"], split="validation")

    assert client.layers(iris["id"], points=30)["epoch"]
    assert 30 == sum(map(sum, confusion["matrix"]))


def test_the_catalog_and_a_trace_need_no_job(client: Client, mazur: dict[str, Any]) -> None:
    step = client.trace(
        network=MAZUR,
        inputs=[[0.05, 0.10]],
        targets=[[0.01, 0.99]],
        loss="half_squared_error",
        learning_rate=0.5,
    )

    assert mazur["simultaneous"]["0"]["error"] == pytest.approx(step["error_before"], rel=1e-12)
    assert "tanh" in {part["name"] for part in client.catalog()["activation"]}


def test_a_job_is_extended_and_cloned(place: Place) -> None:
    client = place.client
    first = place.trained(mazur_job(epochs=3))
    longer = client.extend(first["id"], 2)
    place.train()
    changed = client.clone(first["id"], name="again", training={"epochs": 7})
    place.train()

    assert (5, "extend") == (client.job(longer["id"])["progress"]["epoch"], longer["derived"])
    assert (7, "again") == (client.job(changed["id"])["progress"]["epoch"], changed["name"])
    assert ["succeeded"] == [each["outcome"] for each in client.attempts(changed["id"])]


def test_a_job_is_watched_from_the_queue_to_its_end(place: Place) -> None:
    """Each answer is newer than the one before; the last one has ended."""
    job = place.client.submit(iris_job(epochs=10))
    seen: list[dict[str, Any]] = []
    worker = threading.Thread(target=lambda: runner(place.database).run(*claim(place.database)))
    for each in place.client.watch(job["id"]):
        seen.append(each)
        if len(seen) == 1:
            worker.start()
    worker.join()
    versions = [each["version"] for each in seen]

    assert ("queued", "succeeded") == (seen[0]["status"], seen[-1]["status"])
    assert sorted(set(versions)) == versions
    assert {"running"} == {each["status"] for each in seen[1:-1]}
    assert place.client.wait(job["id"]) == seen[-1]


def test_a_waiting_job_is_paused_resumed_and_cancelled(client: Client) -> None:
    job = client.submit(mazur_job())
    states = [act(job["id"])["status"] for act in (client.pause, client.resume, client.cancel)]

    assert ["paused", "queued", "cancelled"] == states


def test_with_a_key_a_second_submission_gives_the_first_job(client: Client) -> None:
    first, second = (client.submit(mazur_job(), idempotency_key="k-1") for _ in range(2))
    client.cancel(first["id"])

    assert first["id"] == second["id"]


def test_a_batch_gives_a_job_or_a_problem_for_each(client: Client) -> None:
    good, bad = client.submit_batch([mazur_job(), mazur_job(epochs=0)])
    client.cancel(good["job"]["id"])

    assert "queued" == good["job"]["status"]
    assert ["/training/epochs"] == [error["pointer"] for error in bad["problem"]["errors"]]


def test_a_refusal_carries_all_faults_and_says_them(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.submit(mazur_job(epochs=0, loss="half_squared_eror"))
    problem = caught.value

    assert (422, "invalid") == (problem.status, problem.code)
    assert ["/training/epochs", "/training/loss"] == sorted(e["pointer"] for e in problem.errors)
    assert str(problem).startswith("422 2 faults")
    assert "/training/loss: " in str(problem)
    assert "half_squared_error" in str(problem)


def test_what_is_not_there_is_a_problem_without_faults(client: Client) -> None:
    for ask in (client.job, client.history, client.weights, client.cancel):
        with pytest.raises(Problem, match="There is no job 'job_none'") as caught:
            ask("job_none")

        assert (404, "not_found", []) == (
            caught.value.status,
            caught.value.code,
            caught.value.errors,
        )


def test_what_a_jobs_state_forbids_says_what_it_allows(
    client: Client, iris: dict[str, Any]
) -> None:
    with pytest.raises(Problem) as caught:
        client.pause(iris["id"])

    assert (409, "wrong_state") == (caught.value.status, caught.value.code)
    assert "delete" in caught.value.document["allowed_actions"]


def test_a_server_that_is_not_there_is_named() -> None:
    """The address stands in the sentence: a refused connection alone says little."""
    address = f"http://127.0.0.1:{free_port()}"
    with Client(address) as client, pytest.raises(httpx.ConnectError, match=address):
        client.job("job_1")


def test_an_answer_of_something_else_is_a_problem_too() -> None:
    """Such as a proxy's page: no problem document, and no traceback either."""
    proxy = Flask("proxy")
    proxy.add_url_rule("/<path:path>", view_func=lambda path: Response("<h1>Bad gateway</h1>", 502))
    with (
        serving(proxy) as address,
        Client(address) as client,
        pytest.raises(Problem, match="502") as caught,
    ):
        client.job("job_1")

    assert (502, "no_problem_document") == (caught.value.status, caught.value.code)
