"""The problems of the classic texts, made from their definitions."""

from __future__ import annotations

from itertools import product

import numpy as np

from backpropd.data.table import Dataset, from_numbers

RETINA = 6  # units a side, of T-C
SPIRAL_POINTS = 97  # of each of the two
# Of the seeds below 400 the one whose parties are most nearly of one size.
PARTY_ROWS, PARTY_SEED = 1000, 68


def patterns(bits: int) -> np.ndarray:
    """All patterns of so many bits, counting up (2^bits, bits)."""
    return np.array(list(product((0.0, 1.0), repeat=bits)))


def parity(bits: int) -> Dataset:
    """1 for an odd count of ones."""
    inputs = patterns(bits)
    return from_numbers(inputs, inputs.sum(axis=1, keepdims=True) % 2)


def encoder(units: int) -> Dataset:
    """One-hot patterns onto themselves."""
    return from_numbers(np.eye(units), np.eye(units))


def symmetry() -> Dataset:
    """1 where a pattern of six bits is symmetric about its centre."""
    inputs = patterns(6)
    symmetric = (inputs == inputs[:, ::-1]).all(axis=1, keepdims=True)
    return from_numbers(inputs, symmetric.astype(float))


def addition() -> Dataset:
    """Two numbers of two bits onto their sum of three bits, most significant bit first."""
    inputs = patterns(4)
    sums = inputs @ [2, 1, 2, 1]
    bits = (sums[:, None].astype(int) >> np.array([2, 1, 0])) & 1
    return from_numbers(inputs, bits.astype(float), task="regression")


def negation() -> Dataset:
    """Three bits, inverted where a fourth, the first of the inputs, is 1."""
    inputs = patterns(4)
    control, bits = inputs[:, :1], inputs[:, 1:]
    return from_numbers(inputs, np.abs(bits - control), task="regression")


def t_c() -> Dataset:
    """1 for a T, 0 for a C, of five squares, in four orientations, anywhere on a retina."""
    T = np.array([[1, 1, 1], [0, 1, 0], [0, 1, 0]])
    C = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0]])
    inputs, targets = [], []
    for target, letter in ((1.0, T), (0.0, C)):
        for turns, row, column in product(range(4), range(RETINA - 2), range(RETINA - 2)):
            retina = np.zeros((RETINA, RETINA))
            retina[row : row + 3, column : column + 3] = np.rot90(letter, turns)
            inputs.append(retina.ravel())
            targets.append([target])
    return from_numbers(np.array(inputs), np.array(targets))


def two_spirals() -> Dataset:
    """Two intertwined spirals of 97 points each, as Lang & Witbrock's program makes them."""
    steps = np.arange(SPIRAL_POINTS)
    angle, radius = steps * np.pi / 16, 6.5 * (104 - steps) / 104
    one = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    inputs = np.stack([one, -one], axis=1).reshape(-1, 2)
    return from_numbers(inputs, np.tile([[1.0], [0.0]], (SPIRAL_POINTS, 1)))


def party() -> Dataset:
    """Four measures of a person and one of three parties, made by a random network 4-5-3."""
    rng = np.random.Generator(np.random.PCG64(PARTY_SEED))
    inputs = rng.uniform(-1, 1, (PARTY_ROWS, 4))
    hidden = np.tanh(inputs @ rng.uniform(-3, 3, (4, 5)) + rng.uniform(-3, 3, 5))
    outputs = hidden @ rng.uniform(-3, 3, (5, 3)) + rng.uniform(-1, 1, 3)
    return from_numbers(
        inputs,
        np.eye(3)[outputs.argmax(axis=1)],
        input_names=("education", "debt", "income", "urban_ness"),
        target_names=("party_1", "party_2", "party_3"),
        classes=("party_1", "party_2", "party_3"),
    )
