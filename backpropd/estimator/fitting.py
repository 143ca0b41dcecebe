"""One training, here by the engine or on a server: the same job, and the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.client import Client
from backpropd.data.prepare import prepare
from backpropd.data.table import from_numbers
from backpropd.engine import Data, Network, fit
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training, generators, start
from backpropd.spec.faults import Invalid
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.rules import check_job

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A trained network, its weights theta (P,), and its curves (epochs,) by name."""

    network: Network
    theta: NDArray[np.floating[Any]]
    history: dict[str, Floats]


def trained_here(job: Mapping[str, Any], X: Floats, T: Floats, task: str) -> Fitted:
    """Train a job on X (N, I) and T (N, O) with the textbook's code, in this process.

    Raises ValueError with every fault of the job, and where the numbers leave what can be counted.
    """
    spec, definition = _read(job, X, T, task)
    network = build_network(definition, dtype=spec.training.dtype)
    training = build_training(
        network, definition, spec.training, spec.history, spec.snapshots, task=task
    )
    seed = spec.training.seed
    assert seed is not None  # an estimator has drawn it
    streams = generators(seed, spec.training.seeds)
    prepared = prepare(from_numbers(X, T, task=task), spec.training, rng=streams.split)
    data = Data(
        inputs=prepared.inputs,
        targets=prepared.targets,
        weights=prepared.weights,
        validation_inputs=prepared.validation_inputs,
        validation_targets=prepared.validation_targets,
    )
    state = start(definition, training, streams)
    blocks = [b.columns for b in fit(training, data, state, enough=lambda: False, mark=None)]
    if state.ended == "diverged":
        raise ValueError(
            f"Training diverged in epoch {state.epoch + 1}; a smaller learning_rate or scaled "
            "inputs may help."
        )
    history = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return Fitted(network, state.theta.copy(), history)


def trained_there(
    job: Mapping[str, Any], X: Floats, T: Floats, task: str, *, server: str, key: str | None
) -> Fitted:
    """The same by a server, which keeps the job; raises what `Client` and `Job.wait` raise."""
    spec, definition = _read(job, X, T, task)
    with Client(server, key=key) as client:
        rows = {"inputs": X.tolist(), "targets": T.tolist(), "task": task}
        done = client.attach(client.submit({**job, "dataset": rows})["id"]).wait()
        weights, curves = done.weights(), done.history()
    network = build_network(definition, dtype=spec.training.dtype)
    # All of them are given, so nothing is drawn.
    theta = network.initial(given=weights, draw={}, rng=np.random.default_rng(0))
    return Fitted(network, theta, dict(curves.series))


def _read(job: Mapping[str, Any], X: Floats, T: Floats, task: str) -> tuple[JobSpec, NetworkSpec]:
    try:
        # The rows stay out of the spec: it is read for its defaults and its faults.
        spec = parse(JobSpec, {**job, "dataset": "given"})
        assert isinstance(spec.network, NetworkSpec)
        shape = {"rows": len(X), "inputs": X.shape[1], "outputs": T.shape[1]}
        faults = list(check_job(spec.network, spec.training, spec.snapshots, task=task, **shape))
        if faults:
            raise Invalid(faults)
    except Invalid as invalid:
        told = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in invalid.faults)
        raise ValueError(told) from None
    return spec, spec.network
