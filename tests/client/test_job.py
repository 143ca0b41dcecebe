"""Jobs in the hand, against the real service: trained, waited for, steered, and taken from."""

from __future__ import annotations

import builtins
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from backpropd.client import Client, Job, Problem, Unsuccessful
from backpropd.spec.limits import Limits
from tests.client.place import Place
from tests.jobs import iris_job, mazur_job

IRIS_CSV = Path(__file__).parents[2] / "examples/iris.csv"
mpl.use("agg")


@pytest.fixture(scope="module")
def job(place: Place) -> Job:
    """A job that is through, with validation and snapshots."""
    job = Job(place.client, place.client.submit(iris_job() | {"name": "first"}))
    place.train()
    return job.wait()


@contextmanager
def training(place: Place) -> Iterator[None]:
    """A worker that runs one job meanwhile."""
    worker = threading.Thread(target=place.train)
    worker.start()
    yield
    worker.join()


def test_a_csv_file_and_the_units_of_a_layer_are_enough(place: Place) -> None:
    job = place.client.train(
        [8], IRIS_CSV, target="species", epochs=40, seed=7, validation=0.2, learning_rate=0.1
    )
    with training(place):
        job.wait(60)

    definition, asked = job.info["network"], job.info["training"]
    shape = [(layer["units"], layer["activation"]) for layer in definition["layers"]]
    dataset = place.client.dataset(job.info["dataset_id"])
    assert (4, [(8, "tanh"), (3, "softmax")]) == (definition["inputs"], shape)
    assert ("cross_entropy", 40, 0.2) == (
        asked["loss"],
        asked["epochs"],
        asked["validation"]["fraction"],
    )
    assert ("standard", "iris.csv") == (dataset["scaling"], dataset["name"])
    assert job.final is not None
    assert job.final["val_accuracy"] > 0.8


@pytest.mark.parametrize("frame", [False, True])
def test_arrays_and_frames_are_uploaded(place: Place, frame: bool) -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = X.sum(axis=1)
    data: Any = (X, y)
    if frame:
        data = pd.DataFrame(X, columns=list("abc")).assign(total=y)
    job = place.client.train(4, data, epochs=2, scaling="none", learning_rate=0.01)
    with training(place):
        job.wait(60)

    dataset = place.client.dataset(job.info["dataset_id"])
    output = job.info["network"]["layers"][-1]
    assert (["total"] if frame else ["y"]) == dataset["targets"]
    assert ("linear", "mean_squared_error") == (output["activation"], job.info["training"]["loss"])
    assert 0.01 == job.info["training"]["optimizer"]["learning_rate"]


def test_a_builtin_set_says_how_many_inputs_and_outputs_it_needs(place: Place) -> None:
    job = place.client.train([3], "builtin:xor", batch_size="all", epochs=1).cancel()

    assert (2, "logistic") == (
        job.info["network"]["inputs"],
        job.info["network"]["layers"][-1]["activation"],
    )
    assert "binary_cross_entropy" == job.info["training"]["loss"]


def test_a_stored_network_has_the_loss_that_suits_it(client: Client, job: Job) -> None:
    other = client.train(job.info["network_id"], "builtin:iris", epochs=1).cancel()

    assert "cross_entropy" == other.info["training"]["loss"]


