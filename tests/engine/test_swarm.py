"""Networks that are trained at once become what each becomes alone, to the last bit the same."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from itertools import count, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import (
    ACTIVATIONS,
    CLIPS,
    LOSSES,
    OPTIMIZERS,
    ORDERS,
    SCHEDULES,
    Training,
    TrainingState,
    fit,
    fit_many,
)
from backpropd.engine.kernels import Sweep, choose_many
from backpropd.engine.kernels.plan import uncovered
from tests.engine.networks import begin, data_of, layer, network_of, training_of
from tests.engine.test_kernels import (
    LEARNED,
    RULES,
    UNCOVERED,
    WIDTHS,
    WITHOUT_EITHER,
    data,
    rich,
    small,
)


def never() -> bool:
    return False


def starts(trainings: Sequence[Training]) -> list[TrainingState]:
    """Own weights and own orders for each."""
    found = []
    for number, training in enumerate(trainings):
        size = training.network.parameter_count
        theta = np.random.default_rng([3, number]).uniform(-0.5, 0.5, size)
        found.append(begin(training, theta.astype(training.network.dtype), seed=number))
    return found


def many(
    trainings: Sequence[Training],
    samples: Any,
    plan: Sweep | None,
    *,
    states: list[TrainingState] | None = None,
    threads: int = 1,
    **hooks: Any,
) -> tuple[list[TrainingState], list[dict[str, Any]]]:
    """All to their end: the states, and the histories."""
    states = starts(trainings) if states is None else states
    default: dict[str, Any] = {"enough": never, "mark": None}
    told = list(fit_many(trainings, samples, states, plan=plan, threads=threads, **default | hooks))
    histories = [
        {n: np.concatenate([b.columns[n] for b in blocks]) for n in blocks[0].columns}
        for blocks in zip(*told, strict=True)
    ]
    return states, histories


def varied(network: Any = None, **changes: Any) -> list[Training]:
    """Three trainings that differ in all that may differ within one swarm."""
    network = small() if network is None else network
    base = training_of(network, **{"epochs": 8} | changes)
    rates = (base.optimizer.learning_rate * share for share in (0.5, 1.0, 0.8))
    optimizers: list[Any] = [
        dataclasses.replace(base.optimizer, learning_rate=rate)  # type: ignore[type-var]
        for rate in rates
    ]
    found = [dataclasses.replace(base, optimizer=optimizer) for optimizer in optimizers]
    return [*found[:2], dataclasses.replace(found[2], epochs=base.epochs - 3)]


def agree(trainings: Sequence[Training], samples: Any, build: str, by: float) -> None:
    """What a swarm makes of them, and what `fit` makes of each in the textbook's code."""
    plan = choose_many(trainings, samples, kernel="swarm", build=build)
    assert {"swarm"} == {choice.kernel for choice in plan.choices}, plan.choices[0].reason
    with np.errstate(all="ignore"):
        states, histories = many(trainings, samples, plan)
        expected, textbook = many(trainings, samples, None)
    for state, other, history, rows in zip(states, expected, histories, textbook, strict=True):
        scale = np.abs(other.theta).max()
        np.testing.assert_allclose(state.theta, other.theta, rtol=by, atol=by * scale)
        assert list(rows) == list(history)
        for name, values in rows.items():
            np.testing.assert_allclose(history[name], values, rtol=by, atol=by, err_msg=name)
        for what in ("epoch", "batch", "step", "ended", "order", "noise", "best_epoch"):
            assert getattr(other, what) == getattr(state, what), what
        assert state.schedule == pytest.approx(other.schedule)


def interpreted(trainings: Sequence[Training], samples: Any = None) -> None:
    agree(trainings, data() if samples is None else samples, "interpreted", 1e-10)


BATCHES = pytest.mark.parametrize("batch_size", [1, 4])


@BATCHES
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in LEARNED])
def test_every_activation_is_the_same_in_a_swarm(name: str, batch_size: int) -> None:
    interpreted(varied(small(name, "linear"), batch_size=batch_size, learning_rate=0.02))


