"""Trained networks to export, made without training: any weights will do."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.data.assembly import assembled
from backpropd.data.encoding import Encoding
from backpropd.data.files import opened
from backpropd.data.predicting import Predictor
from backpropd.data.table import Dataset
from backpropd.export.model import Model
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, initial_theta
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.limits import LIMITS
from backpropd.spec.network import NetworkSpec

GRAPHS: dict[str, list[dict[str, Any]]] = {
    "chain": [{"units": 4, "activation": "tanh"}, {"units": 3, "activation": "softmax"}],
    "shortcut": [
        {"name": "a", "units": 4, "activation": "relu"},
        {"name": "b-1", "units": 2, "activation": "logistic", "from": ["inputs", "a"]},
        {"name": "out", "units": 3, "activation": "linear", "from": ["b-1", "inputs", "a"]},
    ],
    "no bias, shared bias, mask, ties": [
        {"name": "a", "units": 2, "activation": "tanh", "use_bias": False},
        {
            "name": "b",
            "units": 2,
            "activation": "tanh",
            "share_bias": True,
            "mask": [[1, 0], [1, 1]],
        },
        {"name": "out", "units": 3, "activation": "linear", "tied": [[1, -1], [2, 1], [0, 2]]},
    ],
}
TABLE = "size,colour,weight,y\n" + "".join(
    f"{['', n / 3][n % 5 > 0]},{['red', 'blue', '', 'green'][n % 4]},{1e5 + n},{n % 3}\n"
    for n in range(24)
)


def table_dataset(path: Any, **options: Any) -> Dataset:
    """Numbers with gaps, words with gaps, and large numbers."""
    path.write_text(TABLE)
    upload = parse(UploadSpec, {"missing": "mean", "scaling": "standard", **options})
    return assembled(opened(path, upload, "csv", LIMITS), upload, LIMITS)


def numbers_dataset(inputs: int, targets: int, task: str = "regression") -> Dataset:
    """Rows of numbers as they come."""
    from backpropd.data.table import from_numbers

    rng = np.random.default_rng(1)
    T = rng.normal(size=(40, targets))
    if task == "classification":
        T = np.eye(targets)[np.arange(40) % targets]
    return from_numbers(rng.normal(size=(40, inputs)), T, task=task)


def model_of(
    dataset: Dataset, layers: list[dict[str, Any]], dtype: str = "float32", seed: int = 0
) -> tuple[Model, Predictor]:
    """A network on this dataset with drawn weights, and the same as the service predicts by it."""
    spec = parse(NetworkSpec, {"inputs": dataset.inputs.shape[1], "layers": layers})
    rng = np.random.default_rng(seed)
    network = build_network(spec, dtype=dtype)
    theta = initial_theta(spec, network, rng=rng)
    # Biases, gains and statistics that are not what they begin with; variances stay above 0.
    theta += rng.uniform(0.05, 0.3, theta.shape).astype(dtype)
    encoding = Encoding.fit(dataset, np.arange(min(12, dataset.rows))).to_json()
    about = {"object": "weights", "job": "job_x", "epoch": 3, "kind": "final", "sha256": "0"}
    model = Model(spec, theta, encoding, dataset.schema(), about)
    return model, Predictor.of(spec, theta, encoding, dataset.schema())
