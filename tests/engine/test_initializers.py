"""Initial weights: each as its formula says, from the generator alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpropd.engine import INITIALIZERS

UNITS, FAN_IN = 300, 200
R = {
    "glorot_uniform": (6 / (UNITS + FAN_IN)) ** 0.5,
    "he_uniform": (6 / FAN_IN) ** 0.5,
    "lecun_uniform": (3 / FAN_IN) ** 0.5,
    "uniform": 0.5,
}
STD = {
    "glorot_normal": (2 / (UNITS + FAN_IN)) ** 0.5,
    "he_normal": (2 / FAN_IN) ** 0.5,
    "lecun_normal": (1 / FAN_IN) ** 0.5,
    "normal": 0.1,
}


def drawn(name: str, *shape: int, seed: int = 0, **settings: Any) -> Any:
    part = INITIALIZERS.standard(name, **settings)
    return part.draw(np.random.default_rng(seed), shape, fan_in=FAN_IN)


@pytest.mark.parametrize("name", R)
def test_uniform_ones_fill_their_range(name: str) -> None:
    W = drawn(name, UNITS, FAN_IN)

    assert np.abs(W).max() <= R[name]
    assert np.abs(W).max() > 0.999 * R[name]
    assert W.mean() == pytest.approx(0, abs=0.01 * R[name])


@pytest.mark.parametrize("name", STD)
def test_normal_ones_have_their_width(name: str) -> None:
    W = drawn(name, UNITS, FAN_IN)

    assert W.std() == pytest.approx(STD[name], rel=0.02)
    assert np.abs(W).max() > 3 * STD[name]


def test_a_truncated_bell_has_no_tails() -> None:
    W = drawn("truncated_normal", UNITS, FAN_IN, mean=1.0, std=0.5)

    assert np.abs(W - 1).max() <= 1.0
    assert W.std() == pytest.approx(0.5 * 0.8796, rel=0.02)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_orthogonal_rows_or_columns(shape: tuple[int, int]) -> None:
    W = drawn("orthogonal", *shape, gain=2.0)
    product = W @ W.T if shape[0] <= shape[1] else W.T @ W

    assert product == pytest.approx(4 * np.eye(min(shape)), abs=1e-12)


def test_nguyen_and_widrow_share_out_the_range() -> None:
    b = 0.7 * UNITS ** (1 / FAN_IN)

    assert np.linalg.norm(drawn("nguyen_widrow", UNITS, FAN_IN), axis=1) == pytest.approx(b)
    biases = drawn("nguyen_widrow", UNITS)
    assert np.abs(biases).max() <= b
    assert np.abs(biases).max() > 0.95 * b


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_generator_decides_alone(name: str) -> None:
    assert (drawn(name, 5, 3) == drawn(name, 5, 3)).all()
    assert name == "constant" or (drawn(name, 5, 3) != drawn(name, 5, 3, seed=1)).any()
    assert drawn(name, 5).shape == (5,)
    assert drawn(name, 5, 3).dtype == np.float64
