"""JAX: the whole training is one compiled scan over epochs of a scan over batches.

A swarm is the same, mapped over its networks by vmap. Compiling is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.serve import Run, serve
from bench.task import Task

SWARM_UPDATES = 3_000  # of a swarm's run: the rest would be more of the same


def prepare(task: Task) -> Callable[[], Run]:
    """A run of the whole task; of a swarm, of a slice of it."""
    if task.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    swarm = task.networks > 1
    epochs = task.epochs_within(SWARM_UPDATES) if swarm else task.epochs
    whole = _training(task)
    orders = jnp.asarray(task.orders[..., :epochs, :])
    rates = jnp.asarray(np.array(task.rates, task.dtype))
    parameters = [
        (jnp.asarray(np.swapaxes(w, -1, -2)), jnp.asarray(b))
        for w, b in zip(task.weights, task.biases, strict=True)
    ]
    trained = jax.jit(jax.vmap(whole) if swarm else whole)
    arguments = (parameters, rates if swarm else rates[0], orders)

    def run() -> Run:
        began = time.perf_counter()
        losses = np.asarray(jax.block_until_ready(trained(*arguments))[1])
        seconds = time.perf_counter() - began
        return Run(
            seconds=seconds, epochs=epochs, losses=[float(losses.reshape(-1, epochs)[0, -1])]
        )

    run()
    return run


def _training(task: Task) -> Callable[..., Any]:
    """(parameters, rate, orders (E, N)) to parameters and losses (E,)."""
    X, T = jnp.asarray(task.inputs), jnp.asarray(task.targets)
    samples, batch = len(task.inputs), min(task.batch, len(task.inputs))
    whole = samples // batch
    value_and_gradient = jax.value_and_grad(_loss(task))

    def update(carry: Any, rows: Any) -> Any:
        parameters, memory, rate = carry
        value, gradient = value_and_gradient(parameters, X[rows], T[rows])
        if not task.train_biases:
            gradient = [(w, jnp.zeros_like(b)) for w, b in gradient]
        parameters, memory = _moved(task, parameters, memory, gradient, rate)
        return (parameters, memory, rate), value * len(rows)

    def epoch(carry: Any, order: Any) -> Any:
        carry, values = jax.lax.scan(update, carry, order[: whole * batch].reshape(whole, batch))
        total = values.sum()
        if samples % batch:
            carry, value = update(carry, order[whole * batch :])
            total += value
        return carry, total / samples

    def training(parameters: Any, rate: Any, orders: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        memory = (zeros, zeros, jnp.zeros((), X.dtype))
        (parameters, _, _), losses = jax.lax.scan(epoch, (parameters, memory, rate), orders)
        return parameters, losses

    return training


def _loss(task: Task) -> Callable[..., Any]:
    hidden = jax.nn.relu if task.hidden == "relu" else jax.nn.sigmoid

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        for w, b in parameters[:-1]:
            x = hidden(x @ w + b)
        w, b = parameters[-1]
        z = x @ w + b
        if task.output == "softmax":
            return -(jax.nn.log_softmax(z) * t).sum(axis=1).mean()
        return 0.5 * ((jax.nn.sigmoid(z) - t) ** 2).sum(axis=1).mean()

    return loss


def _moved(task: Task, parameters: Any, memory: Any, gradient: Any, rate: Any) -> Any:
    each = jax.tree.map
    m, v, t = memory
    if task.optimizer == "adam":
        t = t + 1
        m = each(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = each(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        one, two = 1 - 0.9**t, 1 - 0.999**t
        step = lambda p, m, v: p - rate * (m / one) / (jnp.sqrt(v / two) + 1e-8)  # noqa: E731
        return each(step, parameters, m, v), (m, v, t)
    if task.momentum:
        m = each(lambda m, g: task.momentum * m - rate * g, m, gradient)
        return each(jnp.add, parameters, m), (m, v, t)
    return each(lambda p, g: p - rate * g, parameters, gradient), memory


if __name__ == "__main__":
    serve(prepare, "jax", "jaxlib", "numpy")
