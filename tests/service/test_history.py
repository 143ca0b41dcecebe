"""History over HTTP: every epoch, in every format, whole or sampled without losing an extreme."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from backpropd.spec import limits
from service.api import history as view
from tests.jobs import mazur_job
from tests.service.client import details, faults
from tests.service.conftest import Service

METRICS = ["loss", "accuracy", "val_loss", "val_accuracy"]


class Reader:
    """Reads the histories of trained jobs."""

    def __init__(self, service: Service, job: dict[str, Any]) -> None:
        self.service, self.path = service, f"/v1/jobs/{job['id']}/history"

    def get(self, query: str = "") -> Any:
        return self.service.client.get(f"{self.path}?{query}")

    def json(self, query: str = "") -> dict[str, Any]:
        answer = self.get(query)
        assert 200 == answer.status_code, answer.get_data(as_text=True)
        found: dict[str, Any] = answer.get_json()
        return found


@pytest.fixture(scope="module")
def article(taught: Service, mazur_trained: dict[str, Any]) -> Reader:
    """1,000 epochs of the article's job."""
    return Reader(taught, mazur_trained)


@pytest.fixture(scope="module")
def flowers(taught: Service, iris_trained: dict[str, Any]) -> Reader:
    """30 epochs of iris, with four metrics."""
    return Reader(taught, iris_trained)


def test_every_epoch_is_there_and_the_articles_errors_among_them(
    article: Reader, mazur: dict[str, Any]
) -> None:
    """
    Row k is the error after k - 1 updates.
    """
    whole = article.json()

    assert ("history", 1000, False, False) == (
        whole["object"],
        whole["total"],
        whole["sampled"],
        whole["has_more"],
    )
    assert list(range(1, 1001)) == whole["epoch"]
    for updates in (0, 1, 2, 10, 100):
        expected = mazur["simultaneous"][str(updates)]["error"]
        assert expected == pytest.approx(whole["series"]["loss"][updates], rel=1e-12)


def test_all_metrics_come_unless_some_are_asked_for(flowers: Reader) -> None:
    assert set(METRICS) == set(flowers.json()["series"])
    assert ["val_loss", "loss"] == list(flowers.json("metrics=val_loss, loss,loss")["series"])


def test_a_range_includes_both_its_ends(flowers: Reader) -> None:
    part = flowers.json("from=5&to=7")

    assert ([5, 6, 7], 3) == (part["epoch"], part["total"])
    assert flowers.json()["series"]["loss"][4:7] == part["series"]["loss"]


@pytest.mark.parametrize("query", ["from=31", "from=7&to=6", "from=2147483647"])
def test_a_range_without_an_epoch_is_empty(flowers: Reader, query: str) -> None:
    for suffix in ("", "&points=10", "&format=ndjson"):
        answer = flowers.get(query + suffix)
        assert 200 == answer.status_code
    assert ([], 0) == tuple(flowers.json(query)[name] for name in ("epoch", "total"))


def test_csv_holds_every_digit(flowers: Reader) -> None:
    whole = flowers.json()
    answer = flowers.get("format=csv")
    rows = list(csv.reader(io.StringIO(answer.get_data(as_text=True))))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))

    assert "text/csv; charset=utf-8" == answer.content_type
    assert ["epoch", *whole["series"]] == rows[0]
    assert whole["epoch"] == [int(cell) for cell in columns["epoch"]]
    for metric in METRICS:
        assert whole["series"][metric] == [float(cell) for cell in columns[metric]]


def test_ndjson_is_an_object_a_line(flowers: Reader) -> None:
    whole = flowers.json("metrics=loss")
    answer = flowers.get("format=ndjson&metrics=loss")
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]

    assert "application/x-ndjson" == answer.content_type
    assert lines == [
        {"epoch": epoch, "loss": loss}
        for epoch, loss in zip(whole["epoch"], whole["series"]["loss"], strict=True)
    ]


def test_npz_is_read_by_numpy(flowers: Reader) -> None:
    whole = flowers.json()
    content = flowers.get("format=npz").get_data()
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        assert {"epoch", *METRICS} == set(archive.files)
        np.testing.assert_array_equal(whole["epoch"], archive["epoch"])
        np.testing.assert_array_equal(whole["series"]["val_loss"], archive["val_loss"])


