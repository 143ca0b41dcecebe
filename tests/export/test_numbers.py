"""Numbers in JSON: strictly valid, and exact."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpropd.export.numbers import json_number, json_safe


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "NaN"), (np.inf, "Infinity"), (-np.inf, "-Infinity"), (0.1, 0.1), (-0.0, -0.0)],
)
def test_what_json_has_no_number_for_travels_by_name(value: float, said: Any) -> None:
    assert said == json_number(value)
    assert [said] == json_safe(np.array([value]))
    assert {"a": [said, "text", None, True, 3]} == json_safe({"a": (value, "text", None, True, 3)})


@given(values=st.lists(st.floats(width=64)))
def test_float64_survives_the_round_trip(values: list[float]) -> None:
    text = json.dumps(json_safe(np.array(values, np.float64)), allow_nan=False)
    back = [float(value) for value in json.loads(text)]

    np.testing.assert_array_equal(values, back)
    assert np.signbit(np.array(values)[~np.isnan(values)]).tolist() == [
        bool(np.signbit(value)) for value in back if not np.isnan(value)
    ]


def test_a_matrix_with_holes_keeps_its_shape() -> None:
    assert [[1.0, "NaN"], ["-Infinity", 4.0]] == json_safe(np.array([[1, np.nan], [-np.inf, 4]]))
