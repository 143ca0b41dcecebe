"""Optimizers: against their papers' formulas one weight at a time, and at work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backpropd.engine import OPTIMIZERS, Method, Moment, Rule
from tests.engine.networks import begin, crank, data_of, layer, network_of, training_of

RNG = np.random.default_rng(11)
X, T = RNG.normal(size=(12, 3)), RNG.uniform(0.1, 0.9, (12, 2))
RULES = [name for name, part in OPTIMIZERS.items() if issubclass(part, Rule)]
METHODS = [name for name, part in OPTIMIZERS.items() if issubclass(part, Method)]
Step = Callable[[float, float, dict[str, float], bool], float]  # w, g, memory, rose -> new w


def sign(x: float) -> float:
    return float(np.sign(x))


def silva_almeida(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    rate, before = m.get("rate", 0.1), m.get("g", 0.0)
    m["rate"] = rate * (1.2 if g * before > 0 else 0.8 if g * before < 0 else 1)
    m["g"] = g
    return w - m["rate"] * g


def delta_bar_delta(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    rate, mean = m.get("rate", 0.1), m.get("mean", 0.0)
    if g * mean > 0:
        rate += 0.01
    elif g * mean < 0:
        rate *= 0.9
    m["rate"], m["mean"] = rate, 0.3 * g + 0.7 * mean
    return w - rate * g


def supersab(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    rate, before = m.get("rate", 0.1), m.get("g")
    if before is not None and g * before < 0:
        m["rate"], m["g"] = rate * 0.5, 0.0
        back, m["d"] = -m["d"], -m["d"]
        return w + back
    m["rate"] = min(rate * 1.05, 10.0) if before is not None else rate
    m["g"], m["d"] = g, -m["rate"] * g
    return w + m["d"]


def rprop(plus: bool, improved: bool) -> Step:
    """Algorithms 1 to 4 of Igel & Huesken 2003, as they print them."""

    def step(w: float, g: float, m: dict[str, float], rose: bool) -> float:
        size, before, d = m.get("size", 0.1), m.get("g", 0.0), m.get("d", 0.0)
        if g * before > 0:
            size = min(size * 1.2, 50.0)
            d = -sign(g) * size
        elif g * before < 0:
            size = max(size * 0.5, 1e-6)
            if plus and (not improved or rose):
                d = -d
            elif plus:
                d = 0.0
            if plus or improved:
                g = 0.0
            if not plus:
                d = -sign(g) * size
        else:
            d = -sign(g) * size
        m["size"], m["g"], m["d"] = size, g, d
        return w + d

    return step


def quickprop(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    """FANN's order of cases; slope is -dE/dw."""
    slope, before, d = -(g + 0.0001 * w), m.get("slope", 0.0), m.get("d", 0.0)
    new = 0.0
    if d != 0:
        if slope * sign(d) > 0:
            new += 0.1 * slope
        if slope * sign(d) > 1.75 / 2.75 * before * sign(d):
            new += 1.75 * d
        else:
            new += d * slope / (before - slope)
    else:
        new = 0.1 * slope
    m["slope"], m["d"] = slope, new
    return w + new