@BATCHES
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_same_in_a_swarm(name: str, batch_size: int) -> None:
    output = (LOSSES[name].outputs or ("logistic",))[0]
    interpreted(varied(small("tanh", output), loss=name, batch_size=batch_size))


@pytest.mark.parametrize(("name", "changes"), [*RULES, *WITHOUT_EITHER])
def test_every_rule_is_the_same_in_a_swarm(name: str, changes: dict[str, float]) -> None:
    optimizer = OPTIMIZERS.standard(name, **changes)
    for batch_size in (None,) if optimizer.full_batch else (1, 4):
        interpreted(varied(optimizer=optimizer, batch_size=batch_size))


@BATCHES
@pytest.mark.parametrize("form", ["displacement", "velocity"])
def test_both_forms_of_nesterovs_momentum_are_the_same(form: str, batch_size: int) -> None:
    momenta = [
        OPTIMIZERS.standard("sgd", momentum=m, momentum_form=form, nesterov=True)
        for m in (0.5, 0.9)
    ]
    interpreted([training_of(small(), optimizer=o, batch_size=batch_size) for o in momenta])


@pytest.mark.parametrize("per", ["epoch", "update"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_the_same_in_a_swarm(name: str, per: str) -> None:
    schedules = [SCHEDULES.standard(name, per=per, warmup=2), SCHEDULES.standard("constant")]
    interpreted([training_of(small(), schedule=each, batch_size=4) for each in schedules])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("clip", [None, *CLIPS])
def test_every_order_and_clip_is_the_same_in_a_swarm(order: str, clip: str | None) -> None:
    by = None if clip is None else CLIPS.standard(clip, most=0.05)
    for batch_size in (1, 4):
        interpreted(varied(rich(), order=order, clip=by, batch_size=batch_size))


@BATCHES
def test_penalties_dropout_and_weights_of_samples_are_each_networks_own(batch_size: int) -> None:
    def network(l2: float, dropout: float) -> Any:
        hidden = layer("hidden", 5, "tanh", "inputs", l2=l2, dropout=dropout)
        return network_of(3, hidden, layer("output", 3, "softmax", "hidden", "inputs"))

    networks = [network(0.01, 0.2), network(0.1, 0.5)]
    trainings = [
        training_of(
            each,
            loss="cross_entropy",
            metrics=("accuracy", "r2", "recall_per_class"),
            batch_size=batch_size,
            order="shuffled",
            best="val_accuracy",
            best_grows=True,
        )
        for each in networks
    ]
    interpreted(trainings, data(weights=True))


def test_networks_end_by_their_own_rules_in_the_midst_of_a_call() -> None:
    rules: list[dict[str, Any]] = [
        {"patience": 2, "min_delta": 0.01},
        {"loss_below": 0.33},
        {"updates": 25},
        {},
    ]
    for restore in (False, True):
        trainings = [
            training_of(
                small(),
                stop=stop,
                epochs=40,
                batch_size=4,
                best="val_loss",
                restore_best=restore,
                order="shuffled",
            )
            for stop in rules
        ]
        interpreted(trainings)


def test_a_network_that_diverges_ends_where_the_textbooks_does_and_the_others_go_on() -> None:
    changes: dict[str, Any] = {"epochs": 30, "batch_size": 4, "momentum": 0.9}
    network = small("relu", "linear")
    rates = (0.01, 30.0, 0.02)
    trainings = [training_of(network, learning_rate=rate, **changes) for rate in rates]
    plan = choose_many(trainings, data(), build="interpreted")
    with np.errstate(all="ignore"):
        states, histories = many(trainings, data(), plan)
        expected, textbook = many(trainings, data(), None)
    assert ["epochs", "diverged", "epochs"] == [state.ended for state in states]
    assert expected[1].epoch == states[1].epoch
    assert expected[1].diverged_in == states[1].diverged_in
    for k in range(3):
        assert len(textbook[k]["loss"]) == len(histories[k]["loss"])
        np.testing.assert_allclose(states[k].theta, expected[k].theta, rtol=1e-6)


def compiled(dtype: str, batch_size: int, networks: int) -> list[Training]:
    """All that a swarm covers at once, with rates of their own; a hundred updates."""
    return [
        training_of(
            rich(dtype),
            loss="cross_entropy",
            order="shuffled",
            optimizer=OPTIMIZERS.standard("adam", learning_rate=0.002 * (number + 1)),
            batch_size=batch_size,
            epochs=9 if batch_size == 1 else 34,
            best="val_loss",
        )
        for number in range(networks)
    ]


def endless(networks: int) -> list[Training]:
    """Networks that will not come to an end."""
    return [dataclasses.replace(each, epochs=10**6) for each in compiled("float64", 1, networks)]


@pytest.mark.parametrize(
    ("build", "dtype", "batch_size"),
    [
        ("fast", "float64", 1),
        ("fast", "float64", 4),
        ("fast", "float32", 4),
        ("checked", "float64", 1),
        ("checked", "float64", 4),
    ],
)
def test_compiled_a_rich_swarm_stays_the_same(batch_size: int, build: str, dtype: str) -> None:
    by = 1e-10 if dtype == "float64" else 2e-4
    agree(compiled(dtype, batch_size, 5), data(dtype), build, by)


def bits(state: TrainingState) -> bytes:
    return state.to_bytes()


@BATCHES
def test_the_company_the_lane_and_the_threads_change_no_bit(batch_size: int) -> None:
    trainings = compiled("float64", batch_size, 11)
    plan = choose_many(trainings, data())
    expected, histories = many(trainings, data(), plan)
    for order in (range(11), reversed(range(11)), (3, 9), (5,)):
        for threads in (1, 2):
            places = list(order)
            some = [trainings[k] for k in places]
            states = [starts(trainings)[k] for k in places]
            found, rows = many(
                some, data(), choose_many(some, data()), states=states, threads=threads
            )
            for place, state, history in zip(places, found, rows, strict=True):
                assert bits(expected[place]) == bits(state)
                for name, values in histories[place].items():
                    assert values.tobytes() == history[name].tobytes()


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=6), threads=st.integers(1, 2))
@BATCHES
def test_any_cut_and_every_resume_gives_the_same_bits(
    batch_size: int, cuts: list[int], threads: int
) -> None:
    """Stopped after so many updates each time, saved, thrown away and read again."""
    trainings = compiled("float64", batch_size, 3)
    plan = choose_many(trainings, data())
    expected, histories = many(trainings, data(), plan)
    states, pieces = starts(trainings), []
    for number in count():
        updates = cuts[number % len(cuts)]
        blocks = next(
            fit_many(
                trainings,
                data(),
                states,
                enough=lambda: True,
                mark=None,
                plan=_Cut(plan, updates),
                threads=threads,
            )
        )
        pieces.append([block.columns for block in blocks])
        states = [TrainingState.from_bytes(bits(state)) for state in states]
        if all(state.ended for state in states):
            break
    for k, state in enumerate(states):
        assert bits(expected[k]) == bits(state)
        for name, values in histories[k].items():
            joined = np.concatenate([piece[k][name] for piece in pieces])
            assert values.tobytes() == joined.tobytes(), name


