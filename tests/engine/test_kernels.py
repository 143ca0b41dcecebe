"""Machine code computes what the textbook's code computes, and the same bits again and again.

Parts are walked in the interpreted build, which needs no compiler; the compiled builds, one with
every index checked, run over a few networks that hold everything that a kernel covers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import (
    ACTIVATIONS,
    CLIPS,
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    ORDERS,
    SCHEDULES,
    Rule,
    Training,
    TrainingState,
    fit,
)
from backpropd.engine.kernels import KERNELS, Choice, choose
from backpropd.engine.training import go_on
from tests.engine.networks import begin, data_of, layer, mazur_network, network_of, training_of

RNG = np.random.default_rng(7)
SAMPLES, VALIDATING = 11, 4
INPUTS = RNG.normal(size=(SAMPLES + VALIDATING, 3))
TARGETS = np.eye(3)[RNG.integers(0, 3, SAMPLES + VALIDATING)]
KERNEL_OF_BATCH = {1: "online", 4: "fused"}
COMPILED = [("online", 1), ("fused", 4), ("blas", 4)]


def data(dtype: str = "float64", *, weights: bool = False) -> Any:
    """Eleven samples of three classes, and four to validate on."""
    X, T = INPUTS.astype(dtype), TARGETS.astype(dtype)
    own = np.linspace(0.5, 1.5, SAMPLES).astype(dtype) if weights else None
    return data_of(X[:SAMPLES], T[:SAMPLES], X[SAMPLES:], T[SAMPLES:], weights=own)


def small(hidden: Any = "tanh", output: Any = "softmax", **changes: Any) -> Any:
    """A network of one hidden layer."""
    first = layer("hidden", 4, hidden, "inputs", **changes)
    return network_of(3, first, layer("output", 3, output, "hidden"))


def rich(dtype: str = "float64") -> Any:
    """Shortcuts, dropout, penalties, no bias, frozen biases: all that kernels cover, in one."""
    return network_of(
        3,
        layer("a", 5, "logistic", "inputs", dropout=0.25, l2=0.01),
        layer("b", 9, "relu", "a", l1=0.01, use_bias=False),
        layer("c", 2, "tanh", "inputs", "a", "b", train_biases=False),
        layer("output", 3, "softmax", "b", "c"),
        dtype=dtype,
    )


def theta_of(training: Training) -> Any:
    size = training.network.parameter_count
    return np.random.default_rng(3).uniform(-0.5, 0.5, size).astype(training.network.dtype)


def turned(
    training: Training, samples: Any, choice: Choice | None, **hooks: Any
) -> tuple[TrainingState, dict[str, Any]]:
    """A run to its end; the state, and the history."""
    state = begin(training, theta_of(training))
    default: dict[str, Any] = {"enough": lambda: False, "mark": None}
    blocks = list(fit(training, samples, state, plan=choice, **default | hooks))
    names = blocks[0].columns
    return state, {n: np.concatenate([b.columns[n] for b in blocks]) for n in names}


def same_as_plain(
    training: Training,
    samples: Any,
    kernel: str,
    build: str,
    by: float,
    *,
    unrolled: bool = False,
) -> None:
    choice = choose(training, samples, kernel=kernel, build=build, unrolled=unrolled)
    assert kernel == choice.kernel, choice.reason
    # Interpreted, unsigned numbers of PCG64 overflow, and so do both ways of an `if` run.
    with np.errstate(over="ignore", invalid="ignore"):
        state, columns = turned(training, samples, choice)
    expected, history = turned(training, samples, None)
    scale = np.abs(expected.theta).max()
    np.testing.assert_allclose(state.theta, expected.theta, rtol=by, atol=by * scale)
    assert list(history) == list(columns)
    for name, values in history.items():
        np.testing.assert_allclose(columns[name], values, rtol=by, atol=by, err_msg=name)
    for what in ("epoch", "batch", "step", "ended", "order", "noise", "best_epoch"):
        assert getattr(expected, what) == getattr(state, what), what
    assert state.schedule == pytest.approx(expected.schedule)


def interpreted(training: Training, samples: Any = None) -> None:
    """Online where batches are of one sample, and fused; as far as each one covers it."""
    samples = data() if samples is None else samples
    kernel = KERNEL_OF_BATCH[training.batch_size or 4]
    same_as_plain(training, samples, kernel, "interpreted", 1e-10)
    try:
        choose(training, samples, kernel=kernel, build="interpreted", unrolled=True)
    except ValueError:
        return
    same_as_plain(training, samples, kernel, "interpreted", 1e-10, unrolled=True)


LEARNED = [name for name, part in ACTIVATIONS.items() if part.learned]


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in LEARNED])
def test_every_activation_is_the_same_in_a_kernel(name: str, batch_size: int) -> None:
    network = small(name, "linear")
    interpreted(training_of(network, batch_size=batch_size, epochs=9, learning_rate=0.02))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_same_in_a_kernel(name: str, batch_size: int) -> None:
    output = (LOSSES[name].outputs or ("logistic",))[0]
    network = small("tanh", output)
    interpreted(training_of(network, loss=name, batch_size=batch_size, epochs=9))


RULES = [
    pytest.param(name, {key: value}, id=f"{name} {key} {value}")
    for name, part in OPTIMIZERS.items()
    if issubclass(part, Rule)
    for key, values in {"momentum": (0.0, 0.8), "weight_decay": (0.0, 0.01)}.items()
    for value in values
    if key in {each.name for each in part.settings()}
]
WITHOUT_EITHER = [
    pytest.param(name, {}, id=name)
    for name, part in OPTIMIZERS.items()
    if issubclass(part, Rule)
    and not {"momentum", "weight_decay"} & {each.name for each in part.settings()}
]


@pytest.mark.parametrize(("name", "changes"), [*RULES, *WITHOUT_EITHER])
def test_every_rule_is_the_same_in_a_kernel(name: str, changes: dict[str, float]) -> None:
    optimizer = OPTIMIZERS.standard(name, **changes)
    if optimizer.full_batch:
        training = training_of(small(), optimizer=optimizer, batch_size=None, epochs=30)
        same_as_plain(training, data(), "fused", "interpreted", 1e-10)
        return
    for batch_size in (1, 4):
        interpreted(training_of(small(), optimizer=optimizer, batch_size=batch_size, epochs=9))


@pytest.mark.parametrize("form", ["displacement", "velocity"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_both_forms_of_nesterovs_momentum_are_the_same(form: str, batch_size: int) -> None:
    optimizer = OPTIMIZERS.standard("sgd", momentum=0.9, momentum_form=form, nesterov=True)
    interpreted(training_of(small(), optimizer=optimizer, batch_size=batch_size))


@pytest.mark.parametrize("per", ["epoch", "update"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_the_same_in_a_kernel(name: str, per: str) -> None:
    schedule = SCHEDULES.standard(name, per=per, warmup=2)
    interpreted(training_of(small(), schedule=schedule, batch_size=4))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("clip", [None, *CLIPS])
def test_every_order_and_clip_is_the_same_in_a_kernel(order: str, clip: str | None) -> None:
    by = None if clip is None else CLIPS.standard(clip, most=0.05)
    interpreted(training_of(rich(), order=order, clip=by, batch_size=4))
    if clip in (None, "value"):
        interpreted(training_of(rich(), order=order, clip=by, batch_size=1))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_metrics_and_weights_of_samples_are_the_same(batch_size: int) -> None:
    training = training_of(
        rich(),
        loss="cross_entropy",
        metrics=("accuracy", "r2", "recall_per_class"),
        batch_size=batch_size,
        best="val_accuracy",
        best_grows=True,
    )
    interpreted(training, data(weights=True))


@pytest.mark.parametrize(
    "stop",
    [{"patience": 2, "min_delta": 0.01}, {"loss_below": 0.33}, {"updates": 25}],
)
@pytest.mark.parametrize("restore", [False, True])
def test_rules_that_end_a_run_end_it_at_the_same_epoch(stop: Any, restore: bool) -> None:
    training = training_of(
        small(), stop=stop, epochs=40, batch_size=4, best="val_loss", restore_best=restore
    )
    interpreted(training)


def test_a_run_that_diverges_ends_where_the_textbooks_does() -> None:
    training = training_of(
        small("relu", "linear"), learning_rate=30.0, epochs=60, batch_size=4, momentum=0.9
    )
    choice = choose(training, data(), kernel="fused", build="interpreted")
    with np.errstate(all="ignore"):
        state, columns = turned(training, data(), choice)
        expected, history = turned(training, data(), None)
    assert expected.ended == "diverged"
    assert (expected.ended, expected.epoch) == (state.ended, state.epoch)
    assert expected.diverged_in == state.diverged_in
    assert len(history["loss"]) == len(columns["loss"])
    np.testing.assert_allclose(state.theta, expected.theta, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "dtype"), [("fast", "float64"), ("fast", "float32"), ("checked", "float64")]
)
@pytest.mark.parametrize(("kernel", "batch_size"), COMPILED)
def test_compiled_a_rich_network_stays_the_same(
    kernel: str, batch_size: int, build: str, dtype: str
) -> None:
    training = training_of(
        rich(dtype),
        loss="cross_entropy",
        order="shuffled",
        optimizer=OPTIMIZERS.standard("adam"),
        batch_size=batch_size,
        epochs=100 // (SAMPLES // batch_size),
        best="val_loss",
    )
    by = 1e-10 if dtype == "float64" else 2e-4
    same_as_plain(training, data(dtype), kernel, build, by)


SHAPES: dict[str, Any] = {
    "one short vector a layer": lambda: (
        training_of(small(), loss="cross_entropy", order="shuffled", metrics=("accuracy",)),
        data(),
    ),
    "longer layers, shortcuts and weights": lambda: (
        training_of(shortcuts(), loss="cross_entropy", momentum=0.9, best="val_loss"),
        data(weights=True),
    ),
}


def shortcuts() -> Any:
    """More units than a vector has lanes, two ways down, a bias that stays and one that is not."""
    return network_of(
        3,
        layer("a", 9, "logistic", "inputs", use_bias=False),
        layer("b", 2, "tanh", "inputs", "a", train_biases=False),
        layer("output", 3, "softmax", "a", "b"),
    )


@pytest.mark.parametrize("what", SHAPES)
def test_code_for_one_shape_gives_the_same_bits_as_that_for_all(what: str) -> None:
    """So that a job may be trained by either, and go on with the other one."""
    training, samples = SHAPES[what]()
    general, own = (choose(training, samples, unrolled=each) for each in (False, True))
    assert own.takes_own
    assert not general.takes_own
    assert general.version == own.version

    expected, history = turned(training, samples, general)
    state, columns = turned(training, samples, own)
    assert expected.to_bytes() == state.to_bytes()
    for name, values in history.items():
        assert values.tobytes() == columns[name].tobytes(), name


@pytest.mark.parametrize(
    ("network", "changes", "what"),
    [
        (rich, {}, "chance"),
        (small, {"optimizer": "adagrad"}, "only training knows"),
        (lambda: network_of(90, layer("output", 90, "linear", "inputs")), {}, "too large"),
        (small, {"batch_size": 4}, "more than one sample"),
    ],
)
def test_what_cannot_be_written_out_for_one_shape_says_so(
    network: Any, changes: dict[str, Any], what: str
) -> None:
    training = training_of(network(), epochs=10**7, **changes)
    samples = data_of(
        *(np.zeros((5, n)) for n in (training.network.inputs, training.network.outputs))
    )
    with pytest.raises(ValueError, match=what):
        choose(training, samples, unrolled=True)
    choice = choose(training, samples)
    assert choice.kernel in ("online", "fused")
    assert not choice.takes_own
    assert len(choice.missing()) == (not choice.ready)


def test_code_for_one_shape_is_asked_for_where_training_is_long() -> None:
    def missing(epochs: int) -> int:
        network = network_of(2, layer("output", 1, "softplus", "inputs"))
        samples = data_of(np.zeros((5, 2)), np.zeros((5, 1)))
        return len(choose(training_of(network, epochs=epochs), samples).missing())

    assert [1, 2] == [missing(100), missing(2_000_000)]


WIDTHS = st.lists(st.integers(1, 20), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None)
@given(
    widths=WIDTHS, inputs=st.integers(1, 17), outputs=st.integers(1, 18), seed=st.integers(0, 99)
)
@pytest.mark.parametrize(("kernel", "batch_size"), COMPILED)
def test_networks_of_any_shape_agree_after_a_hundred_updates(
    kernel: str, batch_size: int, widths: list[int], inputs: int, outputs: int, seed: int
) -> None:
    """Shapes are no part of a kernel: one that is compiled serves them all."""
    names = ["inputs", *(f"layer_{k}" for k in range(len(widths)))]
    layers = [
        layer(names[k + 1], width, "tanh", *({names[k], "inputs"} if k % 2 else {names[k]}))
        for k, width in enumerate(widths)
    ]
    network = network_of(inputs, *layers, layer("output", outputs, "logistic", names[-1]))
    rng = np.random.default_rng(seed)
    samples = data_of(rng.normal(size=(10, inputs)), rng.uniform(0.1, 0.9, (10, outputs)))
    epochs = 10 if batch_size == 1 else 34
    training = training_of(
        network, batch_size=batch_size, epochs=epochs, learning_rate=0.1, order="shuffled"
    )
    same_as_plain(training, samples, kernel, "fast", 1e-10)


@pytest.mark.parametrize(("kernel", "batch_size"), COMPILED)
def test_any_cut_and_every_resume_gives_the_same_bits(kernel: str, batch_size: int) -> None:
    training = training_of(
        rich(),
        loss="cross_entropy",
        order="shuffled",
        optimizer=OPTIMIZERS.standard("adam"),
        batch_size=batch_size,
        epochs=12,
        best="val_loss",
    )
    choice = choose(training, data(), kernel=kernel)
    expected, history = turned(training, data(), choice)
    for updates in (1, 2, 5):
        state, columns = _resumed(training, choice, updates)
        assert expected.theta.tobytes() == state.theta.tobytes()
        assert expected.best_theta is not None
        assert state.best_theta is not None
        assert expected.best_theta.tobytes() == state.best_theta.tobytes()
        assert expected.slots.tobytes() == state.slots.tobytes()
        for name, values in history.items():
            assert values.tobytes() == columns[name].tobytes(), name


def test_what_dies_away_becomes_zero_and_never_a_slow_tiny_number() -> None:
    """And only within a kernel: NumPy's numbers stay what they are."""
    training = training_of(
        rich(),
        loss="cross_entropy",
        order="shuffled",
        optimizer=OPTIMIZERS.standard("adam"),
        batch_size=1,
        epochs=12,
        best="val_loss",
    )
    X, V = np.zeros((SAMPLES, 3)), np.zeros((VALIDATING, 3))
    samples = data_of(X, TARGETS[:SAMPLES], V, TARGETS[SAMPLES:])

    def tiny(choice: Choice | None) -> int:
        state = begin(training, theta_of(training))
        state.slots[:] = 1e-307  # of weights from inputs that are 0 nothing is added any more
        list(fit(training, samples, state, enough=lambda: False, mark=None, plan=choice))
        sizes = np.abs(state.slots)
        return int(((sizes > 0) & (sizes < np.finfo(float).tiny)).sum())

    assert tiny(None) > 0
    assert tiny(choose(training, samples, kernel="online", unrolled=False)) == 0
    assert np.array([1e-310]) * 0.5 > 0