def qrprop(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    size, before = m.get("size", 0.1), m.get("g", 0.0)
    if g * before > 0:
        size *= 1.2
    elif g * before < 0:
        size *= max(0.1, abs(g / (g - before)))
    m["size"], m["g"] = min(max(size, 1e-6), 50.0), g
    return w - sign(g) * m["size"]


def lion(w: float, g: float, m: dict[str, float], rose: bool) -> float:
    mean = m.get("mean", 0.0)
    m["mean"] = 0.99 * mean + 0.01 * g
    return w - 0.0001 * sign(0.9 * mean + 0.1 * g)


PAPERS: dict[str, Step] = {
    "silva_almeida": silva_almeida,
    "delta_bar_delta": delta_bar_delta,
    "supersab": supersab,
    "rprop_plus": rprop(plus=True, improved=False),
    "rprop_minus": rprop(plus=False, improved=False),
    "irprop_plus": rprop(plus=True, improved=True),
    "irprop_minus": rprop(plus=False, improved=True),
    "quickprop": quickprop,
    "qrprop": qrprop,
    "lion": lion,
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_rule_is_the_papers_one_weight_at_a_time(name: str) -> None:
    """
    Vectors of weights against a loop in plain numbers, over gradients of every sign and size.
    """
    rng = np.random.default_rng(3)
    rule: Any = OPTIMIZERS.standard(name)
    theta = rng.normal(size=40)
    expected, memories = theta.tolist(), [dict[str, float]() for _ in theta]
    slots = np.zeros((rule.slots, len(theta)))
    for step in range(1, 31):
        gradient = rng.normal(size=40) * rng.choice([0.0, 1e-3, 1.0], 40, p=[0.1, 0.2, 0.7])
        rose = bool(rng.random() < 0.4)
        expected = [
            PAPERS[name](w, g, m, rose)
            for w, g, m in zip(expected, gradient.tolist(), memories, strict=True)
        ]
        rule.update(theta, gradient, slots, Moment(rule.learning_rate, step, rose))
        assert expected == pytest.approx(theta.tolist(), rel=1e-9, abs=1e-12), step


@pytest.mark.parametrize("name", RULES)
def test_a_rule_works_on_any_stretch_alike(name: str) -> None:
    """
    Layer by layer or all at once: the same numbers, bit for bit.
    """
    rule: Any = OPTIMIZERS.standard(name)
    rng = np.random.default_rng(5)
    whole = rng.normal(size=30)
    parts = whole.copy()
    slots = np.zeros((rule.slots, 30)), np.zeros((rule.slots, 30))
    for step in range(1, 6):
        gradient = rng.normal(size=30)
        at = Moment(rule.learning_rate, step, step == 3)
        rule.update(whole, gradient.copy(), slots[0], at)
        for stretch in (slice(20, 30), slice(0, 20)):
            rule.update(parts[stretch], gradient[stretch].copy(), slots[1][:, stretch], at)

        assert (whole == parts).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(name: str) -> None:
    """
    From the same weights each brings the error well down, with its own defaults.
    """
    network = network_of(
        3, layer("hidden", 5, "tanh", "inputs"), layer("output", 2, "linear", "hidden")
    )
    theta = np.random.default_rng(1).normal(0, 0.5, network.parameter_count)
    slow = {"lion": 0.01, "adam": 0.01, "adamw": 0.01, "amsgrad": 0.01, "radam": 0.01}
    rates = {"learning_rate": slow[name]} if name in slow else {}
    training = training_of(
        network,
        loss="mean_squared_error",
        optimizer=OPTIMIZERS.standard(name, **rates),
        batch_size=None,
        epochs=300,
    )
    state = begin(training, theta)
    _, columns = crank(training, data_of(X, T), state)

    assert columns["loss"][-1] < 0.3 * columns["loss"][0]


@pytest.mark.parametrize("name", METHODS)
def test_the_second_order_ones_find_the_least_squares(name: str) -> None:
    """
    A linear network's best weights are known in closed form, and found in few steps.
    """
    network = network_of(3, layer("output", 2, "linear", "inputs"))
    training = training_of(
        network,
        loss="half_squared_error",
        optimizer=OPTIMIZERS.standard(name),
        batch_size=None,
        epochs=40,
    )
    state = begin(training, np.zeros(8))
    crank(training, data_of(X, T), state)

    with_one = np.column_stack([X, np.ones(len(X))])
    expected = np.linalg.lstsq(with_one, T, rcond=None)[0]
    views = network.layout.views(state.theta)
    assert views["output.weight"] == pytest.approx(expected[:3].T, abs=1e-6)
    assert views["output.bias"] == pytest.approx(expected[3], abs=1e-6)


def test_levenberg_marquardt_counts_penalties_weights_and_frozen_parts() -> None:
    """
    Ridge regression has a closed form too; a frozen bias stays.
    """
    network = network_of(3, layer("output", 2, "linear", "inputs", l2=0.3, train_biases=False))
    weights = np.linspace(0.5, 2, 12)
    training = training_of(
        network,
        loss="half_squared_error",
        optimizer=OPTIMIZERS.standard("levenberg_marquardt"),
        batch_size=None,
        epochs=30,
    )
    state = begin(training, np.zeros(8))
    crank(training, data_of(X, T, weights=weights), state)

    XtWX = (X * weights[:, None]).T @ X / 12 + 0.3 * np.eye(3)
    expected = np.linalg.solve(XtWX, (X * weights[:, None]).T @ T / 12)
    views = network.layout.views(state.theta)
    assert views["output.weight"] == pytest.approx(expected.T, abs=1e-8)
    assert views["output.bias"].tolist() == [0.0, 0.0]


def test_decay_moves_what_is_trained_and_nothing_else() -> None:
    network = network_of(3, layer("output", 2, "linear", "inputs", train_biases=False))
    for decoupled in (False, True):
        training = training_of(
            network,
            optimizer=OPTIMIZERS.standard(
                "sgd", learning_rate=0.1, weight_decay=0.5, decoupled=decoupled
            ),
            epochs=1,
            batch_size=None,
        )
        state = begin(training, np.ones(8))
        crank(training, data_of(np.zeros((1, 3)), np.ones((1, 2))), state)
        views = network.layout.views(state.theta)

        assert views["output.bias"].tolist() == [1.0, 1.0]
        assert views["output.weight"] == pytest.approx(np.full((2, 3), 1 - 0.1 * 0.5))


def test_a_line_search_that_finds_nothing_stays() -> None:
    """
    Where the error is flat or not a number, theta does not move, and nothing is raised.
    """
    for name in METHODS:
        network = network_of(3, layer("output", 2, "linear", "inputs"))
        training = training_of(
            network,
            loss="half_squared_error",
            optimizer=OPTIMIZERS.standard(name),
            batch_size=None,
            epochs=5,
        )
        state = begin(training, np.zeros(8))
        crank(training, data_of(np.zeros((4, 3)), np.zeros((4, 2))), state)

        assert np.isfinite(state.theta).all()
        assert math.isclose(float(np.abs(state.theta).max()), 0.0)
