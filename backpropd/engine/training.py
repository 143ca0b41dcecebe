"""The textbook loop: forward, delta, backward, update, for every batch of every epoch.

`fit` is a generator of blocks of epochs. It never calls back, sleeps, saves or reads a clock:
cancel, pause, heartbeat, history and snapshots belong to whoever turns the crank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.activations import ACTIVATIONS
from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.metrics import METRICS
from backpropd.engine.network import Network, evaluate
from backpropd.engine.optimizers import Optimizer
from backpropd.engine.schedules import Schedule
from backpropd.engine.state import TrainingState
from backpropd.engine.stopping import Stopping, better

LAYERWISE = "layerwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Samples to learn from (N, I) and (N, O), and, where asked for, samples to validate on."""

    inputs: Array
    targets: Array
    validation_inputs: Array | None
    validation_targets: Array | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Everything that decides how a network is trained, chance and time apart."""

    network: Network
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    epochs: int
    batch_size: int | None  # 1 is online learning, None the full batch
    shuffle: bool
    update_order: str  # "simultaneous", or "layerwise": a layer moves before the deltas below it
    metrics: tuple[str, ...]
    stopping: Stopping
    best: str | None  # the column whose best epoch's weights are kept


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive epochs, as one piece of news."""

    first_epoch: int
    columns: dict[str, NDArray[np.float64]]  # "loss", "val_loss", ...: one value an epoch
    samples: int  # presented since the last block
    state: TrainingState  # live: `fit` goes on changing it when it is asked for the next block

    @property
    def epochs(self) -> int:
        """How many epochs were finished; 0 in the middle of a long one."""
        return len(self.columns["loss"])

    @property
    def ended(self) -> str | None:
        """Why this is the last block: epochs, loss_below, patience, diverged; else None."""
        return self.state.ended


def fit(
    training: Training,
    data: Data,
    state: TrainingState,
    *,
    enough: Callable[[], bool],
    mark: Callable[[int], bool],
) -> Iterator[Block]:
    """Train from `state` to the end, yielding after every stretch of epochs.

    `enough` is asked after each batch whether the block shall end there, be it in mid-epoch.
    `mark` is asked after each epoch whether somebody wants the state as it then is.

    Row k of a block holds what the forward passes of epoch k saw, each before its own update; the
    `val_` columns are measured after the epoch's last update. Where an epoch's loss or weights are
    not finite, its row is the last, `ended` is "diverged", and the state holds the weights from the
    start of that epoch.
    """
    course = _Course(training, data, state)
    rows: list[dict[str, float]] = []
    presented = 0
    if state.epoch >= training.epochs and state.ended in (None, "epochs"):
        state.ended = "epochs"
    while state.ended is None:
        row, samples = course.advance(enough)
        presented += samples
        if row is not None:
            rows.append(row)
        if row is None or state.ended or mark(state.epoch) or course.interrupted:
            yield course.block(rows, presented)
            if state.ended:
                return
            rows, presented = [], 0
    yield course.block(rows, presented)


