"""The same weights as scikit-learn's MLP, epoch for epoch, where it has the option."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from backpropd.engine import OPTIMIZERS
from tests.engine.networks import begin, crank, data_of, layer, network_of, training_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(8)
X, LABELS, T = RNG.normal(size=(30, 4)), np.arange(30) % 3, RNG.normal(size=(30, 1))
BATCH, EPOCHS, RATE = 10, 34, 0.05  # a hundred updates and two
ACTIVATIONS = {"identity": "linear", "logistic": "logistic", "tanh": "tanh", "relu": "relu"}
SOLVERS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "sgd": ({"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}, "sgd", {}),
    "momentum": (
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
        "sgd",
        {"momentum": 0.9},
    ),
    "nesterov": (
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
        "sgd",
        {"momentum": 0.9, "nesterov": True},
    ),
    # They add epsilon before v is corrected (Kingma & Ba, section 2): here it is next to nothing.
    "adam": ({"solver": "adam", "epsilon": 1e-30}, "adam", {"epsilon": 1e-30}),
}


def flat(weights: Any, biases: Any) -> Any:
    """Their arrays as our theta."""
    pairs = zip(weights, biases, strict=True)
    return np.concatenate([array.ravel() for W, b in pairs for array in (W.T, b)])


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_scikit_learn_comes_to_the_same_weights(
    task: str, activation: str, solver: str, alpha: float
) -> None:
    """
    From its own initial weights, in a fixed order; its alpha is our l2 times the batch's size.
    """
    said, name, settings = SOLVERS[solver]
    classes = task == "classification"
    theirs = (MLPClassifier if classes else MLPRegressor)(
        hidden_layer_sizes=(5,),
        activation=activation,
        alpha=alpha,
        batch_size=BATCH,
        learning_rate_init=RATE,
        shuffle=False,
        max_iter=1,
        random_state=0,
        **said,
    )
    targets = LABELS if classes else T.ravel()
    more = {"classes": [0, 1, 2]} if classes else {}
    theirs.partial_fit(X[:BATCH], targets[:BATCH], **more)  # that makes its arrays
    begin_with = flat(theirs.coefs_, theirs.intercepts_)
    network = network_of(
        4,
        layer("hidden", 5, ACTIVATIONS[activation], "inputs", l2=alpha / BATCH),
        layer("output", 3 if classes else 1, "softmax" if classes else "linear", "hidden",
              l2=alpha / BATCH),
    )  # fmt: skip
    training = training_of(
        network,
        loss="cross_entropy" if classes else "half_squared_error",
        optimizer=OPTIMIZERS.standard(name, learning_rate=RATE, **settings),
        epochs=EPOCHS,
        batch_size=BATCH,
    )
    state = begin(training, begin_with)
    crank(training, data_of(X, np.eye(3)[LABELS] if classes else T), state)
    fresh(theirs)
    for _ in range(EPOCHS):
        theirs.partial_fit(X, targets)

    assert flat(theirs.coefs_, theirs.intercepts_) == pytest.approx(
        state.theta, rel=1e-9, abs=1e-12
    )


def fresh(theirs: Any) -> None:
    """Their optimizer as before its first step, over the weights as they are."""
    if theirs.solver == "sgd":
        from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

        theirs._optimizer = SGDOptimizer(
            theirs.coefs_ + theirs.intercepts_,
            theirs.learning_rate_init,
            theirs.learning_rate,
            theirs.momentum,
            theirs.nesterovs_momentum,
            theirs.power_t,
        )
        return
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

    theirs._optimizer = AdamOptimizer(
        theirs.coefs_ + theirs.intercepts_,
        theirs.learning_rate_init,
        theirs.beta_1,
        theirs.beta_2,
        theirs.epsilon,
    )
