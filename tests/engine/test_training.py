"""The loop: order, resume, stopping, divergence, and agreement with others."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import INITIALIZERS, TrainingState, evaluate
from tests.engine.networks import (
    THETA,
    begin,
    crank,
    data_of,
    layer,
    mazur_network,
    network_of,
    train,
    training_of,
)

RNG = np.random.default_rng(5)
X, T = RNG.normal(size=(13, 2)), RNG.uniform(size=(13, 2))
XV, TV = RNG.normal(size=(5, 2)), RNG.uniform(size=(5, 2))
BUSY: dict[str, Any] = {
    "epochs": 7,
    "batch_size": 4,
    "order": "shuffled",
    "momentum": 0.9,
    "learning_rate": 0.2,
    "best": "val_loss",
    "metrics": ("accuracy",),
}


def unbroken() -> tuple[TrainingState, dict[str, Any]]:
    training = training_of(mazur_network(train_biases=True), **BUSY)
    state = begin(training, THETA)
    _, columns = crank(training, data_of(X, T, XV, TV), state)
    return state, columns


@settings(max_examples=40, deadline=None)
@given(stops=st.lists(st.integers(0, 27), min_size=1, max_size=6))
def test_resume_from_anywhere_is_bit_identical(stops: list[int]) -> None:
    """
    However often a run is cut off, in mid-epoch too, and goes on from its bytes, nothing differs.
    """
    expected, expected_columns = unbroken()
    training = training_of(mazur_network(train_biases=True), **BUSY)
    content = begin(training, THETA).to_bytes()
    rows: dict[str, list[float]] = {name: [] for name in expected_columns}
    for stop in [*stops, None]:
        ticks = count()
        state = TrainingState.from_bytes(content)
        enough = (lambda t=ticks, s=stop: next(t) >= s) if stop is not None else lambda: False
        for block in iter_blocks(training, state, enough):
            for name, values in block.columns.items():
                rows[name] += values.tolist()
            if stop is not None:
                break
        content = state.to_bytes()

    assert expected.to_bytes() == content
    assert {name: values.tolist() for name, values in expected_columns.items()} == rows


def iter_blocks(training: Any, state: TrainingState, enough: Any) -> Any:
    from backpropd.engine import fit

    return fit(training, data_of(X, T, XV, TV), state, enough=enough, mark=lambda epoch: False)


def test_where_blocks_end_changes_nothing() -> None:
    expected, columns = unbroken()
    training = training_of(mazur_network(train_biases=True), **BUSY)
    state = begin(training, THETA)
    blocks, cut = crank(
        training,
        data_of(X, T, XV, TV),
        state,
        enough=lambda: True,
        mark=lambda epoch: epoch % 2 == 0,
    )

    assert expected.to_bytes() == state.to_bytes()
    assert all((columns[name] == cut[name]).all() for name in columns)
    assert len(blocks) > 7
    assert sum(block.samples for block in blocks) == 7 * 13


def test_marked_epochs_end_blocks() -> None:
    training = training_of(mazur_network(), epochs=10)
    blocks, _ = crank(
        training, data_of(X, T), begin(training, THETA), mark=lambda epoch: epoch in (3, 8)
    )

    assert [(1, 3), (4, 5), (9, 2)] == [(block.first_epoch, block.epochs) for block in blocks]


def test_one_seed_is_one_run_and_another_is_another() -> None:
    training = training_of(mazur_network(), **BUSY | {"best": None})
    finals = []
    for seed in (1, 1, 2):
        state = begin(training, THETA, seed)
        crank(training, data_of(X, T), state)
        finals.append(state.theta.tobytes())

    assert finals[0] == finals[1]
    assert finals[0] != finals[2]


def test_frozen_parameters_keep_their_bits() -> None:
    network = network_of(
        2,
        layer("hidden", 2, "tanh", "inputs", train_weights=False),
        layer("output", 2, "linear", "hidden", train_biases=False),
    )
    state, _ = train(network, THETA, X, T, epochs=20, momentum=0.5, learning_rate=0.1)

    assert (state.theta == THETA)[~network.trainable].all()
    assert (state.theta != THETA)[network.trainable].all()


def test_a_full_batch_is_one_update_an_epoch() -> None:
    state, _ = train(mazur_network(), THETA, X, T, epochs=5, batch_size=None)

    assert state.step == 5


def test_early_end_below_a_loss() -> None:
    state, columns = train(
        mazur_network(), THETA, X[:1], T[:1], epochs=10_000, stop={"loss_below": 0.001}
    )

    assert state.ended == "loss_below"
    assert columns["loss"][-1] < 0.001 <= columns["loss"][-2]


def test_patience_ends_after_so_many_epochs_without_improvement() -> None:
    """
    Weights that never move never improve, so patience counts from the first epoch.
    """
    frozen = {"train_weights": False, "train_biases": False}
    network = network_of(2, layer("o", 2, "linear", "inputs", **frozen), dtype="float64")
    state, columns = train(network, np.zeros(6), X, T, epochs=50, stop={"patience": 4})

    assert state.ended == "patience"
    assert len(columns["loss"]) == 5


def test_the_best_epochs_weights_are_kept() -> None:
    state, columns = unbroken()
    best = int(columns["val_loss"].argmin())
    training = training_of(mazur_network(train_biases=True), **BUSY | {"epochs": best + 1})
    until_best = begin(training, THETA)
    crank(training, data_of(X, T, XV, TV), until_best)

    assert state.best_epoch == best + 1
    assert state.best_value == columns["val_loss"][best]
    assert (state.best_theta == until_best.theta).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_divergence_ends_with_the_last_finite_weights(dtype: str) -> None:
    network = network_of(2, layer("o", 2, "linear", "inputs"), dtype=dtype)
    training = training_of(network, epochs=5000, learning_rate=1e3)
    state = begin(training, np.full(6, 0.1, dtype))
    _, columns = crank(training, data_of(X.astype(dtype), T.astype(dtype)), state)

    assert state.ended == "diverged"
    assert np.isfinite(state.theta).all()
    assert state.epoch == len(columns["loss"]) - 1
    before = training_of(network, epochs=state.epoch, learning_rate=1e3)
    finite = begin(before, np.full(6, 0.1, dtype))
    crank(before, data_of(X.astype(dtype), T.astype(dtype)), finite)
    assert (finite.theta == state.theta).all()


def test_validation_is_measured_after_the_epochs_updates() -> None:
    training = training_of(mazur_network(), epochs=3, metrics=("accuracy",))
    state = begin(training, THETA)
    _, columns = crank(training, data_of(X, T, XV, TV), state)
    final = evaluate(
        training.network, state.theta, XV, TV, loss=training.loss, metrics=training.metrics
    )

    assert final == {"loss": columns["val_loss"][-1], "accuracy": columns["val_accuracy"][-1]}


def test_a_finished_state_gives_one_empty_block() -> None:
    state, _ = unbroken()
    training = training_of(mazur_network(train_biases=True), **BUSY)
    blocks, _ = crank(training, data_of(X, T, XV, TV), state)

    assert [(0, "epochs")] == [(block.epochs, block.ended) for block in blocks]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"x" * 1000])
def test_rubbish_is_no_state(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a saved training state"):
        TrainingState.from_bytes(content)


def test_xor_is_learned_with_a_shortcut() -> None:
    """
    Rumelhart's 2-1-1 network: one hidden unit, the inputs feed the output too.
    """
    network = network_of(
        2,
        layer("hidden", 1, "logistic", "inputs"),
        layer("output", 1, "logistic", "inputs", "hidden"),
    )
    patterns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    targets = np.array([[0], [1], [1], [0]], float)
    rng = np.random.default_rng(1)
    draw = INITIALIZERS.standard("uniform", low=-1.0, high=1.0)
    names = {window.name: draw for window in network.layout.windows}
    theta = network.initial(given={}, draw=names, rng=rng)
    state, _ = train(
        network, theta, patterns, targets, epochs=3000, momentum=0.9, stop={"loss_below": 0.005}
    )

    assert state.ended == "loss_below"
    assert ((network.predict(state.theta, patterns) > 0.5) == (targets > 0.5)).all()


def test_a_cycle_and_an_unknown_source_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        network_of(1, layer("a", 1, "tanh", "b"), layer("b", 1, "tanh", "a"))
    with pytest.raises(ValueError, match="no layer"):
        network_of(1, layer("a", 1, "tanh", "x"), dtype="float64")
