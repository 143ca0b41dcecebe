"""The gradient, held against central differences over every combination of parts."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import ACTIVATIONS, LOSSES, Network, check_gradient, gradient_of, trace_step
from tests.engine.networks import layer

# The layers below the output: (name, units, sources), and the output's sources.
GRAPHS: dict[str, tuple[list[tuple[str, int, tuple[str, ...]]], tuple[str, ...]]] = {
    "none": ([], ("inputs",)),
    "chain": ([("a", 3, ("inputs",))], ("a",)),
    "deep": ([("a", 3, ("inputs",)), ("b", 2, ("a",)), ("c", 3, ("b",))], ("c",)),
    "shortcut": ([("a", 2, ("inputs",))], ("inputs", "a")),
    "diamond": ([("a", 2, ("inputs",)), ("b", 3, ("a",)), ("c", 2, ("a",))], ("c", "b", "a")),
}
ALLOWED = [
    (activation, loss)
    for activation, loss in product(ACTIVATIONS, LOSSES)
    if LOSSES[loss].outputs is None or activation in LOSSES[loss].outputs
]


def network_of(graph: str, hidden: str, output: str, **flags: Any) -> Network:
    """A network of this shape with three inputs and three outputs."""
    below, sources = GRAPHS[graph]
    layers = [layer(name, units, hidden, *fed, **flags) for name, units, fed in below]
    layers.append(layer("output", 3, output, *sources, **flags))
    return Network(inputs=3, layers=layers, dtype="float64")


def targets_for(loss: str, rng: np.random.Generator, rows: int) -> Any:
    """Targets that the loss is made for."""
    if loss == "cross_entropy":
        return rng.dirichlet(np.ones(3), rows)
    return rng.uniform(0.05, 0.95, (rows, 3))


@settings(max_examples=150, deadline=None)
@given(
    graph=st.sampled_from(sorted(GRAPHS)),
    hidden=st.sampled_from(sorted(ACTIVATIONS)),
    output_and_loss=st.sampled_from(ALLOWED),
    use_bias=st.booleans(),
    rows=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_backward_is_the_slope_of_the_loss(
    graph: str,
    hidden: str,
    output_and_loss: tuple[str, str],
    use_bias: bool,
    rows: int,
    seed: int,
) -> None:
    output, loss = output_and_loss
    network = network_of(graph, hidden, output, use_bias=use_bias)
    rng = np.random.default_rng(seed)
    theta, X = rng.normal(0, 0.7, network.parameter_count), rng.normal(size=(rows, 3))
    kinked = [name for name in (hidden, output) if not ACTIVATIONS[name].smooth]
    if kinked:  # where a net input stands on the kink, no difference can say its slope
        Z = network.forward(theta, X).Z
        at_kink = min(np.abs(Z[each.name]).min() for each in network.layers)
        if at_kink < 0.05:
            return

    T = targets_for(loss, rng, rows)
    error = check_gradient(network, theta, X, T, loss=LOSSES[loss], epsilon=1e-3)

    assert error < 1e-7


@pytest.mark.parametrize(("output", "loss"), ALLOWED)
@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_every_combination_is_checked_and_the_trace_agrees(
    graph: str, output: str, loss: str
) -> None:
    """
    Matrix code, differences and the trace's scalar formulas: three ways to one gradient.
    """
    network = network_of(graph, "tanh", output)
    rng = np.random.default_rng(3)
    theta, X = rng.normal(0, 0.7, network.parameter_count), rng.normal(size=(1, 3))
    T = targets_for(loss, rng, 1)
    if output == "relu":
        theta = np.abs(theta)  # all net inputs away from the kink

    gradient = gradient_of(network, theta, X, T, loss=LOSSES[loss])
    views = network.layout.views(gradient)
    traced = trace_step(
        network,
        theta,
        X[0],
        T[0],
        loss=LOSSES[loss],
        learning_rate=0.1,
        update_order="simultaneous",
    )

    weights = [g for n, view in views.items() if n.endswith("weight") for g in view.ravel()]
    biases = [g for n, view in views.items() if n.endswith("bias") for g in view]
    assert list(traced.gradient.values()) == pytest.approx(weights, rel=1e-10, abs=1e-14)
    assert list(traced.bias_gradient.values()) == pytest.approx(biases, rel=1e-10, abs=1e-14)
    assert check_gradient(network, theta, X, T, loss=LOSSES[loss], epsilon=1e-3) < 1e-7


def test_a_wrong_derivative_is_found() -> None:
    """
    The check itself can fail: a gradient of another network is none of this one's.
    """
    network = network_of("chain", "tanh", "linear")
    rng = np.random.default_rng(0)
    theta, X, T = (
        rng.normal(size=network.parameter_count),
        rng.normal(size=(2, 3)),
        np.zeros((2, 3)),
    )
    wrong = LOSSES["mean_squared_error"]
    half = LOSSES["half_squared_error"]

    ratio = gradient_of(network, theta, X, T, loss=half) / gradient_of(
        network, theta, X, T, loss=wrong
    )

    assert ratio == pytest.approx(np.full(len(theta), 1.5))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_do_not_overflow(name: str, dtype: str) -> None:
    Z = np.array([[-1e4, -700.0, -1.0, 0.0, 1.0, 700.0, 1e4]], dtype)

    Y = ACTIVATIONS[name].forward(Z)

    assert np.isfinite(Y).all()
    assert np.isfinite(ACTIVATIONS[name].backward(np.ones_like(Y), Z, Y)).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("activation", "loss"), ALLOWED)
def test_losses_do_not_overflow(activation: str, loss: str, dtype: str) -> None:
    Z = np.array([[-1e4, 0.0, 1e4]], dtype)
    T = np.array([[1.0, 0.0, 0.0]], dtype)
    Y = ACTIVATIONS[activation].forward(Z)

    assert np.isfinite(LOSSES[loss].value(Z, Y, T)).all()
    assert np.isfinite(LOSSES[loss].delta(ACTIVATIONS[activation], Z, Y, T)).all()
