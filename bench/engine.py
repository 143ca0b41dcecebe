"""Our `fit` beside scikit-learn's `partial_fit`, equal work, in turns: medians and their ratio.

python -m bench.engine
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

from sklearn.neural_network import MLPClassifier

from backpropd.data.builtin import builtin
from backpropd.data.prepare import prepare
from backpropd.engine import Data, fit
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training, generators, start
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec

ROUNDS = 5
CASES = (("iris", 7, 16, 100), ("digits", 64, 32, 10), ("iris", 7, 1, 10))


def ours(name: str, hidden: int, batch: int, epochs: int) -> Callable[[], None]:
    """A run of our engine, ready to be timed."""
    dataset = builtin(name)
    layers = [
        {"units": hidden, "activation": "tanh"},
        {"units": dataset.targets.shape[1], "activation": "softmax"},
    ]
    training = {"epochs": epochs, "batch_size": batch, "loss": "cross_entropy", "seed": 1}
    network = {"inputs": dataset.inputs.shape[1], "layers": layers}
    spec = parse(JobSpec, {"network": network, "dataset": "x", "training": training})
    assert isinstance(spec.network, NetworkSpec)
    built = build_network(spec.network, dtype="float64")
    rules = build_training(
        built,
        spec.network,  # type: ignore[arg-type]
        spec.training,
        spec.history,
        spec.snapshots,
        task="regression",
    )
    ready = prepare(dataset, spec.training, rng=generators(1).split)
    data = Data(
        inputs=ready.inputs,
        targets=ready.targets,
        weights=None,
        validation_inputs=None,
        validation_targets=None,
    )

    def run() -> None:
        state = start(spec.network, rules, generators(1))  # type: ignore[arg-type]
        for _ in fit(rules, data, state, enough=lambda: False, mark=lambda epoch: False):
            pass

    return run


def theirs(name: str, hidden: int, batch: int, epochs: int) -> Callable[[], None]:
    """The same work with scikit-learn."""
    dataset = builtin(name)
    labels = dataset.targets.argmax(axis=1)

    def run() -> None:
        model = MLPClassifier(
            (hidden,),
            activation="tanh",
            solver="sgd",
            batch_size=batch,
            momentum=0.0,
            nesterovs_momentum=False,
            alpha=0.0,
            learning_rate_init=0.01,
            max_iter=epochs,
            n_iter_no_change=epochs + 1,
            random_state=1,
        )
        model.fit(dataset.inputs, labels)

    return run


def main() -> None:
    """Print a line for each case."""
    warnings.simplefilter("ignore")
    print(f"{'set':8} {'batch':>5} {'ours ms':>9} {'sklearn ms':>11} {'ratio':>6}")
    for case in CASES:
        contestants = (ours(*case), theirs(*case))
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for which, run in enumerate(contestants):
                began = time.perf_counter()
                run()
                times[which].append((time.perf_counter() - began) * 1e3)
        mine, other = (statistics.median(each) for each in times)
        print(f"{case[0]:8} {case[2]:5} {mine:9.1f} {other:11.1f} {other / mine:6.2f}")


if __name__ == "__main__":
    main()
