"""The textbook loop: forward, delta, backward, update, for every batch of every epoch.

`fit` is a generator of blocks of epochs. It never calls back, sleeps, saves or reads a clock:
cancel, pause, heartbeat, history and snapshots belong to whoever turns the crank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.metrics import Metric, Tally
from backpropd.engine.network import Network, Pass, evaluate
from backpropd.engine.objective import BatchObjective
from backpropd.engine.optimizers import Method, Moment, Optimizer, Rule
from backpropd.engine.order import epoch_order
from backpropd.engine.regularizers import Clip
from backpropd.engine.schedules import Schedule
from backpropd.engine.state import TrainingState, generator
from backpropd.engine.statistics import columns as statistics_columns
from backpropd.engine.statistics import layer_statistics
from backpropd.engine.stopping import Stopping, better

LAYERWISE = "layerwise"
Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Samples to learn from (N, I) and (N, O), and, where asked for, samples to validate on."""

    inputs: Array
    targets: Array
    weights: Array | None  # (N,): how much each sample counts in training
    validation_inputs: Array | None
    validation_targets: Array | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Everything that decides how a network is trained, chance and time apart."""

    network: Network
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    batch_size: int | None  # 1 is online learning, None the full batch
    order: str  # of samples: see order.ORDERS
    update_order: str  # "simultaneous", or "layerwise": a layer moves before the deltas below it
    clip: Clip | None
    metrics: tuple[Metric, ...]
    statistics: bool  # whether every epoch measures each layer
    batch_losses: bool  # whether the loss of every batch is told
    stopping: Stopping
    best: str | None  # the column whose best epoch's weights are kept
    best_grows: bool  # whether more of it is better
    restore_best: bool  # whether the run ends with those weights


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive epochs, as one piece of news."""

    first_epoch: int
    columns: Columns  # "loss", "val_loss", ...: one value an epoch
    samples: int  # presented since the last block
    state: TrainingState  # live: `fit` goes on changing it when it is asked for the next block
    first_batch: int = 1  # counted from the first one of the training
    batch_losses: NDArray[np.float64] | None = None  # the mean loss of each, if they are wanted

    @property
    def epochs(self) -> int:
        """How many epochs were finished; 0 in the middle of a long one."""
        return len(self.columns["loss"])

    @property
    def ended(self) -> str | None:
        """Why this is the last block: epochs, loss_below, patience, diverged, ...; else None."""
        return self.state.ended


class Plan(Protocol):
    """Which code trains a network, and why that; see kernels.choose."""

    @property
    def kernel(self) -> str:
        """ "plain", or what is compiled."""
        ...

    @property
    def reason(self) -> str:
        """As a sentence's end."""
        ...

    def course(self, training: Training, data: Data, state: TrainingState) -> Course:
        """A run of `fit` by this code."""
        ...


def fit(
    training: Training,
    data: Data,
    state: TrainingState,
    *,
    enough: Callable[[], bool],
    mark: Callable[[int], bool] | None,
    plan: Plan | None = None,
) -> Iterator[Block]:
    """Train from `state` to the end, yielding after every stretch of epochs.

    `enough` is asked every now and then, at the latest after each batch or some milliseconds,
    whether the block shall end there, be it in mid-epoch. `mark` says of each epoch whether
    somebody wants the state as it is after it; None is of none. Without a plan the textbook's
    code trains, with one maybe its compiled equal.

    Row k of a block holds what the forward passes of epoch k saw, each before its own update; the
    `val_` columns are measured after the epoch's last update. Where an epoch's loss or weights are
    not finite, its row is the last, `ended` is "diverged", `diverged_in` of the state names the
    layer where it showed first, and the state holds the weights from the start of that epoch.
    """
    run = Course if plan is None else plan.course
    course = run(training, data, state)
    go_on(training, state)
    if state.ended is not None:
        yield block_of(state, no_rows(course.columns), 0)
    while state.ended is None:
        columns, presented = course.stretch(enough, mark)
        restore_best(training, state)
        yield replace(block_of(state, columns, presented), **course.told_of_batches())


def columns_of(training: Training, data: Data) -> list[str]:
    """What a training tells of every epoch."""
    columns = list(Tally(training.metrics, training.network.outputs).columns)
    if data.validation_inputs is not None:
        columns += [f"val_{name}" for name in columns]
    return columns + (statistics_columns(training.network) if training.statistics else [])


def no_rows(columns: Iterable[str]) -> Columns:
    """No epoch at all."""
    return {name: np.empty(0) for name in columns}


