"""Going on from saved bytes, at any batch, gives every bit that the unbroken run gives."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest

from backpropd.engine import (
    CLIPS,
    NORMALIZATIONS,
    OPTIMIZERS,
    ORDERS,
    SCHEDULES,
    Training,
    TrainingState,
    fit,
)
from tests.engine.networks import begin, data_of, layer, network_of, training_of

RNG = np.random.default_rng(2)
DATA = data_of(
    RNG.normal(size=(11, 3)),
    RNG.uniform(0.1, 0.9, (11, 2)),
    RNG.normal(size=(4, 3)),
    RNG.uniform(0.1, 0.9, (4, 2)),
    weights=RNG.uniform(0.5, 2, 11),
)
RANDOM_LAYERS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.3},
    "noise": {"noise": 0.2},
    "batch_norm": {"normalization": NORMALIZATIONS.standard("batch_norm")},
    "layer_norm": {"normalization": NORMALIZATIONS.standard("layer_norm")},
    "max_norm": {"max_norm": 0.5},
    "prelu": {"activation": "prelu"},
    "all": {
        "dropout": 0.3,
        "noise": 0.2,
        "normalization": NORMALIZATIONS.standard("batch_norm"),
        "l1": 0.01,
        "l2": 0.01,
    },
}


def network(**changes: Any) -> Any:
    hidden = layer("hidden", 4, changes.pop("activation", "tanh"), "inputs", **changes)
    return network_of(3, hidden, layer("output", 2, "linear", "hidden"), noise=0.05)


def plain_network() -> Any:
    return network_of(
        3, layer("hidden", 4, "tanh", "inputs"), layer("output", 2, "linear", "hidden")
    )


def run(training: Training, *, every: int | None) -> tuple[bytes, dict[str, list[float]]]:
    """The end and the history; saved, thrown away and read again after each `every` batches."""
    theta = training.network.initial(
        given={},
        draw={
            window.name: _Spread()  # type: ignore[dict-item]
            for window in training.network.layout.windows
            if window.name.endswith(("weight", "bias"))
        },
        rng=np.random.default_rng(0),
    )
    content = begin(training, theta).to_bytes()
    rows: dict[str, list[float]] = {}
    while True:
        ticks = count(1)
        enough = (lambda t=ticks: next(t) >= every) if every else (lambda: False)
        state = TrainingState.from_bytes(content)
        for block in fit(training, DATA, state, enough=enough, mark=lambda epoch: False):
            for name, values in block.columns.items():
                rows.setdefault(name, []).extend(values.tolist())
            if every:
                break
        content = state.to_bytes()
        if state.ended:
            return content, rows


class _Spread:
    """Draws weights without any initializer's opinion."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Any:
        return rng.normal(0, 0.5, shape)


def same(training: Training) -> None:
    expected = run(training, every=None)
    for every in (1, 2, 5):
        assert expected == run(training, every=every), every


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes_exactly(name: str) -> None:
    optimizer = OPTIMIZERS.standard(name)
    settings = {each.name for each in optimizer.settings()}
    changes = {each: 0.9 for each in ("momentum",) if each in settings}
    changes |= {each: 0.1 for each in ("weight_decay",) if each in settings}
    same(
        training_of(
            plain_network(),
            optimizer=OPTIMIZERS.standard(name, **changes),
            batch_size=None if optimizer.full_batch else 3,
            order="shuffled",
            epochs=7,
        )
    )


@pytest.mark.parametrize("per", ["epoch", "update"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_resumes_exactly(name: str, per: str) -> None:
    settings = {each.name for each in SCHEDULES[name].settings()}
    quick = {"patience": 1, "min_delta": 0.5, "every": 2}
    changes = {each: value for each, value in quick.items() if each in settings}
    same(
        training_of(
            plain_network(),
            schedule=SCHEDULES.standard(name, per=per, warmup=3, **changes),
            batch_size=3,
            order="shuffled",
            epochs=7,
            learning_rate=0.2,
        )
    )


@pytest.mark.parametrize("kind", RANDOM_LAYERS)
def test_every_layer_that_draws_or_remembers_resumes_exactly(kind: str) -> None:
    same(
        training_of(
            network(**RANDOM_LAYERS[kind]),
            batch_size=3,
            order="shuffled",
            epochs=6,
            learning_rate=0.1,
            momentum=0.5,
            statistics=True,
            best="val_loss",
            metrics=("r2", "mean_absolute_error"),
        )
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("clip", CLIPS)
def test_every_order_and_clip_resumes_exactly(order: str, clip: str) -> None:
    same(
        training_of(
            plain_network(),
            batch_size=2,
            order=order,
            clip=CLIPS.standard(clip, most=0.01),
            epochs=5,
            stop={"patience": 2, "min_delta": 1e-5, "updates": 25},
        )
    )
