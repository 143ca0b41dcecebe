"""scikit-learn's MLPClassifier and MLPRegressor.

They begin from our weights, but shuffle by themselves. Squared error they have of linear outputs
alone, which is learned here at a tenth of the rate: the work of an update is the same.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from bench.serve import Run, serve
from bench.task import Task

UPDATES = 2_000  # of a run: the rest would be more of the same


def prepare(task: Task) -> Callable[[], Run]:
    """A run of a slice of the task; a swarm's networks come one after the other."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    swarm = task.networks > 1
    one = task.network(0) if swarm else task
    classes = one.output == "softmax"
    epochs = one.epochs_within(UPDATES)
    targets = one.targets.argmax(axis=1) if classes else one.targets
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets.ravel()
    known = {"classes": np.unique(targets)} if classes else {}

    def run() -> Run:
        model = _model(one, epochs)
        # A first pass makes the arrays, which then are given our weights.
        model.partial_fit(one.inputs, targets, **known)
        model.coefs_ = [np.ascontiguousarray(each.T) for each in one.weights]
        model.intercepts_ = [each.copy() for each in one.biases]
        model.set_params(warm_start=True)
        model.loss_curve_, model.t_, model.n_iter_ = [], 0, 0
        began = time.perf_counter()
        model.fit(one.inputs, targets)
        seconds = time.perf_counter() - began
        outputs = 1 if classes else one.sizes[-1]  # its error is a mean over outputs, ours a sum
        losses = [float(model.loss_curve_[-1]) * outputs]
        return Run(seconds=seconds * task.networks, epochs=epochs, losses=losses)

    return run


def _model(task: Task, epochs: int) -> Any:
    kind = MLPClassifier if task.output == "softmax" else MLPRegressor
    return kind(
        hidden_layer_sizes=task.sizes[1:-1],
        activation=task.hidden,
        solver=task.optimizer,
        alpha=0.0,
        batch_size=task.batch,
        learning_rate_init=task.rates[0] * (1 if task.output == "softmax" else 0.1),
        momentum=task.momentum,
        nesterovs_momentum=False,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=10**9,
        random_state=1,
    )


if __name__ == "__main__":
    serve(prepare, "scikit-learn", "numpy")
