"""Classes by a network whose outputs are their probabilities."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from backpropd.estimator.base import BackpropEstimator, Floats


class BackpropClassifier(ClassifierMixin, BackpropEstimator):  # type: ignore[misc]
    """A classifier: softmax outputs and cross-entropy, classes in sorted order.

    After `fit`: `classes_` (K,), `history_` with an array (epochs,) for each metric, `n_iter_`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (N, I) and the classes y (N,); raises ValueError for what can't be learned."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if type_of_target(y) not in ("binary", "multiclass"):
            raise ValueError("Classes are one column; several at once are not offered.")
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"There is only one class, {self.classes_[0]!r}; two are needed.")
        T = np.eye(len(self.classes_))[numbers]
        self._fit(X, T, output="softmax", loss="cross_entropy", task="classification")
        return self

    def predict_proba(self, X: Any) -> Floats:
        """The probability of each class (N, K), in the order of `classes_`."""
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each row (N,)."""
        numbers = self.predict_proba(X).argmax(axis=1)
        classes: NDArray[Any] = self.classes_[numbers]
        return classes
