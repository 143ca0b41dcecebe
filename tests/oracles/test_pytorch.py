"""The same weights as PyTorch after a hundred updates: every part that it has, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backpropd.engine import ACTIVATIONS, CLIPS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES
from tests.oracles.cases import CASES, ours

RECORD = json.loads((Path(__file__).parents[1] / "reference" / "pytorch.json").read_text())
RECORDED = RECORD["theta_after_100_updates"]
# What PyTorch has not, and where it is held against something else.
WITHOUT_TWIN = {
    "optimizer": {
        "silva_almeida", "delta_bar_delta", "supersab", "rprop_plus", "rprop_minus",
        "irprop_plus", "quickprop", "qrprop", "lion", "levenberg_marquardt", "conjugate_gradient",
        "scaled_conjugate_gradient",
    },  # tests/engine/test_optimizers.py: from their papers' formulas, weight by weight
    "schedule": {"constant", "bold_driver"},
    "activation": {"step", "step_symmetric"},  # nothing is learned through them
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_pytorch_comes_to_the_same_weights(name: str) -> None:
    assert ours(CASES[name]) == pytest.approx(np.array(RECORDED[name]), rel=1e-10, abs=1e-12)


def test_no_case_is_left_out() -> None:
    assert set(CASES) == set(RECORDED)
    kinds = {
        "activation": ACTIVATIONS,
        "loss": LOSSES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "clip": CLIPS,
        "normalization": NORMALIZATIONS,
    }
    of = {
        "activation": {case.hidden for case in CASES.values()},
        "loss": {case.loss for case in CASES.values()},
        "optimizer": {case.optimizer for case in CASES.values()},
        "schedule": {case.schedule for case in CASES.values()},
        "clip": {case.clip for case in CASES.values()},
        "normalization": {case.normalization for case in CASES.values()},
    }
    for kind, parts in kinds.items():
        missing = set(parts) - of[kind] - WITHOUT_TWIN.get(kind, set())
        assert not missing, f"{kind}: no case for {missing}"


def test_the_record_is_what_pytorch_computes() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; its recorded figures stand")
    from tests.oracles.pytorch import theirs

    for name, case in CASES.items():
        expected = np.array(RECORDED[name])
        assert expected == pytest.approx(theirs(case), rel=1e-10, abs=1e-12), name