class _Cut:
    """A plan whose calls end after so many updates."""

    def __init__(self, plan: Sweep, updates: int) -> None:
        self.plan, self.updates = plan, updates

    def of(self, members: Any, samples: Any) -> Any:
        crews = self.plan.of(members, samples)
        for crew in crews:
            crew.updates_a_call = self.updates  # type: ignore[attr-defined] # of swarms alone
        return crews


def test_fit_takes_up_what_a_swarm_left_and_the_other_way_round() -> None:
    trainings = compiled("float64", 4, 2)
    plan = choose_many(trainings, data())
    expected, _ = many(trainings, data(), None)
    states = starts(trainings)
    cut = _Cut(plan, 7)
    for _ in range(3):
        next(
            fit_many(trainings, data(), states, enough=lambda: True, mark=None, plan=cut, threads=1)
        )
        assert states[0].batch
        for training, state in zip(trainings, states, strict=True):
            asked = iter((False, True))
            next(fit(training, data(), state, enough=lambda turn=asked: next(turn), mark=None))
    states, _ = many(trainings, data(), plan, states=states)
    for state, other in zip(states, expected, strict=True):
        np.testing.assert_allclose(state.theta, other.theta, rtol=1e-10)
        assert other.order == state.order
        assert other.noise == state.noise