@pytest.mark.parametrize(
    ("data", "settings", "error", "sentence"),
    [
        ("builtin:xor", {"lerning_rate": 1}, TypeError, "Did you mean 'learning_rate'"),
        ("builtin:xor", {"scaling": "minmax"}, TypeError, "scaling: for an upload"),
        ("builtin:nothing", {}, ValueError, "give a definition"),
        (object(), {}, TypeError, "a path, a DataFrame or a pair of arrays"),
        (([[1.0], [2.0]], [1.0]), {}, ValueError, r"these are \(2, 1\) and \(1, 1\)"),
        ("nowhere.csv", {}, FileNotFoundError, "nowhere.csv"),
    ],
)
def test_what_means_nothing_is_told_before_anything_is_sent(
    client: Client, data: Any, settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    before = len(list(client.jobs()))
    with pytest.raises(error, match=sentence):
        client.train([2], data, **settings)

    assert before == len(list(client.jobs()))


def test_what_the_server_refuses_carries_pointers(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.train([2], "builtin:xor", epochs=0, optimizer="sgdd")

    pointers = sorted(error["pointer"] for error in caught.value.errors)
    assert ["/training/epochs", "/training/optimizer"] == pointers


def test_history_comes_as_arrays(job: Job) -> None:
    history = job.history()
    part = job.history(["loss"], first=5, last=9)

    assert 30 == len(history)
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(history.metrics)
    np.testing.assert_array_equal(np.arange(1, 31), history.epoch)
    np.testing.assert_array_equal(history["loss"][4:9], part["loss"])
    assert np.float64 == history["loss"].dtype


def test_a_history_of_several_pages_is_one(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.history.LIMITS", Limits(history_page=7))

    np.testing.assert_array_equal(np.arange(1, 31), job.history().epoch)


def test_curves_are_drawn_and_compared(place: Place, job: Job) -> None:
    other = job.clone(training={"epochs": 4}, name="second")
    place.train()
    axes = None
    for each in job.compare(other):
        axes = each.plot(["loss"], ax=axes)

    assert axes is not None
    assert ["first", "second"] == [text.get_text() for text in axes.get_legend().get_texts()]
    assert ["loss", "val_loss"] == [
        line.get_label().removeprefix("first ") for line in job.history().plot().lines
    ]


def test_a_history_becomes_a_table(job: Job) -> None:
    frame = job.history(["loss"]).to_dataframe()

    assert ("epoch", ["loss"]) == (frame.index.name, list(frame.columns))
    assert job.info["metrics"]["loss"]["last"] == frame["loss"][30]


@pytest.mark.parametrize(
    ("package", "use", "sentence"),
    [
        ("matplotlib", "plot", r"pip install 'backpropd\[plot\]'"),
        ("pandas", "to_dataframe", "pip install pandas"),
    ],
)
def test_what_is_not_installed_is_named(
    job: Job, monkeypatch: pytest.MonkeyPatch, package: str, use: str, sentence: str
) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == package:
            raise ImportError(name)
        return whole(name, *rest)

    history = job.history(["loss"])
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=sentence):
        getattr(history, use)()


def test_weights_and_predictions_come_as_arrays(job: Job, tmp_path: Path) -> None:
    weights = job.weights()
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    predicted = job.predict(rows)
    file = job.export(tmp_path / "iris.npz", "npz", snapshot="initial")

    assert {"hidden.weight": (5, 4), "hidden.bias": (5,)}.items() <= {
        name: array.shape for name, array in weights.items()
    }.items()
    assert ["setosa", "virginica"] == predicted.classes.tolist()  # type: ignore[union-attr]
    assert predicted.probabilities is not None
    np.testing.assert_allclose(1, predicted.probabilities.sum(axis=1))
    np.testing.assert_array_equal(predicted.outputs, predicted.probabilities)
    np.testing.assert_array_equal(predicted.outputs, job.predict(pd.DataFrame(rows)).outputs)
    with np.load(file) as archive:
        np.testing.assert_array_equal(
            job.weights("initial")["hidden.weight"], archive["hidden.weight"]
        )


def test_a_job_is_evaluated_on_other_data(job: Job) -> None:
    found = job.evaluate("builtin:iris")

    assert (150, 3) == (found["rows"], len(found["matrix"]))


def test_an_export_that_is_refused_leaves_no_file(job: Job, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no name 'foo'"):
        job.export(tmp_path / "iris.foo", "foo")

    assert [] == list(tmp_path.iterdir())


def test_a_job_is_steered(client: Client) -> None:
    job = client.attach(client.submit(mazur_job())["id"])
    states = [act().status for act in (job.pause, job.resume, job.cancel)]

    assert ["paused", "queued", "cancelled"] == states
    assert job.ended
    with pytest.raises(Unsuccessful, match="cancelled") as caught:
        job.wait()
    assert job is caught.value.job
    assert job is job.wait(check=False)
    job.delete()
    with pytest.raises(Problem, match="404"):
        job.refresh()


def test_a_job_that_failed_says_why(place: Place) -> None:
    job = Job(
        place.client,
        place.client.submit(
            iris_job(optimizer={"name": "sgd", "learning_rate": 1e9}, loss="half_squared_error")
            | {"network": {"inputs": 4, "layers": [{"units": 3, "activation": "linear"}]}}
        ),
    )
    place.train()
    with pytest.raises(Unsuccessful, match="not finite"):
        job.wait()


def test_patience_ends(client: Client) -> None:
    job = Job(client, client.submit(mazur_job()))
    with pytest.raises(TimeoutError, match=r"queued after 0\.2 seconds"):
        job.wait(0.2)
    job.cancel()


def test_a_job_is_extended_and_watched(place: Place) -> None:
    first = Job(place.client, place.client.submit(mazur_job(epochs=3)))
    place.train()
    longer = first.wait().extend(2)
    with training(place):
        seen = [each.status for each in longer.watch()]

    assert "succeeded" == seen[-1]
    assert 5 == longer.info["progress"]["epoch"]
    assert "<Job job_" in repr(longer)
    assert "succeeded, epoch 5 of 5>" in repr(longer)


def test_the_engine_loads_no_client() -> None:
    """What is named at the root is loaded when it is named."""
    code = (
        "import sys, backpropd, backpropd.engine; assert 'httpx' not in sys.modules; "
        "assert backpropd.Client.__name__ == 'Client'; assert 'httpx' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import backpropd

    assert all(getattr(backpropd, name) for name in backpropd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = backpropd.Nothing
