"""Mazur's worked example, to the last digit; tests/reference/mazur.json gives the sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpropd.engine import LOSSES, trace_step
from tests.engine.networks import THETA, mazur_network, train

X, T = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
SAMPLE = {"loss": LOSSES.standard("half_squared_error"), "learning_rate": 0.5}


@pytest.mark.parametrize("order", ["simultaneous", "layerwise"])
def test_ten_thousand_passes_give_the_reference_errors(mazur: dict[str, Any], order: str) -> None:
    _, columns = train(mazur_network(), THETA, X, T, epochs=10_001, update_order=order)

    for updates, expected in mazur[order].items():
        assert columns["loss"][int(updates)] == pytest.approx(expected["error"], rel=1e-12)


def test_the_figure_printed_for_ten_thousand_is_of_the_ten_thousandth_pass(
    mazur: dict[str, Any],
) -> None:
    _, columns = train(mazur_network(), THETA, X, T, epochs=10_000)

    assert f"{columns['loss'][9_999]:.10f}" == "0.0000351085"
    assert mazur["published"]["E_after_10000"] == pytest.approx(columns["loss"][9_999], rel=1e-5)


@pytest.mark.parametrize(
    ("key", "trained"), [("biases_frozen_as_in_the_article", False), ("biases_trained", True)]
)
def test_weights_after_ten_thousand_updates(mazur: dict[str, Any], key: str, trained: bool) -> None:
    network = mazur_network(train_biases=trained)
    state, _ = train(network, THETA, X, T, epochs=10_000)
    views = network.layout.views(state.theta)
    weights = [*views["hidden.weight"].ravel(), *views["output.weight"].ravel()]
    biases = [*views["hidden.bias"], *views["output.bias"]]

    assert list(mazur[key]["weights_after_10000"].values()) == pytest.approx(weights, rel=1e-10)
    assert mazur[key]["biases_after_10000"] == pytest.approx(biases, rel=1e-10)
    outputs = network.predict(state.theta, X)[0]
    assert mazur[key]["outputs_after_10000"] == pytest.approx(list(outputs), rel=1e-10)


def test_errors_with_trained_biases(mazur: dict[str, Any]) -> None:
    _, columns = train(mazur_network(train_biases=True), THETA, X, T, epochs=10_001)

    for updates, expected in mazur["biases_trained_errors"].items():
        assert columns["loss"][int(updates)] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("key", "trained"), [("biases_frozen_as_in_the_article", False), ("biases_trained", True)]
)
def test_the_trace_holds_every_number_of_the_first_update(
    mazur: dict[str, Any], key: str, trained: bool
) -> None:
    network = mazur_network(train_biases=trained)
    trace = trace_step(network, THETA, X[0], T[0], update_order="simultaneous", **SAMPLE)
    groups = {
        "gradient": trace.gradient,
        "bias_gradient": trace.bias_gradient,
        "updated_weights": trace.updated_weights,
        "updated_biases": trace.updated_biases,
    }

    for name, expected in mazur[key]["first_update"].items():
        if isinstance(expected, dict):
            assert expected == pytest.approx(groups[name], rel=1e-12), name
        else:
            assert expected == pytest.approx(trace.values[name], rel=1e-12), name


def test_the_trace_holds_the_digits_that_the_article_prints(mazur: dict[str, Any]) -> None:
    trace = trace_step(mazur_network(), THETA, X[0], T[0], update_order="simultaneous", **SAMPLE)
    names = {"dE_dw5": "dE_total_dw5", "dE_dw1": "dE_total_dw1", "dE_dout_h1": "dE_total_dout_h1"}
    of_longer_runs = {"E_after_first_update", "E_after_10000", "outputs_after_10000"}

    for name, printed in mazur["published"].items():
        if name not in of_longer_runs:
            assert printed == pytest.approx(trace.values[names.get(name, name)], abs=5e-9), name


def test_the_articles_error_after_one_update_is_the_layerwise_one() -> None:
    simultaneous, layerwise = (
        trace_step(mazur_network(), THETA, X[0], T[0], update_order=order, **SAMPLE)
        for order in ("simultaneous", "layerwise")
    )

    assert f"{simultaneous.values['E_total+']:.9f}" == "0.291027774"
    assert f"{layerwise.values['E_total+']:.9f}" == "0.291027924"