@settings(max_examples=15, deadline=None)
@given(
    widths=WIDTHS,
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    networks=st.integers(1, 10),
    seed=st.integers(0, 99),
)
@BATCHES
def test_networks_of_any_shape_agree_after_a_hundred_updates(
    batch_size: int, widths: list[int], inputs: int, outputs: int, networks: int, seed: int
) -> None:
    names = ["inputs", *(f"layer_{k}" for k in range(len(widths)))]
    layers = [
        layer(names[k + 1], width, "tanh", *({names[k], "inputs"} if k % 2 else {names[k]}))
        for k, width in enumerate(widths)
    ]
    network = network_of(inputs, *layers, layer("output", outputs, "logistic", names[-1]))
    rng = np.random.default_rng(seed)
    samples = data_of(rng.normal(size=(10, inputs)), rng.uniform(0.1, 0.9, (10, outputs)))
    trainings = [
        training_of(
            network,
            batch_size=batch_size,
            epochs=10 if batch_size == 1 else 34,
            learning_rate=rng.uniform(0.01, 0.2),
            order="shuffled",
        )
        for _ in range(networks)
    ]
    agree(trainings, samples, "fast", 1e-10)


def test_networks_of_several_kinds_share_one_call_and_each_says_its_kernel() -> None:
    wide = network_of(
        3, layer("output", 3, "linear", "inputs"), layer("hidden", 9, "tanh", "inputs")
    )
    wide = network_of(
        3, layer("hidden", 700, "tanh", "inputs"), layer("output", 3, "linear", "hidden")
    )
    trainings = [
        training_of(small(), epochs=3),
        UNCOVERED["layerwise"](),
        training_of(wide, epochs=2, batch_size=4, learning_rate=0.001),
        training_of(small("relu"), epochs=4, batch_size=4),
    ]
    plan = choose_many(trainings, data(), build="interpreted")
    assert ["swarm", "plain", "fused", "swarm"] == [choice.kernel for choice in plan.choices]
    assert "layerwise" in plan.choices[1].reason
    with np.errstate(over="ignore"):
        states, _ = many(trainings, data(), plan, mark=lambda epoch: epoch == 2)
    expected, _ = many(trainings, data(), None)
    for state, other in zip(states, expected, strict=True):
        np.testing.assert_allclose(state.theta, other.theta, rtol=1e-10, atol=1e-12)


def combinations() -> Iterator[tuple[str, Training]]:
    """Every activation with every loss, every optimizer with every clip, batch and order."""
    for activation, loss in product(ACTIVATIONS, LOSSES):
        output = (LOSSES[loss].outputs or ("linear",))[0]
        network = small(activation, output, dropout=0.1)
        yield f"{activation}, {loss}", training_of(network, loss=loss)
    clips = (None, *(CLIPS.standard(name) for name in CLIPS))
    for name, clip, batch_size, order in product(OPTIMIZERS, clips, (1, 4, None), ORDERS):
        optimizer = OPTIMIZERS.standard(name)
        changes: dict[str, Any] = {"clip": clip, "batch_size": batch_size, "order": order}
        yield f"{name}, {changes}", training_of(small(), optimizer=optimizer, **changes)


def test_every_combination_of_parts_has_a_swarm_or_is_on_the_list() -> None:
    names, trainings = zip(*combinations(), strict=True)
    sweep = choose_many(trainings, data())
    for name, training, choice in zip(names, trainings, sweep.choices, strict=True):
        listed = list(uncovered(training))
        assert ("plain" if listed else "swarm") == choice.kernel, name
        assert all(fault in choice.reason for fault in listed[:1]), name


