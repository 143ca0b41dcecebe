"""Jobs over HTTP: submitted whole or refused whole, watched, and told what their user wants."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from backpropd.store import datasets, jobs, networks
from backpropd.store.tables import LOCAL_TENANT
from tests.jobs import MAZUR, claim, iris_job, mazur_job
from tests.service.client import CheckingClient, details, faults
from tests.service.conftest import Service
from tests.store.races import meanwhile


def job_on(network: dict[str, Any], dataset: Any, **training: Any) -> dict[str, Any]:
    return {
        "network": network,
        "dataset": dataset,
        "training": {"loss": "mean_squared_error", **training},
    }


def wishes_in(shown: dict[str, Any]) -> set[str]:
    """What may be done to this very job; others may be made from it besides."""
    return {"cancel", "pause", "resume", "retry", "delete"} & set(shown["allowed_actions"])


def test_a_job_is_accepted_and_a_worker_is_woken(service: Service) -> None:
    accepted = service.client.post("/v1/jobs", json=mazur_job())
    job = accepted.get_json()

    assert 202 == accepted.status_code
    assert f"/v1/jobs/{job['id']}" == accepted.headers["Location"] == job["links"]["self"]
    assert int(accepted.headers["Retry-After"]) >= 1
    assert ("job", "queued", "run", 1) == (
        job["object"],
        job["status"],
        job["want"],
        job["queue_position"],
    )
    assert 1 == service.bell.rings
    assert job == service.client.get(accepted.headers["Location"]).get_json()


def test_what_is_only_validated_has_every_default_and_is_not_stored(service: Service) -> None:
    verdict = service.client.post("/v1/jobs?validate_only=true", json=mazur_job(epochs=7))
    found = verdict.get_json()

    assert (200, True) == (verdict.status_code, found["valid"])
    assert {"parameter_count": 12, "presentations": 7, "flops": 3 * 16 * 7} == found["estimate"]
    training = found["job"]["training"]
    assert (True, "float64", None) == (training["shuffle"], training["dtype"], training["seed"])
    assert 0.0 == training["optimizer"]["momentum"]
    assert "constant" == training["schedule"]["name"]
    assert ["inputs"] == found["job"]["network"]["layers"][0]["from"]
    assert (1, "loss", 5) == (
        found["job"]["history"]["every"],
        found["job"]["snapshots"]["best"],
        found["job"]["priority"],
    )
    for noun in ("jobs", "networks", "datasets"):
        assert [] == service.client.get(f"/v1/{noun}").get_json()["data"]
    assert 0 == service.bell.rings


def test_a_seed_is_drawn_and_recorded(client: CheckingClient) -> None:
    """
    Whoever runs the job again with it gets the same bits.
    """
    seeds = [
        client.post("/v1/jobs", json=mazur_job()).get_json()["training"]["seed"] for _ in range(2)
    ]

    assert seeds[0] != seeds[1]
    assert all(isinstance(seed, int) and 0 <= seed < 2**53 for seed in seeds)


def test_the_faults_of_all_parts_are_told_at_once(client: CheckingClient) -> None:
    job = {
        "network": {"inputs": 2, "layers": [{"units": 0, "activation": "logistik"}]},
        "dataset": {"inputs": [[1, "NaN"]], "targets": []},
        "training": {
            "epochs": 0,
            "batch_size": "some",
            "loss": "mse",
            "optimizer": {"name": "sgd", "learning_rate": -0.1, "momentun": 0.9},
            "seed": -1,
        },
        "priority": 10,
        "tags": {"a": 1},
        "wbhook": None,
    }

    assert {
        "/network/layers/0/units": "out_of_range",
        "/network/layers/0/activation": "unknown_name",
        "/dataset/inputs/0/1": "not_finite",
        "/dataset/targets": "out_of_range",
        "/training/epochs": "out_of_range",
        "/training/batch_size": "unknown_name",
        "/training/loss": "unknown_name",
        "/training/optimizer/learning_rate": "out_of_range",
        "/training/optimizer/momentun": "unknown_field",
        "/training/seed": "out_of_range",
        "/priority": "out_of_range",
        "/tags/a": "wrong_type",
        "/wbhook": "unknown_field",
    } == faults(client.post("/v1/jobs", json=job))
    assert [] == client.get("/v1/jobs").get_json()["data"]


FOUR_INPUTS = {"inputs": 4, "layers": [{"units": 1, "activation": "linear"}]}
THREE_COLUMNS = {"inputs": [[1, 2, 3], [4, 5, 7]], "targets": [[0.5], [0.2]]}


@pytest.mark.parametrize(
    ("job", "pointer", "said"),
    [
        (job_on(FOUR_INPUTS, THREE_COLUMNS), "/dataset", "3 input columns; the network takes 4"),
        (job_on(MAZUR, "builtin:xor"), "/dataset", "1 target columns; the network has 2 outputs"),
        (iris_job(loss="binary_cross_entropy"), "/training/loss", "binary_cross_entropy goes with"),
        (mazur_job(loss="cross_entropy"), "/training/loss", "softmax"),
        (
            iris_job(loss="half_squared_eror"),
            "/training/loss",
            "Did you mean 'half_squared_error'?",
        ),
        (mazur_job() | {"network": "net_nobody"}, "/network", "no network 'net_nobody'"),
        (mazur_job() | {"dataset": "ds_nobody"}, "/dataset", "no dataset 'ds_nobody'"),
        (iris_job() | {"dataset": "builtin:irsi"}, "/dataset", "Did you mean 'builtin:iris'?"),
        (
            mazur_job(optimizer={"name": "sgd", "learning_rate": -0.5}),
            "/training/optimizer/learning_rate",
            "greater than 0",
        ),
        (mazur_job(optimizer={"name": "sdg"}), "/training/optimizer/name", "Did you mean 'sgd'?"),
        (mazur_job(stop={"monitor": "val_loss"}), "/training/stop/monitor", "needs `validation`"),
        (mazur_job(metrics=["accuracy"]), "/training/metrics/0", "needs classes"),
        (
            mazur_job(validation={"fraction": 0.5}),
            "/training/validation",
            "nothing can be held back",
        ),
        (
            mazur_job() | {"snapshots": {"best": "val_loss"}},
            "/snapshots/best",
            "needs training.val",
        ),
        (mazur_job(epochs=10**8), "/training/epochs", "10000000"),
        (mazur_job() | {"webhook": "http://example.com"}, "/webhook", "None"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(
    client: CheckingClient, job: dict[str, Any], pointer: str, said: str
) -> None:
    refused = client.post("/v1/jobs", json=job)

    assert pointer in faults(refused)
    assert said in details(refused)


def test_a_job_on_what_is_stored_names_it(service: Service) -> None:
    client = service.client
    network = client.post("/v1/networks", json=MAZUR).get_json()["id"]
    dataset = client.post("/v1/datasets", json=mazur_job()["dataset"]).get_json()["id"]
    job = service.submit(mazur_job() | {"network": network, "dataset": dataset})

    assert (network, dataset, dataset) == (job["network_id"], job["dataset_id"], job["dataset"])
    assert 1 == len(client.get("/v1/networks").get_json()["data"])


def test_120_jobs_are_listed_newest_first_by_cursor(service_on_both: Service) -> None:
    """
    Jobs that are submitted meanwhile neither repeat nor push out a row.
    """
    client = service_on_both.client
    batch = {"jobs": [mazur_job() | {"name": str(number)} for number in range(120)]}
    assert {202} == {
        each["status"] for each in client.post("/v1/jobs/batch", json=batch).get_json()["data"]
    }
    names, cursor, pages = [], "", 0
    while cursor is not None:
        page = client.get(f"/v1/jobs?limit=50{cursor and '&cursor='}{cursor}").get_json()
        names += [job["name"] for job in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        cursor, pages = page["next_cursor"], pages + 1
        service_on_both.submit(mazur_job() | {"name": "late"})

    assert [str(number) for number in reversed(range(120))] == names
    assert 3 == pages


def test_jobs_can_be_listed_by_status(service: Service) -> None:
    waits, cancelled = (service.submit(mazur_job())["id"] for _ in range(2))
    service.client.post(f"/v1/jobs/{cancelled}/cancel")

    def listed(status: str) -> list[str]:
        page = service.client.get(f"/v1/jobs?status={status}").get_json()
        return [job["id"] for job in page["data"]]

    assert ([waits], [cancelled], []) == (listed("queued"), listed("cancelled"), listed("failed"))


def test_higher_priority_stands_further_in_front(service: Service) -> None:
    jobs = [service.submit(mazur_job() | {"priority": priority}) for priority in (5, 1, 9)]
    places = [
        service.client.get(f"/v1/jobs/{job['id']}").get_json()["queue_position"] for job in jobs
    ]

    assert [2, 3, 1] == places


def test_an_ended_job_shows_what_became_of_it(
    iris_trained: dict[str, Any], mazur_trained: dict[str, Any], mazur: dict[str, Any]
) -> None:
    assert ("succeeded", "epochs", {"delete"}) == (
        mazur_trained["status"],
        mazur_trained["stop_reason"],
        wishes_in(mazur_trained),
    )
    assert mazur["simultaneous"]["1000"]["error"] == pytest.approx(
        mazur_trained["final"]["loss"], rel=1e-12
    )
    loss = mazur_trained["metrics"]["loss"]
    assert (mazur["simultaneous"]["0"]["error"], 1, 1000) == (
        pytest.approx(loss["first"], rel=1e-12),
        loss["max_epoch"],
        loss["min_epoch"],
    )
    assert ["queued", "running", "succeeded"] == [
        move["to_status"] for move in iris_trained["transitions"]
    ]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(iris_trained["metrics"])
    assert 1.0 == iris_trained["progress"]["fraction"]
    assert None is iris_trained["queue_position"] is iris_trained["eta_at"]
    assert {"numpy", "blas"} <= {name.lower() for name in _names_in(iris_trained["lineage"])}


def _names_in(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value) | {name for item in value.values() for name in _names_in(item)}


@pytest.mark.parametrize(
    ("wishes", "status", "want"),
    [
        (["cancel"], "cancelled", "cancel"),
        (["cancel", "cancel"], "cancelled", "cancel"),
        (["pause"], "paused", "pause"),
        (["pause", "pause"], "paused", "pause"),
        (["pause", "resume"], "queued", "run"),
        (["resume"], "queued", "run"),
        (["retry"], "queued", "run"),
        (["pause", "cancel"], "cancelled", "cancel"),
    ],
)
def test_wishes_of_a_waiting_job_come_true_at_once(
    service: Service, wishes: list[str], status: str, want: str
) -> None:
    job = service.submit(mazur_job())["id"]
    answers = [service.client.post(f"/v1/jobs/{job}/{wish}") for wish in wishes]

    assert {202} == {answer.status_code for answer in answers}
    last = answers[-1].get_json()
    assert (status, want) == (last["status"], last["want"])


def test_wishes_of_a_running_job_are_written_down_for_its_worker(service_on_both: Service) -> None:
    job = service_on_both.submit(mazur_job())["id"]
    claim(service_on_both.database)

    def after(wish: str) -> tuple[str, str, int]:
        shown = service_on_both.client.post(f"/v1/jobs/{job}/{wish}").get_json()
        return shown["status"], shown["want"], shown["version"]

    version = service_on_both.client.get(f"/v1/jobs/{job}").get_json()["version"]
    assert ("running", "pause", version + 1) == after("pause") == after("pause")
    assert ("running", "run", version + 2) == after("resume") == after("resume")
    assert ("running", "cancel", version + 3) == after("cancel") == after("cancel")
    refused = service_on_both.client.post(f"/v1/jobs/{job}/resume")
    assert (409, {"cancel"}) == (refused.status_code, wishes_in(refused.get_json()))


def test_who_asks_to_resume_or_retry_wakes_a_worker(service: Service) -> None:
    job = service.submit(mazur_job())["id"]
    rings = []
    for wish in ("pause", "resume", "retry"):
        service.client.post(f"/v1/jobs/{job}/{wish}")
        rings.append(service.bell.rings)

    assert [1, 2, 3] == rings


@pytest.mark.parametrize("wish", ["pause", "resume", "retry", "cancel"])
def test_an_ended_job_can_only_be_deleted(
    taught: Service, mazur_trained: dict[str, Any], wish: str
) -> None:
    refused = taught.client.post(f"/v1/jobs/{mazur_trained['id']}/{wish}")
    problem = refused.get_json()

    assert (409, "wrong_state") == (refused.status_code, problem["code"])
    assert {"delete"} == wishes_in(problem)
    assert f"succeeded can't be asked to {wish}" in problem["detail"]


def test_a_failed_job_can_be_retried(service: Service) -> None:
    """
    It diverges; its user may have it run again, though with the same seed it ends the same.
    """
    spec = job_on(
        {"inputs": 1, "layers": [{"units": 1, "activation": "linear", "weights": [[1.0]]}]},
        {"inputs": [[1e3], [2e3]], "targets": [[1.0], [5.0]]},
        epochs=1000,
        optimizer={"name": "sgd", "learning_rate": 1e3},
    )
    failed = service.trained(spec)
    retried = service.client.post(f"/v1/jobs/{failed['id']}/retry").get_json()

    assert ("failed", "diverged", {"retry", "delete"}) == (
        failed["status"],
        failed["error"]["code"],
        wishes_in(failed),
    )
    assert ("queued", None, None) == (retried["status"], retried["error"], retried["finished_at"])


def test_a_job_is_deleted_with_all_that_came_of_it_once_it_has_ended(
    service_on_both: Service,
) -> None:
    client = service_on_both.client
    job = service_on_both.submit(mazur_job(epochs=3))["id"]
    refused = client.delete(f"/v1/jobs/{job}")
    service_on_both.train()

    assert (409, {"cancel", "pause"}) == (refused.status_code, wishes_in(refused.get_json()))
    assert 204 == client.delete(f"/v1/jobs/{job}").status_code
    for path in ("", "/history", "/snapshots", "/events", "/snapshots/final/weights"):
        assert 404 == client.get(f"/v1/jobs/{job}{path}").status_code


@pytest.mark.parametrize("path", ["", "/history", "/events", "/snapshots", "/confusion", "/layers"])
def test_what_nobody_has_submitted_is_not_found(client: CheckingClient, path: str) -> None:
    refused = client.get(f"/v1/jobs/job_nobody{path}")

    assert 404 == refused.status_code
    assert "There is no job 'job_nobody'" in refused.get_json()["detail"]


def test_events_are_numbered_and_read_on_from_any_of_them(service: Service) -> None:
    job = service.submit(mazur_job())["id"]
    for wish in ("pause", "resume", "cancel"):
        service.client.post(f"/v1/jobs/{job}/{wish}")
    path = f"/v1/jobs/{job}/events"
    all_of_them = service.client.get(path).get_json()
    first = service.client.get(f"{path}?limit=2").get_json()
    rest = service.client.get(f"{path}?after={first['next_cursor']}").get_json()

    assert [1, 2, 3, 4] == [event["seq"] for event in all_of_them["data"]]
    assert ["queued", "paused", "queued", "cancelled"] == [
        event["to_status"] for event in all_of_them["data"]
    ]
    assert all_of_them["data"] == first["data"] + rest["data"]
    assert (True, False) == (first["has_more"], rest["has_more"])


@pytest.mark.timeout(50)
def test_who_waits_for_a_version_that_is_past_is_answered_at_once(service: Service) -> None:
    """
    Were it to wait, the test's limit of time would tell.
    """
    job = service.submit(mazur_job())["id"]
    for query in ("wait=60&version=0", "wait=0", "wait=0&version=1"):
        answer = service.client.get(f"/v1/jobs/{job}?{query}")
        assert "queued" == answer.get_json()["status"]


def test_who_waits_is_answered_when_the_job_changes(service_on_both: Service) -> None:
    """
    The wish comes while the other request waits, or before it began: it is answered either way.
    """
    service = service_on_both
    job = service.submit(mazur_job())
    wish = threading.Timer(
        0.2, lambda: service.client.application.test_client().post(f"/v1/jobs/{job['id']}/pause")
    )
    wish.start()
    news = service.client.get(f"/v1/jobs/{job['id']}?wait=60&version={job['version']}").get_json()
    wish.join()

    assert "paused" == news["status"]
    assert news["version"] > job["version"]


def test_an_ended_job_has_no_news_to_wait_for(
    taught: Service, mazur_trained: dict[str, Any]
) -> None:
    path = f"/v1/jobs/{mazur_trained['id']}"
    answer = taught.client.get(f"{path}?wait=60&version={mazur_trained['version']}")

    assert mazur_trained == answer.get_json()


def test_of_a_batch_each_job_has_a_result_of_its_own(service: Service) -> None:
    bad = mazur_job(epochs=0) | {"dataset": "builtin:nothing"}
    batch = {"jobs": [mazur_job() | {"name": "a"}, bad, {}, mazur_job() | {"name": "b"}]}
    results = service.client.post("/v1/jobs/batch", json=batch).get_json()["data"]

    assert [202, 422, 422, 202] == [result["status"] for result in results]
    assert ["a", None, None, "b"] == [result["job"] and result["job"]["name"] for result in results]
    pointers = [fault["pointer"] for fault in results[1]["problem"]["errors"]]
    assert ["/training/epochs", "/dataset"] == pointers
    assert {"/network", "/dataset", "/training"} == {
        fault["pointer"] for fault in results[2]["problem"]["errors"]
    }
    assert 2 == len(service.client.get("/v1/jobs").get_json()["data"])
    assert 1 == service.bell.rings


def test_a_batch_of_nothing_but_faults_wakes_nobody(service: Service) -> None:
    service.client.post("/v1/jobs/batch", json={"jobs": [{}]})

    assert 0 == service.bell.rings


@pytest.mark.parametrize("jobs", [[], [7], {}, [mazur_job()] * 1001])
def test_what_is_no_batch_is_refused(client: CheckingClient, jobs: Any) -> None:
    assert 422 == client.post("/v1/jobs/batch", json={"jobs": jobs}).status_code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs?staus=queued"),
        ("GET", "/v1/networks?offset=3"),
        ("GET", "/v1/jobs/job_x?wiat=3"),
        ("GET", "/v1/jobs/job_x/history?pionts=3"),
        ("POST", "/v1/jobs/job_x/cancel?force=true"),
        ("DELETE", "/v1/networks/net_x?force=true"),
        ("GET", "/healthz?verbose=1"),
    ],
)
def test_unknown_parameters_are_refused_by_name(
    client: CheckingClient, method: str, path: str
) -> None:
    refused = client.open(path, method=method)
    name = path.partition("?")[2].partition("=")[0]

    assert [f"/{name}"] == list(faults(refused))


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=nonsense", "status=finished", "limit="]
)
def test_parameters_that_mean_nothing_are_refused(client: CheckingClient, query: str) -> None:
    refused = client.get(f"/v1/jobs?{query}")

    assert [f"/{query.partition('=')[0]}"] == list(faults(refused))


@pytest.mark.parametrize("noun", ["network", "dataset"])
def test_what_is_deleted_while_a_job_names_it_is_not_there(
    service_on_both: Service, noun: str
) -> None:
    """
    The job is submitted while the deletion is not yet committed: it waits, and finds nothing.
    """
    service = service_on_both
    body = MAZUR if noun == "network" else mazur_job()["dataset"]
    id_ = service.client.post(f"/v1/{noun}s", json=body).get_json()["id"]
    other = service.client.application.test_client()

    def delete(session: Any) -> None:
        (networks if noun == "network" else datasets).delete(session, LOCAL_TENANT, id_)
        session.flush()

    def submit() -> Any:
        return other.post("/v1/jobs", json=mazur_job() | {noun: id_})

    _, submitted = meanwhile(service.database, delete, submit)

    assert {f"/{noun}": "not_found"} == faults(submitted.result())


def test_rows_that_are_deleted_while_a_job_brings_them_again_are_kept_anew(
    service_on_both: Service,
) -> None:
    """
    The same content is one dataset; the job that waits for its deletion makes it again.
    """
    service = service_on_both
    path = service.client.post("/v1/datasets", json=mazur_job()["dataset"]).headers["Location"]
    id_ = path.rsplit("/", 1)[1]
    other = service.client.application.test_client()

    def delete(session: Any) -> None:
        datasets.delete(session, LOCAL_TENANT, id_)
        session.flush()

    _, submitted = meanwhile(
        service.database, delete, lambda: other.post("/v1/jobs", json=mazur_job())
    )
    answer = submitted.result()

    assert 202 == answer.status_code
    assert id_ != answer.get_json()["dataset_id"]


@pytest.mark.parametrize("asked", ["clone", "after"])
def test_a_job_that_is_deleted_while_another_names_it_is_not_there(
    service_on_both: Service, asked: str
) -> None:
    """
    As a network: who names it waits for the deletion, and finds nothing.
    """
    service = service_on_both
    id_ = service.submit(mazur_job())["id"]
    service.client.post(f"/v1/jobs/{id_}/cancel")
    other = service.client.application.test_client()

    def delete(session: Any) -> None:
        jobs.delete(session, LOCAL_TENANT, id_)
        session.flush()

    def name() -> Any:
        if asked == "clone":
            return other.post(f"/v1/jobs/{id_}/clone", json={})
        return other.post("/v1/jobs", json=mazur_job() | {"after": [id_], "on_failure": "run"})

    _, answered = meanwhile(service.database, delete, name)

    if asked == "clone":
        assert 404 == answered.result().status_code
    else:
        assert {"/after/0": "not_found"} == faults(answered.result())


def test_parts_that_are_right_are_compared_though_others_are_wrong(client: CheckingClient) -> None:
    """
    Whoever mends a request mends it once: shapes are told beside a rate below 0.
    """
    job = {
        "network": {"inputs": 4, "layers": [{"units": 3, "activation": "tanh"}]},
        "dataset": {"inputs": [[1, 2, 3]], "targets": [[1, 0]]},
        "training": {"loss": "cross_entropy", "optimizer": {"name": "sgd", "learning_rate": -1}},
    }
    unknown = {**job, "network": "net_none", "dataset": "builtin:irsi"}

    assert {
        "/training/optimizer/learning_rate": "out_of_range",
        "/dataset": "shape_mismatch",
    } == faults(client.post("/v1/jobs", json=job))
    assert {
        "/training/optimizer/learning_rate": "out_of_range",
        "/network": "not_found",
        "/dataset": "unknown_name",
    } == faults(client.post("/v1/jobs", json=unknown))
    wrong_data = {**job, "dataset": {"inputs": []}, "training": {"loss": "cross_entropy"}}
    assert "loss_mismatch" == faults(client.post("/v1/jobs", json=wrong_data))["/training/loss"]


def test_a_job_says_for_how_long_it_is_kept(service: Service) -> None:
    kept = {"days": 30, "history_days": 7, "snapshots_days": None, "checkpoints_days": None}
    told = service.submit(mazur_job() | {"retention": {"days": 30, "history_days": 7}})
    plain = service.submit(mazur_job())
    wrong = service.client.post(
        "/v1/jobs", json=mazur_job() | {"retention": {"days": 0, "weeks": 1}}
    )

    assert kept == told["retention"]
    assert dict.fromkeys(kept) == plain["retention"]
    assert {"/retention/days", "/retention/weeks"} == set(faults(wrong))