def _resumed(training: Training, choice: Choice, updates: int) -> tuple[TrainingState, Any]:
    """Stopped after so many updates each time, saved, thrown away and read again."""
    state, pieces = begin(training, theta_of(training)), []
    for _ in count():
        course = choice.course(training, data(), state)
        go_on(training, state)
        course.updates_a_call = updates  # type: ignore[attr-defined] # of compiled ones alone
        asked = _after(updates) if choice.kernel == "blas" else lambda: True
        columns, _ = course.stretch(asked, None)
        pieces.append(columns)
        state = TrainingState.from_bytes(state.to_bytes())
        if state.ended:
            break
    return state, {n: np.concatenate([p[n] for p in pieces]) for n in pieces[0]}


def _after(updates: int) -> Any:
    asked: Iterator[int] = count(1)
    return lambda: next(asked) >= updates


def test_marked_epochs_end_their_block() -> None:
    training = training_of(small(), epochs=10)
    choice = choose(training, data(), kernel="online", build="interpreted")
    state = begin(training, theta_of(training))
    marked = fit(
        training, data(), state, enough=lambda: False, mark=lambda e: e % 4 == 0, plan=choice
    )
    assert [4, 8, 10] == [block.state.epoch for block in marked]


def test_sizes_choose_the_kernel() -> None:
    def chosen(units: int, samples: int, batch_size: int | None) -> str:
        network = network_of(units, layer("output", units, "linear", "inputs"))
        X = np.zeros((samples, units))
        return choose(training_of(network, batch_size=batch_size), data_of(X, X)).kernel

    assert ["online", "fused", "fused", "blas", "blas"] == [
        chosen(4, 10, 1),
        chosen(4, 10, None),
        chosen(300, 10, 8),
        chosen(300, 256, 128),
        chosen(600, 32, 16),
    ]


