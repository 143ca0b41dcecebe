"""What a trained network says of rows, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.client.history import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Outputs (N, O); in a classification, the class of each row (N,) and how sure it is (N, K).

    Columns of `probabilities` are in the order of `class_names`.
    """

    outputs: Floats
    classes: NDArray[np.str_] | None
    probabilities: Floats | None
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, answers: Sequence[Mapping[str, Any]]) -> Prediction:
        """What the contract answers for consecutive rows; at least one answer."""
        outputs = np.concatenate([np.array(each["outputs"], np.float64) for each in answers])
        if answers[0]["classes"] is None:
            return cls(outputs, None, None, ())
        names = tuple(answers[0]["probabilities"][0])
        rows = [row for each in answers for row in each["probabilities"]]
        return cls(
            outputs=outputs,
            classes=np.array([name for each in answers for name in each["classes"]]),
            probabilities=np.array([[row[name] for name in names] for row in rows], np.float64),
            class_names=names,
        )

    def __len__(self) -> int:
        return len(self.outputs)