@pytest.mark.parametrize("kind", ["csv", "ndjson", "npz"])
def test_every_format_takes_a_range_and_a_sample(article: Reader, kind: str) -> None:
    ranged = article.get(f"format={kind}&from=10&to=12")
    sampled = article.get(f"format={kind}&points=10")

    assert [200, 200] == [ranged.status_code, sampled.status_code]
    if kind == "npz":
        with np.load(io.BytesIO(ranged.get_data())) as archive:
            assert [10, 11, 12] == archive["epoch"].tolist()
    else:
        lines = ranged.get_data(as_text=True).splitlines()
        assert 3 + (kind == "csv") == len(lines)
        assert len(sampled.get_data(as_text=True).splitlines()) <= 10 + (kind == "csv")


def test_a_long_stream_is_the_same_as_a_short_one(
    article: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is read block by block; where blocks meet no row is lost and none comes twice.
    """
    whole = article.get("format=csv").get_data()
    monkeypatch.setattr(view, "BLOCK_ROWS", 7)

    assert whole == article.get("format=csv").get_data()


@pytest.mark.parametrize("method", ["minmax", "lttb", "mean"])
@pytest.mark.parametrize("points", [4, 10, 137])
def test_a_sample_has_no_more_points_than_asked_for(
    article: Reader, method: str, points: int
) -> None:
    sample = article.json(f"points={points}&method={method}")

    assert sample["sampled"]
    assert 1000 == sample["total"]
    assert 2 <= len(sample["epoch"]) <= points
    assert sample["epoch"] == sorted(set(sample["epoch"]))
    assert sample == article.json(f"points={points}&method={method}")


def test_minmax_keeps_both_ends_and_each_extreme(flowers: Reader) -> None:
    """
    Every value that stays is one that was measured.
    """
    whole, sample = flowers.json(), flowers.json("points=12")
    kept = dict(zip(sample["epoch"], sample["series"]["val_loss"], strict=True))

    assert {1, 30} <= set(kept)
    for metric in METRICS:
        assert min(whole["series"][metric]) in sample["series"][metric]
        assert max(whole["series"][metric]) in sample["series"][metric]
    for epoch, value in kept.items():
        assert whole["series"]["val_loss"][epoch - 1] == value


def test_the_range_comes_before_the_sampling(article: Reader) -> None:
    sample = article.json("from=101&to=900&points=20")

    assert (800, 101, 900) == (sample["total"], sample["epoch"][0], sample["epoch"][-1])


def test_fewer_epochs_than_points_come_whole(flowers: Reader) -> None:
    sample = flowers.json("points=30")

    assert (False, 30) == (sample["sampled"], len(sample["epoch"]))


def test_pages_follow_each_other_by_cursor(
    article: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A page holds 100,000 rows; here 300, which asks for no long training.
    """
    whole = article.json()
    monkeypatch.setattr(view, "LIMITS", limits.Limits(history_page=300))
    epochs, cursor = [], "1"
    sizes = []
    while cursor is not None:
        page = article.json(f"cursor={cursor}")
        epochs += page["epoch"]
        sizes.append(len(page["epoch"]))
        assert page["has_more"] is (page["next_cursor"] is not None)
        cursor = page["next_cursor"]

    assert whole["epoch"] == epochs
    assert [300, 300, 300, 100] == sizes


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("metrics=lss", "/metrics", "Did you mean 'loss'?"),
        ("metrics=loss,", "/metrics", "no metric ''"),
        ("metrics=f1", "/metrics", "no metric 'f1'"),
        ("points=3", "/points", "greater than or equal to 4"),
        ("points=9", "/points", "For 4 metrics at least 10 points"),
        ("points=x", "/points", "integer"),
        ("method=median", "/method", "Known: minmax, lttb, mean"),
        ("format=xlsx", "/format", "Known: json, csv, ndjson, npz, parquet"),
        ("from=0", "/from", "greater than or equal to 1"),
        ("to=-1", "/to", "greater than or equal to 1"),
        ("from=NaN", "/from", "integer"),
        ("cursor=abc", "/cursor", "no cursor that a history has given"),
        ("cursor=-5", "/cursor", "no cursor that a history has given"),
    ],
)
def test_a_question_without_an_answer_is_refused(
    flowers: Reader, query: str, pointer: str, said: str
) -> None:
    refused = flowers.get(query)

    assert [pointer] == list(faults(refused))
    assert said in details(refused)


