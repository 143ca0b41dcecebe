"""The gradient, held against central differences over every combination of parts."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import (
    ACTIVATIONS,
    LOSSES,
    NORMALIZATIONS,
    Network,
    check_gradient,
    gradient_of,
    trace_step,
)
from tests.engine.networks import layer, network_of

# The layers below the output: (name, units, sources), and the output's sources.
GRAPHS: dict[str, tuple[list[tuple[str, int, tuple[str, ...]]], tuple[str, ...]]] = {
    "none": ([], ("inputs",)),
    "chain": ([("a", 3, ("inputs",))], ("a",)),
    "deep": ([("a", 3, ("inputs",)), ("b", 2, ("a",)), ("c", 3, ("b",))], ("c",)),
    "shortcut": ([("a", 2, ("inputs",))], ("inputs", "a")),
    "diamond": ([("a", 2, ("inputs",)), ("b", 3, ("a",)), ("c", 2, ("a",))], ("c", "b", "a")),
}
# What a layer may be besides plain. Normalizations with an epsilon that keeps them from bending
# more sharply than a difference can follow.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"use_bias": False},
    "shared_bias": {"share_bias": True},
    "penalized": {"l1": 0.01, "l2": 0.1},
    "dropout": {"dropout": 0.4},
    "noise": {"noise": 0.3},
    "batch_norm": {"normalization": NORMALIZATIONS.standard("batch_norm", epsilon=1.0)},
    "layer_norm": {"normalization": NORMALIZATIONS.standard("layer_norm", epsilon=1.0)},
    "tied": {},  # see ties_for
    "all": {
        "share_bias": True,
        "l2": 0.1,
        "dropout": 0.4,
        "noise": 0.3,
        "normalization": NORMALIZATIONS.standard("layer_norm", epsilon=1.0),
    },
}
DISTURBED = ("dropout", "noise", "all")


def allowed(activation: str, loss: str) -> bool:
    """Whether a loss goes with an output activation."""
    low, high = ACTIVATIONS[activation].range
    least, most = LOSSES[loss].outputs_within
    named = LOSSES[loss].outputs
    return activation in named if named is not None else least <= low and high <= most


ALLOWED = [pair for pair in product(ACTIVATIONS, LOSSES) if allowed(*pair)]


def ties_for(units: int, fan_in: int, rng: np.random.Generator) -> Any:
    """Connections that are missing, share a weight, or are another's opposite."""
    most = max(units * fan_in // 2, 1)
    ties = rng.integers(-most, most + 1, (units, fan_in))
    names = np.unique(np.abs(ties[ties != 0]))
    return np.sign(ties) * (np.searchsorted(names, np.abs(ties)) + 1)


def build(graph: str, hidden: Any, output: Any, kind: str, rng: Any) -> Network:
    """A network of this shape with three inputs and three outputs."""
    below, sources = GRAPHS[graph]
    width = {"inputs": 3} | {name: units for name, units, _ in below}
    layers = []
    for name, units, fed, activation in [
        *((*each, hidden) for each in below),
        ("output", 3, sources, output),
    ]:
        changes = dict(KINDS[kind])
        if kind == "tied":
            changes["ties"] = ties_for(units, sum(width[source] for source in fed), rng)
        if name == "output":  # what stands between the outputs and the loss is never disturbed
            changes |= {"dropout": 0.0, "noise": 0.0}
        layers.append(layer(name, units, activation, *fed, **changes))
    return network_of(3, *layers, noise=0.2 if kind in DISTURBED else 0.0)


def targets_for(loss: str, rng: np.random.Generator, rows: int) -> Any:
    """Targets that the loss is made for."""
    if loss == "cross_entropy":
        return rng.dirichlet(np.ones(3), rows)
    if "hinge" in loss:
        return rng.choice([-1.0, 1.0], (rows, 3))
    return rng.uniform(0.05, 0.95, (rows, 3))


def near_a_kink(network: Network, theta: Any, X: Any, T: Any, loss: Any, rng: Any) -> bool:
    """Whether a difference would reach over a place where a derivative jumps."""
    seen = network.forward(theta.copy(), X, rng=rng)
    for each in network.layers:
        for kink in each.activation.kinks:
            if np.abs(seen.Z[each.name] - kink).min() < 0.05:
                return True
    return bool(loss.distance_to_kink(seen.output, T).min() < 0.05)


def check(
    graph: str, hidden: Any, output: Any, loss: Any, kind: str, rows: int, seed: int
) -> float | None:
    """The gradient's error; None where a kink is too near for a difference."""
    rng = np.random.default_rng(seed)
    network = build(graph, hidden, output, kind, rng)
    theta = rng.normal(0, 0.7, network.parameter_count)
    theta[~network.learnable] = np.abs(theta[~network.learnable]) + 0.5
    X, T = rng.normal(size=(rows, 3)), targets_for(loss.name, rng, rows)
    if near_a_kink(network, theta, X, T, loss, np.random.default_rng(seed)):
        return None
    if network.penalty is not None and np.abs(theta).min() < 0.01:
        return None  # |w| has a kink at 0
    # A long step truncates where the error bends sharply, a short one rounds where it is flat: a
    # wrong gradient is wrong by both.
    return min(
        check_gradient(
            network,
            theta,
            X,
            T,
            loss=loss,
            epsilon=epsilon,
            draw=lambda: np.random.default_rng(seed),
        )
        for epsilon in (3e-4, 3e-5)
    )


@settings(max_examples=400, deadline=None)
@given(
    graph=st.sampled_from(sorted(GRAPHS)),
    hidden=st.sampled_from(sorted(ACTIVATIONS)),
    output_and_loss=st.sampled_from(ALLOWED),
    kind=st.sampled_from(sorted(KINDS)),
    rows=st.integers(2, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_backward_is_the_slope_of_the_loss(
    graph: str,
    hidden: str,
    output_and_loss: tuple[str, str],
    kind: str,
    rows: int,
    seed: int,
) -> None:
    output, loss = ACTIVATIONS.standard(output_and_loss[0]), LOSSES.standard(output_and_loss[1])
    error = check(graph, ACTIVATIONS.standard(hidden), output, loss, kind, rows, seed)

    assert error is None or error < 1e-7


def fits(part: Any, rng: np.random.Generator) -> Any:
    """The part with other settings than the usual ones."""
    return {
        each.name: float(rng.uniform(max(each.least or 0, 0.3), min(each.most or 2, 2, 0.9)))
        for each in part.settings()
        if each.kind is float and each.name != "prime_offset"
    }


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_has_its_derivative_with_any_settings(name: str) -> None:
    """
    Each activation by itself, hidden and as output, away from its kinks: none is left out.
    """
    checked = 0
    for seed in range(60):
        activation = ACTIVATIONS.standard(
            name, **fits(ACTIVATIONS[name], np.random.default_rng(seed))
        )
        outputs = [ACTIVATIONS.standard("linear")]
        if allowed(name, "half_squared_error"):
            outputs.append(activation)
        for output in outputs:
            loss = LOSSES.standard("half_squared_error")
            error = check("deep", activation, output, loss, "plain", 2, seed)
            if error is not None:
                checked += 1
                assert error < 1e-7, seed

    assert checked > 5


@pytest.mark.parametrize(("output", "loss"), ALLOWED)
def test_every_loss_has_its_gradient_with_every_output(output: str, loss: str) -> None:
    checked = 0
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        parts = (
            ACTIVATIONS.standard(output, **fits(ACTIVATIONS[output], rng)),
            LOSSES.standard(loss, **fits(LOSSES[loss], rng)),
        )
        error = check("shortcut", ACTIVATIONS.standard("tanh"), *parts, "plain", 2, seed)
        if error is not None:
            checked += 1
            assert error < 1e-7, seed
        if checked == 3:
            return

    # Where all outputs are 0 or 1 there is no place away from a kink.
    assert output in ("step", "step_symmetric") or checked


@pytest.mark.parametrize(("output", "loss"), ALLOWED)
@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_the_trace_agrees(graph: str, output: str, loss: str) -> None:
    """
    Matrix code and the trace's scalar formulas: two ways to one gradient.
    """
    if ACTIVATIONS[output].learned:
        return
    kinds = ("plain", "tied", "shared_bias", "no_bias")
    for seed, kind in enumerate(kinds):
        rng = np.random.default_rng(seed)
        parts = ACTIVATIONS.standard("tanh"), ACTIVATIONS.standard(output)
        network = build(graph, *parts, kind, rng)
        theta, X = rng.normal(0, 0.7, network.parameter_count), rng.normal(size=(1, 3))
        T = targets_for(loss, rng, 1)

        gradient = gradient_of(network, theta, X, T, loss=LOSSES.standard(loss))
        traced = trace_step(
            network,
            theta,
            X[0],
            T[0],
            loss=LOSSES.standard(loss),
            learning_rate=0.1,
            update_order="simultaneous",
        )

        windows = network.layout.windows
        of = {w.name: gradient[w.start : w.stop] for w in windows}
        weights = [g for name, part in of.items() if name.endswith("weight") for g in part]
        biases = [g for name, part in of.items() if name.endswith("bias") for g in part]
        close = {"rel": 1e-10, "abs": 1e-14}
        assert list(traced.gradient.values()) == pytest.approx(weights, **close), kind
        assert list(traced.bias_gradient.values()) == pytest.approx(biases, **close), kind
        assert traced.values["E_total+"] == pytest.approx(
            float(network.forward(theta - 0.1 * gradient, X).losses(LOSSES.standard(loss), T)[0]),
            rel=1e-9,
            abs=1e-12,
        )


def test_a_wrong_derivative_is_found() -> None:
    """
    The check itself can fail: a gradient of another loss is none of this one's.
    """
    rng = np.random.default_rng(0)
    network = build(
        "chain", ACTIVATIONS.standard("tanh"), ACTIVATIONS.standard("linear"), "plain", rng
    )
    theta, X = rng.normal(size=network.parameter_count), rng.normal(size=(2, 3))
    T = np.zeros((2, 3))
    half, mean = (LOSSES.standard(n) for n in ("half_squared_error", "mean_squared_error"))

    ratio = gradient_of(network, theta, X, T, loss=half) / gradient_of(
        network, theta, X, T, loss=mean
    )

    assert ratio == pytest.approx(np.full(len(theta), 1.5))


def test_the_jacobian_is_the_gradient_of_each_output() -> None:
    """
    Summed with the loss's slopes it gives the gradient that backward gives at once.
    """
    for seed, kind in enumerate(("plain", "tied", "shared_bias", "no_bias")):
        rng = np.random.default_rng(seed)
        parts = ACTIVATIONS.standard("tanh"), ACTIVATIONS.standard("softmax")
        network = build("diamond", *parts, kind, rng)
        theta, X = rng.normal(size=network.parameter_count), rng.normal(size=(4, 3))
        T = rng.uniform(size=(4, 3))
        loss = LOSSES.standard("half_squared_error")
        seen = network.forward(theta, X)

        J = network.jacobian(theta, seen)

        summed = np.einsum("bo,bop->p", loss.gradient(seen.output, T), J) / 4
        assert summed == pytest.approx(
            gradient_of(network, theta, X, T, loss=loss), rel=1e-10, abs=1e-14
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_do_not_overflow(name: str, dtype: str) -> None:
    Z = np.array([[-1e4, -700.0, -89.0, -1.0, 0.0, 1.0, 89.0, 700.0, 1e4]], dtype)
    activation = ACTIVATIONS.standard(name)

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        Y = activation.forward(Z)
        dZ = activation.backward(np.ones_like(Y), Z, Y)

    assert Y.dtype == dZ.dtype == Z.dtype
    assert np.isfinite(Y).all()
    assert np.isfinite(dZ).all()
    low, high = activation.range
    assert low <= Y.min()
    assert Y.max() <= high


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("activation", "loss"), ALLOWED)
def test_losses_do_not_overflow(activation: str, loss: str, dtype: str) -> None:
    Z = np.array([[-1e4, 0.0, 1e4], [1e4, -1e4, 1e4]], dtype)
    T = np.array([[1.0, 0.0, 0.0]] * 2, dtype)
    parts = ACTIVATIONS.standard(activation), LOSSES.standard(loss)

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        Y = parts[0].forward(Z)
        value = parts[1].value(Z, Y, T)
        delta = parts[1].deltas(parts[0], Z, Y, T)

    assert value.dtype == delta.dtype == Z.dtype
    assert np.isfinite(value).all()
    assert np.isfinite(delta).all()
