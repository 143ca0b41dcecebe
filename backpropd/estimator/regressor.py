"""Numbers by a network with linear outputs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from backpropd.estimator.base import BackpropEstimator, Floats


class BackpropRegressor(RegressorMixin, BackpropEstimator):  # type: ignore[misc]
    """A regressor: linear outputs and the mean squared error, of one target or several.

    Targets far from the size of 1 are learned slowly: scale them, with
    `sklearn.compose.TransformedTargetRegressor`, say. After `fit`: `history_` with an array
    (epochs,) for each metric, `n_iter_`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (N, I) and targets y (N,) or (N, O); ValueError for what can't be learned."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._one_target = y.ndim == 1
        T = np.asarray(y, np.float64).reshape(len(X), -1)
        self._fit(X, T, output="linear", loss="mean_squared_error", task="regression")
        return self

    def predict(self, X: Any) -> Floats:
        """The targets of each row, (N,) or (N, O) as they were given."""
        Y = self._outputs(X)
        return Y[:, 0] if self._one_target else Y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
