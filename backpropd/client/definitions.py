"""What is asked in few words, in the words of the contract: networks, data and jobs."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backpropd.spec.dataset import UploadSpec
from backpropd.spec.job import JobSpec
from backpropd.spec.training import TrainingSpec

Json = dict[str, Any]

TRAINING = frozenset(TrainingSpec.model_fields)
JOB = frozenset(JobSpec.model_fields) - {"network", "dataset", "training"}
UPLOAD = frozenset(UploadSpec.model_fields) - {"name"}  # a name is the job's
SHORT = frozenset({"learning_rate", "activation", "target"})
# What is made small where nobody said, by what the output layer gives.
LOSSES = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy"}
OTHER_LOSS = "mean_squared_error"


def sorted_out(settings: Mapping[str, Any]) -> tuple[Json, Json, Json]:
    """The settings of (the training, the job, the upload); raises TypeError for any other."""
    known = TRAINING | JOB | UPLOAD | SHORT
    for name in settings:
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"train() has no setting {name!r}.{hint}")
    training, job, upload = (
        {name: value for name, value in settings.items() if name in names}
        for names in (TRAINING, JOB, UPLOAD)
    )
    if "learning_rate" in settings:
        optimizer = training.get("optimizer", "sgd")
        named = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
        training["optimizer"] = named | {"learning_rate": settings["learning_rate"]}
    if isinstance(training.get("validation"), float):
        training["validation"] = {"fraction": training["validation"]}
    if settings.get("target") is not None:
        target = settings["target"]
        upload["targets"] = [target] if isinstance(target, str) else list(target)
    return training, job, upload


def layered(dataset: Mapping[str, Any], hidden: Sequence[int], activation: str) -> Json:
    """A network for a dataset: hidden layers of these units, and the outputs that its task needs.

    Softmax for classes, one logistic unit for a single column of 0 and 1, linear for numbers.
    """
    outputs = _count(dataset["targets"])
    if dataset["task"] != "classification":
        output = "linear"
    else:
        output = "logistic" if outputs == 1 else "softmax"
    layers = [{"units": units, "activation": activation} for units in hidden]
    layers.append({"units": outputs, "activation": output})
    return {"inputs": _count(dataset["inputs"]), "layers": layers}


def loss_for(network: Mapping[str, Any]) -> str:
    """The usual loss for what the last layer gives."""
    layers = network.get("layers") or [{}]
    activation = layers[-1].get("activation")
    if isinstance(activation, Mapping):
        activation = activation.get("name")
    return LOSSES.get(str(activation), OTHER_LOSS)


def form_fields(options: Mapping[str, Any]) -> dict[str, str]:
    """An upload's options as a form has them: text, lists with commas between."""
    fields = {}
    for name, value in options.items():
        if isinstance(value, bool):
            fields[name] = str(value).lower()
        elif isinstance(value, str):
            fields[name] = value
        elif value is not None:
            fields[name] = ",".join(map(str, value))
    return fields


def as_csv(X: Any, y: Any) -> tuple[bytes, list[str]]:
    """Rows (N, I) and targets (N,) or (N, O) as a CSV file, and the names of its targets."""
    inputs, targets = np.asarray(X), np.asarray(y)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        shapes = f"{inputs.shape} and {targets.shape}"
        raise ValueError(f"Inputs are (N, I), targets (N,) or (N, O); these are {shapes}.")
    names = [f"x{i}" for i in range(1, inputs.shape[1] + 1)]
    ends = [f"y{i}" for i in range(1, targets.shape[1] + 1)] if targets.shape[1] > 1 else ["y"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *ends])
    rows = zip(inputs.tolist(), targets.tolist(), strict=True)
    writer.writerows([*row, *target] for row, target in rows)
    return text.getvalue().encode(), ends


def as_lists(rows: Any) -> list[Any]:
    """Rows of numbers as JSON has them: every number a float, exactly."""
    listed: list[Any] = np.asarray(rows, np.float64).tolist()
    return listed


def is_name(data: Any) -> bool:
    """Whether a text names a dataset of the server, not a file."""
    return isinstance(data, str) and data.startswith(("ds_", "builtin:"))


def _count(columns: int | Sequence[str]) -> int:
    """How many: a stored dataset names its columns, the list of built-in ones counts them."""
    return columns if isinstance(columns, int) else len(columns)
