"""What a layer may be besides plain: ties, masks, norms, noise, dropout, penalties and bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpropd.engine import INITIALIZERS, METRICS, NORMALIZATIONS, STATISTICS, Network
from tests.engine.networks import begin, crank, data_of, layer, network_of, train, training_of

RNG = np.random.default_rng(4)
X, T = RNG.normal(size=(16, 4)), RNG.uniform(0.1, 0.9, (16, 2))


def two_layers(**changes: Any) -> Network:
    activation = changes.pop("activation", "tanh")
    return network_of(
        4, layer("h", 6, activation, "inputs", **changes), layer("o", 2, "logistic", "h")
    )


def start_of(network: Network, seed: int = 0) -> Any:
    draw = INITIALIZERS.standard("uniform")
    names = [w.name for w in network.layout.windows if w.name.endswith(("weight", "bias"))]
    return network.initial(
        given={}, draw=dict.fromkeys(names, draw), rng=np.random.default_rng(seed)
    )


def test_a_mask_leaves_connections_out_for_good() -> None:
    mask = RNG.random((6, 4)) < 0.5
    ties = np.where(mask, np.cumsum(mask).reshape(mask.shape), 0)
    network = two_layers(ties=ties)
    state, columns = train(network, start_of(network), X, T, epochs=50, momentum=0.9)

    W = network.layout.views(state.theta)["h.weight"]
    assert (W[~mask] == 0).all()
    assert (W[mask] != 0).all()
    assert network.parameter_count == mask.sum() + 6 + 12 + 2
    assert columns["loss"][-1] < columns["loss"][0]


def test_tied_weights_stay_one_and_opposites_opposite() -> None:
    """
    The symmetry problem's solution, built in: weights equal and opposite about the centre.
    """
    ties = np.array([[1, 2, -2, -1], [3, 4, -4, -3]] * 3)
    network = two_layers(ties=ties)
    state, _ = train(network, start_of(network), X, T, epochs=50)

    W = network.layout.views(state.theta)["h.weight"]
    assert (W[:, :2] == -W[:, :1:-1]).all()
    assert (W[0] == W[2]).all()
    assert network.layout.window["h.weight"].stop == 4


def test_a_shared_bias_is_one_number() -> None:
    network = two_layers(share_bias=True)
    state, _ = train(network, start_of(network), X, T, epochs=20)

    assert len({*network.layout.views(state.theta)["h.bias"].tolist()}) == 1
    assert network.parameter_count == 24 + 1 + 12 + 2


def test_tied_weights_are_trained_as_a_smaller_network_would_be() -> None:
    """
    Two units tied to be twins move as one unit whose output counts twice.
    """
    twins = network_of(
        4,
        layer("h", 2, "tanh", "inputs", ties=np.array([[1, 2, 3, 4]] * 2), share_bias=True),
        layer("o", 1, "linear", "h", ties=np.array([[1, 1]]), use_bias=False),
    )
    one = network_of(
        4, layer("h", 1, "tanh", "inputs"), layer("o", 1, "linear", "h", use_bias=False)
    )
    theta = RNG.normal(size=6)
    doubled = theta.copy()
    doubled[5] *= 2  # two units of weight w are one of weight 2 w

    assert twins.predict(theta, X) == pytest.approx(one.predict(doubled, X))
    twins_loss = train(twins, theta, X, T[:, :1], epochs=1, batch_size=None)[1]["loss"]
    assert twins_loss == pytest.approx(
        train(one, doubled, X, T[:, :1], epochs=1, batch_size=None)[1]["loss"]
    )


def test_max_norm_holds_every_unit() -> None:
    network = two_layers(max_norm=0.3)
    state, _ = train(network, start_of(network), X, T, epochs=30, learning_rate=2.0)

    lengths = np.linalg.norm(network.layout.views(state.theta)["h.weight"], axis=1)
    assert lengths.max() <= 0.3 * (1 + 1e-12)
    assert lengths.max() > 0.29


def test_dropout_is_of_training_alone_and_keeps_the_mean() -> None:
    network = two_layers(dropout=0.25, activation="linear")
    theta = start_of(network)
    rng = np.random.default_rng(1)
    one = np.ones((1, 4))
    drawn = [network.forward(theta, one, rng=rng) for _ in range(4000)]
    kept = np.stack([seen.kept["h"] for seen in drawn])

    assert {0.0, 1 / 0.75} == set(np.unique(kept))
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert kept.mean() == pytest.approx(1.0, abs=0.02)
    assert "h" not in network.forward(theta, one).kept


def test_noise_is_of_training_alone() -> None:
    network = network_of(
        4, layer("h", 6, "tanh", "inputs", noise=0.5), layer("o", 2, "linear", "h"), noise=0.1
    )
    theta = start_of(network)
    rng = np.random.default_rng(1)
    seen = network.forward(theta, np.tile(X[:1], (5000, 1)), rng=rng)

    assert (seen.X["h"] - X[0]).std() == pytest.approx(0.1, rel=0.05)
    assert (seen.X["o"] - seen.Y["h"]).std() == pytest.approx(0.5, rel=0.05)
    plain = network.forward(theta, X)
    assert (plain.X["h"] == X).all()
    assert (plain.X["o"] == plain.Y["h"]).all()


def test_batch_norm_learns_what_to_do_without_a_batch() -> None:
    network = two_layers(normalization=NORMALIZATIONS.standard("batch_norm", momentum=0.2))
    state, _ = train(
        network, start_of(network), X, T, epochs=60, batch_size=None, learning_rate=0.01
    )
    views = network.layout.views(state.theta)
    net = X @ views["h.weight"].T + views["h.bias"]

    assert views["h.running_mean"] == pytest.approx(net.mean(axis=0), abs=0.05)
    assert views["h.running_variance"] == pytest.approx(net.var(axis=0, ddof=1), rel=0.1)
    one_by_one = np.concatenate([network.predict(state.theta, row[None]) for row in X])
    assert one_by_one == pytest.approx(network.predict(state.theta, X))


def test_penalties_shrink_weights_and_spare_biases() -> None:
    free, held = (two_layers(l1=l1, l2=l2) for l1, l2 in ((0.0, 0.0), (0.01, 0.1)))
    theta = start_of(free)
    norms = []
    for network in (free, held):
        state, _ = train(network, theta, X, T, epochs=300, batch_size=None)
        norms.append(np.linalg.norm(network.layout.views(state.theta)["h.weight"]))

    assert norms[1] < 0.5 * norms[0]
    assert held.penalty is not None
    stretch = held.layout.window["h.bias"]
    assert not held.penalty.l2[stretch.start : stretch.stop].any()


def test_statistics_of_every_layer() -> None:
    network = network_of(4, layer("h", 6, "relu", "inputs"), layer("o", 2, "logistic", "h"))
    theta = start_of(network)
    dead = network.layout.window["h.bias"]
    theta[dead.start : dead.start + 3] = -100.0  # three units that no sample reaches
    training = training_of(network, statistics=True, epochs=3, batch_size=None)
    state = begin(training, theta)
    _, columns = crank(training, data_of(X, T), state)

    assert {f"layers.{name}.{each}" for name in "ho" for each in STATISTICS} < set(columns)
    assert columns["layers.h.dead_fraction"].tolist() == [0.5, 0.5, 0.5]
    W = network.layout.views(state.theta)["o.weight"]
    assert columns["layers.o.weight_norm"][-1] == pytest.approx(np.linalg.norm(W))
    assert (columns["layers.o.update_ratio"] > 0).all()
    assert (columns["layers.o.gradient_norm"] > 0).all()
    assert (columns["layers.h.saturated_fraction"] >= 0.5).all()


@pytest.mark.parametrize("where", ["h", "o"])
def test_a_run_that_diverges_names_the_layer(where: str) -> None:
    network = network_of(4, layer("h", 6, "linear", "inputs"), layer("o", 2, "linear", "h"))
    theta = start_of(network)
    theta[network.layout.window[f"{where}.weight"].start] = np.inf
    training = training_of(network, epochs=5)
    state = begin(training, theta)
    with np.errstate(invalid="ignore"):
        crank(training, data_of(X, T), state)

    assert ("diverged", where) == (state.ended, state.diverged_in)


def test_the_best_weights_come_back_at_the_end() -> None:
    """
    Whatever ended the run: the state ends with the weights of the best epoch.
    """
    network = two_layers()
    changes = {"epochs": 40, "learning_rate": 8.0, "best": "loss", "restore_best": True}
    state, columns = train(network, start_of(network), X, T, **changes)

    assert state.best_epoch == columns["loss"].argmin() + 1
    assert state.best_theta is not None
    assert (state.theta == state.best_theta).all()


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"updates": 25}, "updates"),
        ({"error_below": 0.9, "error_of": "accuracy"}, "error_below"),
        ({"loss_below": 1e9}, "loss_below"),
        ({"patience": 1, "min_delta": 1e9}, "patience"),
        (
            {"patience": 1, "min_delta": 1e9, "monitor": "accuracy", "monitor_grows": True},
            "patience",
        ),
    ],
)
def test_every_rule_stops(rule: dict[str, Any], reason: str) -> None:
    network = two_layers()
    targets = np.eye(2)[np.arange(16) % 2]
    state, _ = train(
        network, start_of(network), X, targets, epochs=500, metrics=("accuracy",), stop=rule
    )

    assert state.ended == reason
    assert state.epoch < 500


def test_samples_may_be_drawn_with_replacement() -> None:
    network = two_layers()
    training = training_of(network, order="with_replacement", epochs=4, statistics=False)
    states = [begin(training, start_of(network), seed) for seed in (1, 1, 2)]
    for state in states:
        crank(training, data_of(X, T), state)

    assert states[0].theta.tobytes() == states[1].theta.tobytes()
    assert states[0].theta.tobytes() != states[2].theta.tobytes()


def test_weights_of_samples_are_how_often_they_count() -> None:
    """
    A sample of weight 2 is two samples, up to the mean over the batch.
    """
    network = two_layers()
    theta = start_of(network)
    twice = np.concatenate([X, X[:4]]), np.concatenate([T, T[:4]])
    weights = np.where(np.arange(16) < 4, 2.0, 1.0) * 16 / 20
    training = training_of(network, epochs=5, batch_size=None, metrics=("mean_absolute_error",))
    weighted, repeated = begin(training, theta), begin(training, theta)
    crank(training, data_of(X, T, weights=weights), weighted)
    crank(training, data_of(*twice), repeated)

    assert weighted.theta == pytest.approx(repeated.theta, rel=1e-12)


def test_metrics_are_named_as_they_are_measured() -> None:
    network = two_layers()
    training = training_of(network, epochs=2, metrics=tuple(METRICS))
    _, columns = crank(
        training,
        data_of(X, np.eye(2)[np.arange(16) % 2], X[:4], np.eye(2)[[0, 1, 0, 1]]),
        begin(training, start_of(network)),
    )

    assert {"val_confusion.0.1", "support.1", "val_f1", "r2", "top_k_accuracy"} < set(columns)
    assert columns["support.0"].tolist() == [8.0, 8.0]