def block_of(state: TrainingState, columns: Columns, samples: int) -> Block:
    """The finished epochs; the last of them is the state's, or the diverged one."""
    epochs = len(columns["loss"])
    last = state.epoch + (state.ended == "diverged" and bool(epochs))
    return Block(last - epochs + 1, columns, samples, state)


def go_on(training: Training, state: TrainingState) -> None:
    """End where all epochs are done; where more are asked for than at first, go on exactly."""
    if state.ended not in (None, "epochs"):
        return
    if state.epoch >= training.epochs:
        state.ended = "epochs"
    elif state.ended == "epochs":
        state.ended = None
        if training.restore_best and state.best_theta is not None:
            state.theta[:] = state.epoch_theta


def restore_best(training: Training, state: TrainingState) -> None:
    """At the end of a run that asks for it, take the best epoch's weights."""
    if state.ended and training.restore_best and state.best_theta is not None:
        state.epoch_theta[:] = state.theta  # for who goes on from here
        state.theta[:] = state.best_theta


class Course:
    """One run of `fit`: the parts that stay, around the state that moves."""

    def __init__(self, training: Training, data: Data, state: TrainingState) -> None:
        self.training, self.data, self.state = training, data, state
        self.network = training.network
        self.samples = len(data.inputs)
        self.batch_size = min(training.batch_size or self.samples, self.samples)
        self.batches = math.ceil(self.samples / self.batch_size)
        self.gradient = np.zeros_like(state.theta)
        self.order_rng = generator(state.order)
        self.noise_rng = generator(state.noise)
        self.order = np.arange(self.samples)
        self.interrupted = False
        self.seen: Pass | None = None  # of the last batch
        self.first_batch, self.batch_losses = 1, list[float]()  # of the stretch
        self.tally = Tally(training.metrics, self.network.outputs)
        self.columns = columns_of(training, data)
        if state.batch:
            self.order = self._drawn()

    def stretch(
        self, enough: Callable[[], bool], mark: Callable[[int], bool] | None
    ) -> tuple[Columns, int]:
        """Train until it is enough, a marked epoch, or the end: finished epochs, and samples."""
        rows: list[dict[str, float]] = []
        presented = 0
        self.first_batch = self.state.epoch * self.batches + self.state.batch + 1
        self.batch_losses.clear()
        while True:
            row, samples = self.advance(enough)
            presented += samples
            if row is not None:
                rows.append(row)
            state = self.state
            marked = mark is not None and row is not None and mark(state.epoch)
            if row is None or state.ended or marked or self.interrupted:
                columns = {name: np.array([r[name] for r in rows], float) for name in self.columns}
                return columns, presented

    def advance(self, enough: Callable[[], bool]) -> tuple[dict[str, float] | None, int]:
        """Train to the end of the epoch, or until `enough`; the epoch's row if it is finished."""
        state, presented = self.state, 0
        self.interrupted = False
        if state.batch == 0:
            self._begin_epoch()
        row = None
        # Overflow is no news to warn of: it is what divergence looks like, and is looked for.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            while True:
                start = state.batch * self.batch_size
                finite = self._batch(self.order[start : start + self.batch_size])
                state.batch += 1
                presented += min(self.batch_size, self.samples - start)
                self.interrupted = enough()
                if not finite or state.batch * self.batch_size >= self.samples:
                    row = self._end_epoch()
                    break
                if self.interrupted:
                    break
        if self.network.random:
            state.noise = dict(self.noise_rng.bit_generator.state)
        return row, presented

    def told_of_batches(self) -> dict[str, Any]:
        """What a block says of the batches of the last stretch, where they are wanted."""
        if not self.training.batch_losses:
            return {}
        return {"first_batch": self.first_batch, "batch_losses": np.array(self.batch_losses)}

    def _begin_epoch(self) -> None:
        self.state.sums = self.tally.zeros()
        self.state.epoch_theta[:] = self.state.theta
        self.order = self._drawn()

    def _drawn(self) -> NDArray[np.intp]:
        return epoch_order(self.training.order, self.samples, self.order_rng)

    def _batch(self, rows: NDArray[np.intp]) -> bool:
        """One update from these rows; whether their loss was finite."""
        training, state = self.training, self.state
        X, T = self.data.inputs[rows], self.data.targets[rows]
        weights = None if self.data.weights is None else self.data.weights[rows]
        self.seen = seen = self.network.forward(state.theta, X, rng=self.noise_rng)
        losses = seen.losses(training.loss, T)
        loss = float((losses if weights is None else weights * losses).sum(dtype=np.float64))
        self.tally.add(state.sums, loss, seen.output, T)
        if training.batch_losses:
            self.batch_losses.append(loss / len(rows))
        if not math.isfinite(loss):
            state.diverged_in = seen.not_finite() or self.network.output_layer.name
            return False
        state.step += 1
        error_rose = state.last_loss is not None and loss > state.last_loss
        state.last_loss = loss
        if isinstance(training.optimizer, Method):
            objective = BatchObjective(self.network, training.loss, X, T, weights)
            training.optimizer.advance(state.theta, state.slots, state.memory, objective)
        else:
            self._descend(seen, seen.deltas(training.loss, T, weights=weights), error_rose)
        if self.network.held:
            self.network.hold(state.theta)
        return True

    def _descend(self, seen: Pass, delta: Array, error_rose: bool) -> None:
        """Move theta by the gradient: all at once, or each layer before the deltas below it."""
        theta, layerwise = self.state.theta, self.training.update_order == LAYERWISE

        def update(stretch: slice) -> None:
            self._update(stretch, error_rose)

        self.network.backward(
            theta, seen, delta, self.gradient, on_layer=update if layerwise else None
        )
        if not layerwise:
            update(slice(None))

    def _update(self, stretch: slice, error_rose: bool) -> None:
        state, optimizer, network = self.state, self.training.optimizer, self.network
        assert isinstance(optimizer, Rule)
        theta, g = state.theta[stretch], self.gradient[stretch]
        if network.penalty is not None:
            network.penalty.add_gradient(state.theta, self.gradient, stretch)
        if network.frozen is not None:
            g[network.frozen[stretch]] = 0
        if self.training.clip is not None:
            self.training.clip.clip(self.gradient, network.layout.windows)
        trainable = None if network.frozen is None else network.trainable[stretch]
        moment = Moment(self._rate(), state.step, error_rose)
        optimizer.step(theta, g, state.slots[:, stretch], moment, trainable=trainable)

    def _rate(self) -> float:
        """The learning rate of this update."""
        training, state = self.training, self.state
        schedule, base = training.schedule, training.optimizer.learning_rate
        if schedule.per == "update":
            total = training.epochs * self.batches
            return schedule.rate(base, state.step - 1, total, state.schedule)
        return schedule.rate(base, state.epoch, training.epochs, state.schedule)

    def _end_epoch(self) -> dict[str, float]:
        state, training = self.state, self.training
        row = self.tally.read(state.sums, self.samples)
        if self.data.validation_inputs is not None:
            row |= self._validation()
        if training.statistics:
            assert self.seen is not None
            row |= layer_statistics(
                self.network, state.theta, state.epoch_theta, self.gradient, self.seen
            )
        state.batch = 0
        state.order = dict(self.order_rng.bit_generator.state)
        if not (math.isfinite(row["loss"]) and np.isfinite(state.theta).all()):
            state.diverged_in = state.diverged_in or self._layer_of_first_bad_weight()
            state.theta[:] = state.epoch_theta
            state.ended = "diverged"
            return row
        state.epoch += 1
        self._keep_best(row)
        if training.schedule.listens:
            training.schedule.listen(row, state.schedule)
        state.ended = training.stopping.verdict(row, state.patience, updates=state.step)
        if state.ended is None and state.epoch >= training.epochs:
            state.ended = "epochs"
        return row

    def _layer_of_first_bad_weight(self) -> str:
        for window in self.network.layout.windows:
            if not np.isfinite(self.state.theta[window.start : window.stop]).all():
                return window.name.rsplit(".", 1)[0]
        return self.network.output_layer.name

    def _validation(self) -> dict[str, float]:
        assert self.data.validation_inputs is not None
        assert self.data.validation_targets is not None
        measured = evaluate(
            self.network,
            self.state.theta,
            self.data.validation_inputs,
            self.data.validation_targets,
            loss=self.training.loss,
            metrics=self.training.metrics,
        )
        return {f"val_{name}": value for name, value in measured.items()}

    def _keep_best(self, row: dict[str, float]) -> None:
        """Keep the weights after this epoch where the chosen column is the best so far."""
        state, metric, grows = self.state, self.training.best, self.training.best_grows
        if metric is not None and better(row[metric], state.best_value, grows=grows, by=0.0):
            state.best_theta = state.theta.copy()
            state.best_value, state.best_epoch = row[metric], state.epoch
