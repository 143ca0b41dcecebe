"""Our own `fit`, as a person calls it: python -m bench.ours FOLDER."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backpropd.engine import Data, Network, Training, TrainingState, fit, fit_many
from backpropd.engine.kernels import Choice, choose, choose_many
from backpropd.engine.training import Course
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from bench.data import order_generator
from bench.serve import Run, serve
from bench.task import Task


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan whose course is there already: setting up takes as long however much is trained."""

    choice: Choice
    prepared: Course

    @property
    def kernel(self) -> str:
        return self.choice.kernel

    @property
    def reason(self) -> str:
        return self.choice.reason

    def course(self, training: Training, data: Data, state: TrainingState) -> Course:
        return self.prepared


def spec_of(task: Task) -> JobSpec:
    """The job that somebody would send for this."""
    activations = [task.hidden] * (len(task.sizes) - 2) + [task.output]
    layers = [
        {"units": units, "activation": activation, "train_biases": task.train_biases}
        for units, activation in zip(task.sizes[1:], activations, strict=True)
    ]
    optimizer = {"name": task.optimizer, "learning_rate": task.rates[0]}
    if task.momentum:
        optimizer["momentum"] = task.momentum
    training = {
        "epochs": task.epochs,
        "batch_size": task.batch,
        "loss": task.loss,
        "optimizer": optimizer,
        "metrics": [],
        "dtype": task.dtype,
    }
    network = {"inputs": task.sizes[0], "layers": layers}
    return parse(JobSpec, {"network": network, "dataset": "x", "training": training})


def built(task: Task) -> tuple[Training, Data]:
    """The engine's side of a task."""
    spec = spec_of(task)
    assert isinstance(spec.network, NetworkSpec)
    training = build_training(
        build_network(spec.network, dtype=task.dtype),
        spec.network,
        spec.training,
        spec.history,
        spec.snapshots.model_copy(update={"best": None}),
        task="regression",
    )
    data = Data(
        inputs=task.inputs,
        targets=task.targets,
        weights=None,
        validation_inputs=None,
        validation_targets=None,
    )
    return training, data


def start(network: Network, task: Task) -> TrainingState:
    """From the task's weights and with its orders."""
    given = {}
    for layer, weights, biases in zip(network.layers, task.weights, task.biases, strict=True):
        given |= {f"{layer.name}.weight": weights, f"{layer.name}.bias": biases}
    chance = np.random.default_rng(0)
    theta = network.initial(given=given, draw={}, rng=chance)
    slots = 1 if task.momentum else 2 if task.optimizer == "adam" else 0
    return TrainingState.start(theta, slots=slots, order=order_generator(task.number), noise=chance)


def prepare(task: Task) -> Callable[[], Run]:
    """A run of the whole task."""
    if task.networks > 1:
        return at_once(task)
    training, data = built(task)
    choice = chosen(training, data)
    code = f"{choice.kernel}{', for this shape alone' if choice.takes_own else ''}"

    def run() -> Run:
        began = time.perf_counter()
        state = start(training.network, task)
        plan = Ready(choice, choice.course(training, data, state))
        ready = time.perf_counter()
        blocks = fit(training, data, state, enough=lambda: False, mark=None, plan=plan)
        losses = np.concatenate([block.columns["loss"] for block in blocks])
        seconds = time.perf_counter() - ready
        note = f"{code}; set up in {1e3 * (ready - began):.1f} ms"
        return Run(seconds=seconds, epochs=task.epochs, losses=losses.tolist(), note=note)

    return run


def chosen(training: Training, data: Data) -> Choice:
    """The code that a worker takes for such a job when it comes again."""
    try:
        return choose(training, data, unrolled=True)
    except ValueError:
        return choose(training, data)


def at_once(task: Task) -> Callable[[], Run]:
    """A swarm, from its networks' states to their ends, packing them into lanes included."""
    tasks = [task.network(number) for number in range(task.networks)]
    pairs = [built(each) for each in tasks]
    trainings, data = [training for training, _ in pairs], pairs[0][1]
    plan = choose_many(trainings, data)

    def run() -> Run:
        states = [start(t.network, each) for t, each in zip(trainings, tasks, strict=True)]
        began = time.perf_counter()
        (blocks,) = fit_many(
            trainings,
            data,
            states,
            enough=lambda: False,
            mark=None,
            plan=plan,
            threads=task.threads,
        )
        seconds = time.perf_counter() - began
        losses = blocks[0].columns["loss"].tolist()
        note = f"{plan.choices[0].kernel}, {task.threads} threads"
        return Run(seconds=seconds, epochs=task.epochs, losses=losses, note=note)

    return run


if __name__ == "__main__":
    serve(prepare, "backpropd", "numpy", "numba")
