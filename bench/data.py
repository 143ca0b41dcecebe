"""Makes a workload's numbers: data, initial weights, and the orders that our generator draws."""

from __future__ import annotations

import numpy as np

from backpropd.data.builtin import builtin
from backpropd.engine.order import epoch_order
from bench.task import Array, Task
from bench.workloads import Workload

MAZUR = (
    [np.array([[0.15, 0.20], [0.25, 0.30]]), np.array([[0.40, 0.45], [0.50, 0.55]])],
    [np.array([0.35, 0.35]), np.array([0.60, 0.60])],
)


def order_generator(network: int) -> np.random.Generator:
    """Of the orders of a network's epochs; ours draws from it again."""
    return np.random.default_rng([2, network])


def task_of(workload: Workload) -> Task:
    """The same numbers in every run."""
    inputs, targets = (each.astype(workload.dtype) for each in _samples(workload.data))
    swarm = workload.networks > 1
    drawn = [_weights(workload, number) for number in range(workload.networks)]
    orders = np.array([_orders(workload, len(inputs), k) for k in range(workload.networks)])
    layers = range(len(workload.sizes) - 1)
    weights, biases = (
        [np.array([each[kind][layer] for each in drawn], workload.dtype) for layer in layers]
        for kind in (0, 1)
    )
    rates = np.geomspace(*(workload.rates or (workload.rate, workload.rate)), workload.networks)
    return Task(
        sizes=list(workload.sizes),
        hidden=workload.hidden,
        output=workload.output,
        loss=workload.loss,
        batch=workload.batch,
        epochs=workload.epochs,
        rates=rates.tolist(),
        momentum=workload.momentum,
        optimizer=workload.optimizer,
        dtype=workload.dtype,
        threads=workload.threads,
        train_biases=workload.train_biases,
        networks=workload.networks,
        number=0,
        inputs=inputs,
        targets=targets,
        orders=orders if swarm else orders[0],
        weights=weights if swarm else [each[0] for each in weights],
        biases=biases if swarm else [each[0] for each in biases],
    )


def _orders(workload: Workload, samples: int, network: int) -> Array:
    rng = order_generator(network)
    return np.array([epoch_order("shuffled", samples, rng) for _ in range(workload.epochs)])


def _weights(workload: Workload, network: int) -> tuple[list[Array], list[Array]]:
    if workload.data == "mazur":
        return MAZUR
    rng = np.random.default_rng([3, network])
    pairs = list(zip(workload.sizes, workload.sizes[1:], strict=False))
    # Glorot's widths for many inputs; a little more for few, so that XOR is learned.
    gain = np.sqrt(3) if workload.hidden == "relu" else 1.5
    weights = [rng.uniform(-1, 1, (o, i)) * gain / np.sqrt(i) for i, o in pairs]
    few = workload.hidden == "logistic"
    biases = [rng.uniform(-0.3, 0.3, o) if few else np.zeros(o) for _, o in pairs]
    return weights, biases


def _samples(name: str) -> tuple[Array, Array]:
    """Inputs (N, I) and targets (N, O)."""
    if name == "mazur":
        return np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
    if name.startswith("pixels"):
        return _pixels(60_000 if name == "pixels" else 15_360)
    dataset = builtin("encoder-8-3-8" if name == "encoder" else name)
    inputs = np.asarray(dataset.inputs, float)
    if name == "iris":
        inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    if name == "digits":
        inputs = inputs / 16
    return inputs, np.asarray(dataset.targets, float)


def _pixels(rows: int) -> tuple[Array, Array]:
    """As many and as large as MNIST's, drawn, with ten classes that a linear map decides."""
    rng = np.random.default_rng(0)
    inputs = rng.random((rows, 784), np.float32)
    classes = ((inputs - 0.5) @ rng.standard_normal((784, 10))).argmax(axis=1)
    return inputs, np.eye(10, dtype=np.float32)[classes]
