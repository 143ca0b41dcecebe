"""What both estimators share: their parameters, and the job that these mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from backpropd.estimator.fitting import Fitted, trained_here, trained_there

Floats = NDArray[np.float64]

MOST_SEEDS = 2**31 - 1


class BackpropEstimator(BaseEstimator):  # type: ignore[misc]
    """A feed-forward network; see the two classes made of it."""

    def __init__(
        self,
        hidden: Sequence[int] = (16,),
        *,
        activation: str = "tanh",
        optimizer: str | Mapping[str, Any] = "adam",
        learning_rate: float | None = 0.01,
        epochs: int = 200,
        batch_size: int | str = 32,
        l2: float = 0.0,
        dropout: float = 0.0,
        validation: float | None = None,
        patience: int | None = None,
        training: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        server: str | None = None,
        key: str | None = None,
    ) -> None:
        """Parameters are those of a job's training, under the names that it has there.

        `hidden` are the units of the hidden layers, with `activation`, `l2` and `dropout` each;
        `validation` is the share of rows held back, on which `patience`, in epochs, ends training
        with the best weights; `training` holds any further fields. With `server`, an address, the
        job is trained there, with `key`, and predictions are still made here.
        """
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l2 = l2
        self.dropout = dropout
        self.validation = validation
        self.patience = patience
        self.training = training
        self.random_state = random_state
        self.server = server
        self.key = key

    def _fit(self, X: Floats, T: Floats, *, output: str, loss: str, task: str) -> None:
        """Train on X (N, I) and T (N, O), with such an output layer and such a loss."""
        seed = int(check_random_state(self.random_state).randint(MOST_SEEDS))
        job = self._job(X.shape[1], T.shape[1], output=output, loss=loss, seed=seed)
        if self.server is None:
            fitted = trained_here(job, X, T, task)
        else:
            fitted = trained_there(job, X, T, task, server=self.server, key=self.key)
        self.fitted_: Fitted = fitted
        self.history_ = fitted.history
        self.n_iter_ = len(fitted.history["loss"])

    def _outputs(self, X: Any) -> Floats:
        """What the network gives for X (N, I), as (N, O)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        fitted = self.fitted_
        Y = fitted.network.predict(fitted.theta, X.astype(fitted.network.dtype))
        return np.asarray(Y, np.float64)

    def _job(
        self, inputs: int, outputs: int, *, output: str, loss: str, seed: int
    ) -> dict[str, Any]:
        each = {"activation": self.activation, "l2": self.l2, "dropout": self.dropout}
        layers: list[dict[str, Any]] = [{"units": int(units), **each} for units in self.hidden]
        layers.append({"units": outputs, "activation": output, "l2": self.l2})
        name = self.optimizer
        optimizer = {"name": name} if isinstance(name, str) else dict(name)
        if self.learning_rate is not None:
            optimizer = {"learning_rate": self.learning_rate, **optimizer}
        training: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "loss": loss,
            "optimizer": optimizer,
            "seed": seed,
        }
        if self.validation is not None:
            training["validation"] = {"fraction": self.validation}
        if self.patience is not None:
            training["stop"] = {"patience": self.patience, "restore_best": True}
        network = {"inputs": inputs, "layers": layers}
        return {"network": network, "training": {**training, **(self.training or {})}}
