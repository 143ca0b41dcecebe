"""What is computed both by us and by PyTorch: a hundred updates from given weights on given data.

Each case says what we train with; `pytorch.py` has the same case in PyTorch's own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backpropd.engine import (
    ACTIVATIONS,
    CLIPS,
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
    Network,
)
from tests.engine.networks import begin, crank, data_of, layer, network_of, training_of

SAMPLES, BATCH, UPDATES = 20, 5, 100
EPOCHS = UPDATES // (SAMPLES // BATCH)
RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network 3-4-2 and how it is trained; what is not said is plain."""

    hidden: str = "tanh"
    output: str = "linear"
    loss: str = "mean_squared_error"
    loss_settings: dict[str, Any] = field(default_factory=dict)
    optimizer: str = "sgd"
    optimizer_settings: dict[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_settings: dict[str, Any] = field(default_factory=dict)
    clip: str | None = None
    normalization: str | None = None
    weights: bool = False
    l1: float = 0.0
    l2: float = 0.0

    @property
    def full_batch(self) -> bool:
        """Whether each update sees all samples."""
        return OPTIMIZERS[self.optimizer].full_batch


def optimizer_case(name: str, **settings: Any) -> Case:
    """A case about an optimizer."""
    return Case(optimizer=name, optimizer_settings=settings)


def schedule_case(name: str, **settings: Any) -> Case:
    """A case about a schedule."""
    return Case(schedule=name, schedule_settings=settings)


CASES: dict[str, Case] = {
    **{f"activation {name}": Case(hidden=name) for name in ACTIVATIONS if ACTIVATIONS[name].learns},
    "output softmax": Case(output="softmax"),
    "loss half_squared_error": Case(loss="half_squared_error"),
    "loss sum_squared_error": Case(loss="sum_squared_error"),
    "loss mean_absolute_error": Case(loss="mean_absolute_error"),
    "loss huber": Case(loss="huber", loss_settings={"delta": 0.4}),
    "loss log_cosh": Case(loss="log_cosh"),
    "loss binary_cross_entropy": Case(loss="binary_cross_entropy", output="logistic"),
    "loss binary_cross_entropy, smoothed": Case(
        loss="binary_cross_entropy", output="logistic", loss_settings={"label_smoothing": 0.2}
    ),
    "loss cross_entropy": Case(loss="cross_entropy", output="softmax"),
    "loss cross_entropy, smoothed": Case(
        loss="cross_entropy", output="softmax", loss_settings={"label_smoothing": 0.1}
    ),
    "loss cross_entropy, weighted": Case(loss="cross_entropy", output="softmax", weights=True),
    "loss hinge": Case(loss="hinge"),
    "loss squared_hinge": Case(loss="squared_hinge"),
    "loss poisson": Case(loss="poisson", output="softplus"),
    "loss quantile": Case(loss="quantile", loss_settings={"q": 0.3}),
    "loss cosine": Case(loss="cosine"),
    "optimizer sgd": optimizer_case("sgd"),
    "optimizer sgd, velocity": optimizer_case("sgd", momentum=0.9, momentum_form="velocity"),
    "optimizer sgd, nesterov": optimizer_case(
        "sgd", momentum=0.9, momentum_form="velocity", nesterov=True
    ),
    "optimizer sgd, displacement": optimizer_case("sgd", momentum=0.9),
    "optimizer sgd, decay": optimizer_case("sgd", weight_decay=0.01),
    "optimizer adagrad": optimizer_case("adagrad", initial_accumulator=0.1),
    "optimizer adadelta": optimizer_case("adadelta", weight_decay=0.01),
    "optimizer rmsprop": optimizer_case("rmsprop"),
    "optimizer rmsprop, centred": optimizer_case("rmsprop", centred=True, momentum=0.5),
    "optimizer adam": optimizer_case("adam", weight_decay=0.01),
    "optimizer adamw": optimizer_case("adamw", weight_decay=0.1),
    "optimizer amsgrad": optimizer_case("amsgrad"),
    "optimizer nadam": optimizer_case("nadam"),
    "optimizer nadam, decoupled": optimizer_case("nadam", weight_decay=0.1, decoupled=True),
    "optimizer radam": optimizer_case("radam"),
    "optimizer adamax": optimizer_case("adamax"),
    "optimizer irprop_minus": optimizer_case("irprop_minus"),
    # With a longer step its hundred updates would blow a last bit up to 1e-8, ours or theirs.
    "optimizer lbfgs": optimizer_case("lbfgs", line_search="none", memory=5, learning_rate=0.02),
    "schedule step": schedule_case("step", every=4, gamma=0.5),
    "schedule multi_step": schedule_case("multi_step", milestones=(3, 10, 11), gamma=0.3),
    "schedule exponential": schedule_case("exponential", gamma=0.9),
    "schedule inverse_time": schedule_case("inverse_time", decay=0.3),
    "schedule inverse_sqrt": schedule_case("inverse_sqrt", start=4),
    "schedule polynomial": schedule_case("polynomial", power=2.0),
    "schedule cosine": schedule_case("cosine", end=0.1),
    "schedule cosine, restarts": schedule_case("cosine", period=3, grow=2, end=0.01),
    "schedule one_cycle": schedule_case("one_cycle", per="update"),
    "schedule reduce_on_plateau": Case(
        schedule="reduce_on_plateau",
        schedule_settings={"patience": 2, "factor": 0.3, "min_delta": 0.02},
    ),
    "schedule step after a warm-up": schedule_case(
        "step", every=4, gamma=0.5, warmup=5, warmup_start=0.2
    ),
    "clip value": Case(clip="value"),
    "clip norm": Case(clip="norm"),
    "clip global_norm": Case(clip="global_norm"),
    "normalization batch_norm": Case(normalization="batch_norm"),
    "normalization layer_norm": Case(normalization="layer_norm"),
    "penalty l1 and l2": Case(l1=0.01, l2=0.02),
}


def samples(case: Case) -> tuple[Any, Any, Any]:
    """Inputs (N, 3), targets (N, 2) that the loss is made for, and weights (N,)."""
    rng = np.random.default_rng(42)
    X, T = rng.normal(size=(SAMPLES, 3)), rng.uniform(0.05, 0.95, (SAMPLES, 2))
    if case.loss == "cross_entropy" or case.output == "softmax":
        T = np.eye(2)[rng.integers(0, 2, SAMPLES)]
    if "hinge" in case.loss:
        T = rng.choice([-1.0, 1.0], (SAMPLES, 2))
    return X, T, rng.uniform(0.2, 3.0, SAMPLES)


def network(case: Case) -> Network:
    """Our network."""
    normalization = case.normalization and NORMALIZATIONS.standard(case.normalization)
    penalties = {"l1": case.l1, "l2": case.l2}
    return network_of(
        3,
        layer("hidden", 4, case.hidden, "inputs", normalization=normalization, **penalties),
        layer("output", 2, case.output, "hidden", **penalties),
    )


def initial(case: Case) -> Any:
    """Theta (P,) to begin from."""
    net = network(case)
    theta = np.random.default_rng(7).normal(0, 0.6, net.parameter_count)
    for window in net.layout.windows:
        start = {"running_mean": 0.0, "running_variance": 1.0, "alpha": 0.25, "gain": 1.0}
        kind = window.name.rsplit(".", 1)[1]
        if kind in start:
            theta[window.start : window.stop] = start[kind]
    return theta


def ours(case: Case) -> Any:
    """Theta (P,) after a hundred updates."""
    X, T, weights = samples(case)
    training = training_of(
        network(case),
        loss=LOSSES.standard(case.loss, **case.loss_settings),
        optimizer=OPTIMIZERS.standard(
            case.optimizer, **{"learning_rate": RATE} | case.optimizer_settings
        ),
        schedule=SCHEDULES.standard(case.schedule, **case.schedule_settings),
        clip=case.clip and CLIPS.standard(case.clip, most=0.05),
        epochs=UPDATES if case.full_batch else EPOCHS,
        batch_size=None if case.full_batch else BATCH,
    )
    state = begin(training, initial(case))
    crank(training, data_of(X, T, weights=weights if case.weights else None), state)
    assert state.step == UPDATES
    return state.theta
