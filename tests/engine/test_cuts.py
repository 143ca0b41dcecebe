"""Wherever a run is cut, saved and taken up again, the same state comes out, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.engine import OPTIMIZERS, Training, TrainingState, fit
from backpropd.engine.kernels import Choice, choose
from tests.engine.networks import begin, training_of
from tests.engine.test_kernels import data, rich, theta_of

CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=8)
BATCH_SIZE = {"plain": 4, "online": 1, "fused": 4}


def learned(training: Training, choice: Choice, cuts: Iterator[int] | None) -> tuple[bytes, bytes]:
    """The state at the end, and all columns; stopped after so many updates each time."""
    state, pieces = begin(training, theta_of(training)), []
    while state.ended is None:
        asked, most = count(1), None if cuts is None else next(cuts)
        course = choice.course(training, data(), state)
        if most is not None and choice.kernel != "plain":
            course.updates_a_call = most  # type: ignore[attr-defined] # of compiled ones
            most = 1
        columns, _ = course.stretch(lambda a=asked, m=most: m is not None and next(a) >= m, None)
        pieces.append(columns)
        state = TrainingState.from_bytes(state.to_bytes())
    joined = [np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]]
    return state.to_bytes(), b"".join(each.tobytes() for each in joined)


@pytest.mark.parametrize("kernel", BATCH_SIZE)
@pytest.mark.parametrize("metrics", [(), ("accuracy",)])
@settings(max_examples=8, deadline=None)
@given(cuts=CUTS, order=st.sampled_from(["fixed", "shuffled", "with_replacement"]))
def test_random_cuts_change_no_byte(
    kernel: str, metrics: tuple[str, ...], cuts: list[int], order: str
) -> None:
    changes: dict[str, Any] = {"batch_size": BATCH_SIZE[kernel], "metrics": metrics}
    training = training_of(
        rich(),
        loss="cross_entropy",
        order=order,
        optimizer=OPTIMIZERS.standard("adam"),
        epochs=3,
        best="val_loss",
        stop={"patience": 3, "min_delta": 0.01, "monitor": "val_loss"},
        **changes,
    )
    choice = choose(training, data(), kernel=kernel, build="interpreted", unrolled=False)
    with np.errstate(over="ignore"):
        assert learned(training, choice, None) == learned(training, choice, cycle(cuts))


def test_fit_yields_what_courses_do() -> None:
    """So that what is tested above is what `fit` does."""
    training = training_of(rich(), loss="cross_entropy", epochs=3, batch_size=4)
    choice = choose(training, data(), kernel="plain")
    state = begin(training, theta_of(training))
    list(fit(training, data(), state, enough=lambda: False, mark=None, plan=choice))
    assert learned(training, choice, None)[0] == state.to_bytes()