@pytest.mark.parametrize("what", UNCOVERED)
def test_what_no_swarm_covers_is_trained_alone_and_says_why(what: str) -> None:
    plan = choose_many([UNCOVERED[what]()], data())
    assert plan.choices[0].kernel == "plain"
    assert what in plan.choices[0].reason


def test_marked_epochs_end_the_blocks_of_all() -> None:
    trainings = varied(epochs=10)
    plan = choose_many(trainings, data(), build="interpreted")
    with np.errstate(over="ignore"):
        told = fit_many(
            trainings,
            data(),
            starts(trainings),
            enough=never,
            mark=lambda epoch: epoch % 4 == 0,
            plan=plan,
            threads=1,
        )
        epochs = [[block.state.epoch for block in blocks] for blocks in told]
    assert [[4, 4, 4], [8, 8, 7], [10, 10, 7]] == epochs


def test_enough_ends_the_blocks_within_a_few_calls_and_is_asked_by_the_caller_alone() -> None:
    trainings = endless(40)
    plan = choose_many(trainings, data())
    states, asked = starts(trainings), []

    def enough() -> bool:
        asked.append(threading.get_ident())
        return len(asked) >= 20

    blocks = next(
        fit_many(trainings, data(), states, enough=enough, mark=None, plan=plan, threads=2)
    )
    assert {threading.get_ident()} == set(asked)
    assert all(0 < block.epochs < 10**6 for block in blocks)
    assert all(block.state.ended is None for block in blocks)
    assert [block.samples for block in blocks] == [
        state.epoch * 11 + state.batch for state in states
    ]


def test_what_has_ended_is_told_once_and_no_networks_are_nothing() -> None:
    trainings = varied()
    states, _ = many(trainings, data(), None)
    told = list(fit_many(trainings, data(), states, enough=never, mark=None, plan=None, threads=1))
    assert [["epochs"] * 3] == [[block.ended for block in blocks] for blocks in told]
    assert not list(fit_many([], data(), [], enough=never, mark=None, plan=None, threads=1))


def test_bad_arguments_are_refused_by_name() -> None:
    trainings = varied()
    with pytest.raises(ValueError, match="3 trainings and 0 states"):
        next(fit_many(trainings, data(), [], enough=never, mark=None, threads=1))
    with pytest.raises(ValueError, match="threads is 0"):
        next(fit_many(trainings, data(), starts(trainings), enough=never, mark=None, threads=0))
    with pytest.raises(ValueError, match="swarm or plain"):
        choose_many(trainings, data(), kernel="blas")
    choice = choose_many(trainings, data()).choices[0]
    with pytest.raises(ValueError, match="fit_many"):
        choice.course(trainings[0], data(), starts(trainings)[0])


def test_arrays_of_a_wrong_shape_are_refused_before_a_kernel_sees_them() -> None:
    trainings = varied()
    plan = choose_many(trainings, data(), build="interpreted")

    def refused(samples: Any, states: list[TrainingState], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            next(
                fit_many(trainings, samples, states, enough=never, mark=None, plan=plan, threads=1)
            )

    states = starts(trainings)
    states[1].theta = states[1].theta[:-1]
    refused(data(), states, "theta of state 1 has shape .30,., the network takes .31,.")
    narrow = dataclasses.replace(data(), inputs=data().inputs[:, :2])
    refused(narrow, starts(trainings), "inputs has shape .11, 2., the network takes .11, 3.")
    states = starts(trainings)
    states[0].slots = np.zeros((1, 31))
    refused(data(), states, "slots of state 0")


def test_a_fault_of_the_caller_leaves_no_thread_behind() -> None:
    trainings = endless(20)
    before = threading.active_count()

    def enough() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(
            fit_many(
                trainings,
                data(),
                starts(trainings),
                enough=enough,
                mark=None,
                plan=choose_many(trainings, data()),
                threads=2,
            )
        )
    assert before == threading.active_count()
