"""Blocks as the engine gives them, without a job around."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backpropd.engine import Block, Data, fit
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training, generators, start
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from tests.jobs import MAZUR, mazur_job


def mazur_blocks(*, epochs: int) -> Iterator[Block]:
    """Mazur's training, one block an epoch."""
    spec = parse(JobSpec, mazur_job(epochs=epochs))
    network_spec = parse(NetworkSpec, MAZUR)
    network = build_network(network_spec, dtype="float64")
    training = build_training(
        network, network_spec, spec.training, spec.history, spec.snapshots, task="regression"
    )
    data = Data(
        inputs=np.array([[0.05, 0.10]]),
        targets=np.array([[0.01, 0.99]]),
        weights=None,
        validation_inputs=None,
        validation_targets=None,
    )
    state = start(network_spec, training, generators(0))
    return fit(training, data, state, enough=lambda: True, mark=lambda epoch: False)
