"""PyTorch on the CPU, eager, as its tutorials train; a swarm's networks one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from bench.serve import Run, serve
from bench.task import Task

UPDATES = 2_000  # of a run: the rest would be more of the same
ACTIVATIONS = {"logistic": torch.nn.Sigmoid, "relu": torch.nn.ReLU}


def prepare(task: Task) -> Callable[[], Run]:
    """A run of a slice of the task."""
    torch.set_num_threads(task.threads)
    one = task.network(0) if task.networks > 1 else task
    X, T = torch.from_numpy(one.inputs), torch.from_numpy(one.targets)
    orders = torch.from_numpy(one.orders)
    classes = T.argmax(dim=1)
    epochs = one.epochs_within(UPDATES)
    softmax = one.output == "softmax"

    def loss_of(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if softmax:
            return torch.nn.functional.cross_entropy(outputs, classes[rows])
        return 0.5 * ((outputs - T[rows]) ** 2).sum() / len(rows)

    def run() -> Run:
        network = torch.nn.Sequential(*_modules(one))
        optimizer = _optimizer(one, network)
        began = time.perf_counter()
        for order in orders[:epochs]:
            total = 0.0
            for first in range(0, len(X), one.batch):
                rows = order[first : first + one.batch]
                optimizer.zero_grad()
                loss = loss_of(network(X[rows]), rows)
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(rows)
        seconds = time.perf_counter() - began
        return Run(seconds=seconds * task.networks, epochs=epochs, losses=[total / len(X)])

    return run


def _modules(task: Task) -> Iterator[torch.nn.Module]:
    dtype = getattr(torch, task.dtype)
    last = len(task.weights) - 1
    for k, (weights, biases) in enumerate(zip(task.weights, task.biases, strict=True)):
        linear = torch.nn.Linear(weights.shape[1], weights.shape[0], dtype=dtype)
        linear.weight.data.copy_(torch.from_numpy(weights))
        linear.bias.data.copy_(torch.from_numpy(biases))
        linear.bias.requires_grad = task.train_biases
        yield linear
        if k < last:
            yield ACTIVATIONS[task.hidden]()
        elif task.output == "logistic":  # a softmax is in the loss
            yield ACTIVATIONS["logistic"]()


def _optimizer(task: Task, network: torch.nn.Module) -> torch.optim.Optimizer:
    trained = [each for each in network.parameters() if each.requires_grad]
    if task.optimizer == "adam":
        return torch.optim.Adam(trained, lr=task.rates[0])
    return torch.optim.SGD(trained, lr=task.rates[0], momentum=task.momentum)


if __name__ == "__main__":
    serve(prepare, "torch", "numpy")