UNCOVERED: dict[str, Any] = {
    "layerwise": lambda: training_of(small(), update_order="layerwise"),
    "statistics": lambda: training_of(small(), statistics=True),
    "every batch": lambda: training_of(small(), batch_losses=True),
    "max_norm": lambda: training_of(small(max_norm=1.0)),
    "noise of outputs": lambda: training_of(small(noise=0.1)),
    "normalization": lambda: training_of(
        small(normalization=NORMALIZATIONS.standard("layer_norm"))
    ),
    "learns": lambda: training_of(small("prelu")),
    "tied": lambda: training_of(small(ties=np.ones((4, 3), np.int64))),
    "shared bias": lambda: training_of(small(share_bias=True)),
    "several places": lambda: training_of(
        small(), optimizer=OPTIMIZERS.standard("conjugate_gradient"), batch_size=None
    ),
}


@pytest.mark.parametrize("what", UNCOVERED)
def test_what_no_kernel_covers_takes_the_plain_path_and_says_so(what: str) -> None:
    choice = choose(UNCOVERED[what](), data())
    assert choice.kernel == "plain"
    assert what in choice.reason


def test_a_shared_bias_that_is_not_trained_is_covered() -> None:
    network = small(share_bias=True, train_biases=False)
    interpreted(training_of(network))


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=", ".join(KERNELS)):
        choose(training_of(mazur_network()), data(), kernel="gpu")


def test_without_numba_everything_takes_the_plain_path() -> None:
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "from tests.engine.networks import *\n"
        "from backpropd.engine.kernels import choose\n"
        "X = np.zeros((1, 2)); choice = choose(training_of(mazur_network()), data_of(X, X))\n"
        "print(choice.kernel, choice.reason, choice.ready)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("plain Numba is not installed")
    assert found.stdout.strip().endswith("True")


def test_processes_that_compile_the_same_at_once_do_not_meet(tmp_path: Path) -> None:
    """Two that find an empty folder, and a third that finds it filled, agree to the last bit."""
    program = (
        "from tests.engine.test_kernels import *\n"
        "training = training_of(small(), epochs=5)\n"
        "choice = choose(training, data(), kernel='online')\n"
        "print(choice.ready, turned(training, data(), choice)[0].theta.tobytes().hex())"
    )

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "", "BACKPROPD_KERNELS": str(tmp_path), "PYTHONPATH": "."},
        )

    both = [started(), started()]
    told = [process.communicate()[0].split() for process in both]
    third = started().communicate()[0].split()
    assert [["False"], ["False"], ["True"]] == [each[:1] for each in [*told, third]]
    assert told[0][1] == told[1][1] == third[1]