class _Course:
    """One run of `fit`: the parts that stay, around the state that moves."""

    def __init__(self, training: Training, data: Data, state: TrainingState) -> None:
        self.training, self.data, self.state = training, data, state
        self.samples = len(data.inputs)
        self.batch_size = min(training.batch_size or self.samples, self.samples)
        self.gradient = np.zeros_like(state.theta)
        self.rng = np.random.Generator(np.random.PCG64())
        self.rng.bit_generator.state = state.order
        self.in_sequence = np.arange(self.samples)
        self.order = self.in_sequence
        self.interrupted = False
        self.columns = ["loss", *training.metrics]
        if data.validation_inputs is not None:
            self.columns += [f"val_{name}" for name in self.columns]
        if state.batch:
            self.order = self._drawn()

    def advance(self, enough: Callable[[], bool]) -> tuple[dict[str, float] | None, int]:
        """Train to the end of the epoch, or until `enough`; the epoch's row if it is finished."""
        state, presented = self.state, 0
        self.interrupted = False
        if state.batch == 0:
            self._begin_epoch()
        # Overflow is no news to warn of: it is what divergence looks like, and is looked for.
        with np.errstate(over="ignore", invalid="ignore"):
            while True:
                start = state.batch * self.batch_size
                finite = self._batch(self.order[start : start + self.batch_size])
                state.batch += 1
                presented += min(self.batch_size, self.samples - start)
                self.interrupted = enough()
                if not finite or state.batch * self.batch_size >= self.samples:
                    return self._end_epoch(), presented
                if self.interrupted:
                    return None, presented

    def block(self, rows: list[dict[str, float]], samples: int) -> Block:
        """The finished epochs as columns; the last of them is the state's, or the diverged one."""
        last = self.state.epoch + (self.state.ended == "diverged" and bool(rows))
        columns = {name: np.array([row[name] for row in rows], float) for name in self.columns}
        return Block(last - len(rows) + 1, columns, samples, self.state)

    def _begin_epoch(self) -> None:
        state = self.state
        state.sums = [0.0] * (1 + len(self.training.metrics))
        state.epoch_theta[:] = state.theta
        self.order = self._drawn()

    def _drawn(self) -> NDArray[np.intp]:
        return self.rng.permutation(self.samples) if self.training.shuffle else self.in_sequence

    def _batch(self, rows: NDArray[np.intp]) -> bool:
        """One update from these rows; whether their loss was finite."""
        training, state = self.training, self.state
        X, T = self.data.inputs[rows], self.data.targets[rows]
        seen = training.network.forward(state.theta, X)
        Z, Y = seen.net_output, seen.output
        loss = float(training.loss.value(Z, Y, T).sum(dtype=np.float64))
        state.sums[0] += loss
        for column, metric in enumerate(training.metrics, start=1):
            state.sums[column] += float(METRICS[metric](Y, T).sum())
        activation = ACTIVATIONS[training.network.output_layer.activation]
        delta = training.loss.delta(activation, Z, Y, T)
        delta /= len(rows)
        state.step += 1
        layerwise = training.update_order == LAYERWISE
        training.network.backward(
            state.theta, seen, delta, self.gradient, on_layer=self._update if layerwise else None
        )
        if not layerwise:
            self._update(slice(None))
        return math.isfinite(loss)

    def _update(self, stretch: slice) -> None:
        training, state = self.training, self.state
        if training.network.frozen is not None:
            self.gradient[stretch][training.network.frozen[stretch]] = 0
        training.optimizer.update(
            state.theta[stretch],
            self.gradient[stretch],
            state.slots[:, stretch],
            learning_rate=training.schedule.rate(training.learning_rate, epoch=state.epoch + 1),
            step=state.step,
        )

    def _end_epoch(self) -> dict[str, float]:
        state = self.state
        sums = zip(["loss", *self.training.metrics], state.sums, strict=True)
        row = {name: total / self.samples for name, total in sums}
        if self.data.validation_inputs is not None:
            row |= self._validation()
        state.batch = 0
        state.order = dict(self.rng.bit_generator.state)
        if not (math.isfinite(row["loss"]) and np.isfinite(state.theta).all()):
            state.theta[:] = state.epoch_theta
            state.ended = "diverged"
            return row
        state.epoch += 1
        self._keep_best(row)
        state.ended = self.training.stopping.verdict(row, state.patience)
        if state.ended is None and state.epoch >= self.training.epochs:
            state.ended = "epochs"
        return row

    def _validation(self) -> dict[str, float]:
        assert self.data.validation_inputs is not None
        assert self.data.validation_targets is not None
        measured = evaluate(
            self.training.network,
            self.state.theta,
            self.data.validation_inputs,
            self.data.validation_targets,
            loss=self.training.loss,
            metrics=self.training.metrics,
        )
        return {f"val_{name}": value for name, value in measured.items()}

    def _keep_best(self, row: dict[str, float]) -> None:
        """Keep the weights after this epoch where the chosen column is the best so far."""
        state, metric = self.state, self.training.best
        if metric is not None and better(metric, row[metric], state.best_value, by=0.0):
            state.best_theta = state.theta.copy()
            state.best_value, state.best_epoch = row[metric], state.epoch
