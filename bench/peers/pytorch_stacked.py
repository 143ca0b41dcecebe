"""A swarm in PyTorch as one stack: every weight is (K, fan_in, units), every product batched."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bench.serve import Run, serve
from bench.task import Task

UPDATES = 600  # of a run: the rest would be more of the same


def prepare(task: Task) -> Callable[[], Run]:
    """A run of a slice of the task."""
    torch.set_num_threads(task.threads)
    X, T = torch.from_numpy(task.inputs), torch.from_numpy(task.targets)
    classes, orders = T.argmax(dim=1), torch.from_numpy(task.orders)
    rates = torch.tensor(task.rates, dtype=X.dtype)
    epochs = task.epochs_within(UPDATES)

    def run() -> Run:
        weights = [
            torch.from_numpy(each).transpose(1, 2).contiguous().requires_grad_()
            for each in task.weights
        ]
        biases = [torch.from_numpy(each.copy())[:, None].requires_grad_() for each in task.biases]
        moved = [*weights, *biases]
        scaled = [rates.view(-1, 1, 1)] * len(moved)
        began = time.perf_counter()
        for epoch in range(epochs):
            total = 0.0
            for first in range(0, len(X), task.batch):
                rows = orders[:, epoch, first : first + task.batch]  # (K, B)
                values = X[rows]
                for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                    values = torch.baddbmm(bias, values, weight)
                    if k < len(weights) - 1:
                        values = torch.sigmoid(values)
                flat = values.reshape(-1, values.shape[2])
                losses = torch.nn.functional.cross_entropy(
                    flat, classes[rows].reshape(-1), reduction="none"
                )
                gradients = torch.autograd.grad(losses.sum() / rows.shape[1], moved)
                with torch.no_grad():
                    for each, rate, g in zip(moved, scaled, gradients, strict=True):
                        each.sub_(rate * g)
                total += float(losses[: rows.shape[1]].detach().sum())  # the first network's
        seconds = time.perf_counter() - began
        return Run(seconds=seconds, epochs=epochs, losses=[total / len(X)])

    return run


if __name__ == "__main__":
    serve(prepare, "torch", "numpy")