def test_a_job_that_waits_has_a_history_without_rows(service: Service) -> None:
    reader = Reader(service, service.submit(mazur_job()))

    assert ([], {"loss": []}) == (reader.json()["epoch"], reader.json()["series"])
    assert "epoch,loss\n" == reader.get("format=csv").get_data(as_text=True)


def test_what_is_no_number_travels_as_a_word(service_on_both: Service) -> None:
    """
    A diverging job's last rows: strict JSON all the same, and CSV that float() reads.
    """
    spec = {
        "network": {
            "inputs": 1,
            "layers": [{"units": 1, "activation": "linear", "weights": [[1]]}],
        },
        "dataset": {"inputs": [[1e3], [2e3]], "targets": [[1.0], [5.0]]},
        "training": {
            "epochs": 1000,
            "loss": "mean_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 1e3},
        },
    }
    job = service_on_both.trained(spec)
    reader = Reader(service_on_both, job)
    loss = reader.json()["series"]["loss"]
    lines = reader.get("format=csv").get_data(as_text=True).splitlines()
    sampled = reader.json("points=8")["series"]["loss"]

    assert "failed" == job["status"]
    assert loss[-1] in ("NaN", "Infinity")
    assert loss[-1] == sampled[-1]
    assert not np.isfinite(float(lines[-1].split(",")[1]))


def test_jobs_are_compared_in_the_order_asked_for(
    taught: Service, mazur_trained: dict[str, Any], iris_trained: dict[str, Any]
) -> None:
    jobs = [iris_trained["id"], mazur_trained["id"]]
    body = {"jobs": jobs, "metrics": ["loss", "val_loss"], "points": 20}
    compared = taught.client.post("/v1/history/compare", json=body).get_json()["data"]

    assert jobs == [each["job"] for each in compared]
    assert [["loss", "val_loss"], ["loss"]] == [list(each["series"]) for each in compared]
    assert [(30, True), (1000, True)] == [(each["total"], each["sampled"]) for each in compared]
    assert all(len(each["epoch"]) <= 20 for each in compared)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"jobs": []}, 422),
        ({"jobs": ["job_nobody"]}, 404),
        ({"jobs": ["job_nobody\0"]}, 422),
        ({"jobs": "job_nobody"}, 422),
        ({"jobs": ["a"] * 101}, 422),
        ({"jobs": ["a"], "points": 3}, 422),
        ({"jobs": ["a"], "metrics": []}, 422),
        ({"jobs": ["a"], "metric": ["loss"]}, 422),
    ],
)
def test_a_comparison_of_nothing_is_refused(
    service_on_both: Service, body: dict[str, Any], status: int
) -> None:
    assert status == service_on_both.client.post("/v1/history/compare", json=body).status_code


def test_a_metric_that_none_of_them_has_is_refused(
    taught: Service, mazur_trained: dict[str, Any]
) -> None:
    body = {"jobs": [mazur_trained["id"]], "metrics": ["accuracy"]}

    assert {"/jobs/0": "unknown_name"} == faults(
        taught.client.post("/v1/history/compare", json=body)
    )


def test_statistics_of_layers_are_read_by_layer(
    taught: Service, iris_trained: dict[str, Any]
) -> None:
    path = f"/v1/jobs/{iris_trained['id']}/layers"
    whole = taught.client.get(path).get_json()
    one = taught.client.get(f"{path}?stat=weight_norm&from=2&to=4").get_json()

    assert {"hidden", "output"} == set(whole["layers"])
    assert {"weight_norm", "gradient_norm", "update_ratio"} <= set(whole["layers"]["hidden"])
    assert [2, 3, 4] == one["epoch"]
    assert ["weight_norm"] == list(one["layers"]["output"])
    assert whole["layers"]["output"]["weight_norm"][1:4] == one["layers"]["output"]["weight_norm"]


def test_statistics_that_nobody_measured_are_refused(
    taught: Service, mazur_trained: dict[str, Any], iris_trained: dict[str, Any]
) -> None:
    unmeasured = taught.client.get(f"/v1/jobs/{mazur_trained['id']}/layers")
    unknown = taught.client.get(f"/v1/jobs/{iris_trained['id']}/layers?stat=wieght_norm")

    assert 422 == unmeasured.status_code
    assert "layers" in details(unmeasured)
    assert "Did you mean 'weight_norm'?" in details(unknown)
