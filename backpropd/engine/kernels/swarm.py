"""A crew of networks of one shape, each in a lane of the vectors of one kernel.

A call lasts some milliseconds. Where in its midst a network meets its end, by a rule or by numbers
that are not finite, the call is repeated up to there for this network's sake, and what the others
have from it stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array
from backpropd.engine.kernels import generated
from backpropd.engine.kernels.course import (
    CALL_NANOSECONDS,
    SAMPLES_AT_ONCE,
    Module,
    constants_of,
)
from backpropd.engine.kernels.lanes import (
    BATCH,
    BEST_COLUMNS,
    BEST_EPOCH,
    BEST_VALUE,
    CONSTANTS,
    EPOCHS,
    RATES_PER,
    STEP,
    Lanes,
    batch_size_of,
    lane_of,
)
from backpropd.engine.kernels.traced import trace
from backpropd.engine.kernels.vectors import FAST, lanes_of
from backpropd.engine.many import Asked, Mark, Member, stands_at
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm
from backpropd.engine.schedules import Constant
from backpropd.engine.state import TrainingState
from backpropd.engine.stopping import better
from backpropd.engine.training import Columns, Course, Data, Training

# Side by side where each sample waits for the one before it: one computes while another one waits.
VECTORS = 2
Losses = NDArray[np.float64]
ENDLESS = np.iinfo(np.int64).max


def module_of(training: Training, data: Data, *, build: str) -> Module:
    """The module for these parts and any shape, and this network's numbers; or Untraceable."""
    traced = trace(training, across=True)
    by_norm = isinstance(training.clip, ClipNorm | ClipGlobalNorm)
    moments = traced.source.rpartition("def moments")[2].partition("\n")[2]
    constants = constants_of(training, data, traced) | CONSTANTS
    constants["ONLINE"] = batch_size_of(training, data) == 1 and not by_norm
    # Whether an update's numbers are others than those of the update before it.
    constants["ANEW"] = bool(re.search(r"\b(step|rose)\b", moments))
    dtype = training.network.dtype.name
    loops = ("chance", "rows", "swarm")
    waits = constants["ONLINE"] and build == FAST
    lanes = lanes_of(dtype, build) * (VECTORS if waits else 1)
    text = generated.source(
        traced.source, loops, dtype=dtype, build=build, constants=constants, lanes=lanes
    )
    return Module(text, traced, lanes)


class Swarm(Lanes):
    """Networks side by side, up to one for each lane; all stand at the same batch of an epoch."""

    def __init__(
        self, members: Sequence[Member], data: Data, modules: Sequence[Module], code: ModuleType
    ) -> None:
        """`modules` are of the members, in their order: one `code`, with numbers of their own."""
        super().__init__(members, data, [each.traced for each in modules], modules[0].lanes)
        self.text, self.code = modules[0].text, code
        self.living = dict(enumerate(members))  # by lane
        # What only Python can do at the end of an epoch takes one call an epoch.
        self.by_epoch = any(_by_epoch(each.training) for each in members)
        self._estimate()

    @property
    def members(self) -> Sequence[Member]:
        return list(self.living.values())

    @property
    def kind(self) -> Hashable:
        return (self.text, self.shape.key, self.batch_size, int(self.control[BATCH]))

    def turn(self, stop: Asked, mark: Mark) -> bool:
        """As Crew.turn: one call of the kernel."""
        epochs = self.epochs_a_call
        for member in self.living.values():
            epochs = min(epochs, member.training.epochs - member.state.epoch)
            if mark is not None:
                ahead = (k for k in range(1, epochs) if mark(member.state.epoch + k))
                epochs = next(ahead, epochs)
        self._call(epochs)
        return any(stands_at(mark, member.state) for member in self.living.values())

    def give_states(self) -> None:
        """As Crew.give_states."""
        for lane in self.living:
            self._give(lane)

    def _estimate(self) -> None:
        """How many updates and epochs fill a call, from a rough count of operations."""
        weights = self.network.parameter_count
        update = 100 + 4 * weights * self.batch_size
        validation = 2 * weights * len(self.VX) / self.network.inputs
        self.updates_a_call = max(1, int(CALL_NANOSECONDS / update))
        epoch = self.batches * update + validation
        self.epochs_a_call = 1 if self.by_epoch else max(1, int(CALL_NANOSECONDS / epoch))

    # A call

    def _call(self, epochs: int) -> None:
        """Up to so many epochs, and what each network has from them."""
        updates = self.updates_a_call
        if self.tallies[0].metrics:  # whose sums no cut may change
            group = max(1, SAMPLES_AT_ONCE // self.batch_size)
            updates = group - int(self.control[BATCH]) % group
        begin = int(self.control[BATCH])
        for lane in self.living if begin == 0 else ():
            if self.all[lane].training.order == "with_replacement":
                self._draw(lane)
        before = self._copy()
        losses, val_losses = self._run(epochs, updates)
        theta = self.theta.reshape(-1, self.seats)
        finite = np.logical_and(np.isfinite(losses).all(axis=0), np.isfinite(theta).all(axis=0))
        for lane in list(self.living):
            rows: Columns = {"loss": losses[:, lane].copy()}
            if self.data.validation_inputs is not None:
                rows["val_loss"] = val_losses[:, lane].copy()
            self._account(lane, rows, before, begin=begin, finite=bool(finite[lane]))

    def _run(self, epochs: int, updates: int, *, ahead: int = 0) -> tuple[Losses, Losses]:
        """The kernel itself, so many epochs ahead of the states: losses (finished, lanes)."""
        losses, val_losses = (np.empty((epochs, self.seats)) for _ in range(2))
        self.steps[BEST_EPOCH] = -1
        rates = self._rates(epochs, updates, ahead)
        # fmt: off
        self.code.kernel(
            self.shape.layers.ravel(), self.shape.sources.ravel(), self.shape.windows, self.theta,
            self.slots, self.l1, self.l2, self.drop_rates, self.p, self.q, self.c, rates, self.X,
            self.T, self.weights, self.VX, self.VT, self.z, self.y, self.o, self.d, self.t,
            self.counts, self.kept, self.scratch, self.gradient, self.most, self.orders,
            self.order_bits, self.noise_bits, self.start, self.best, losses, val_losses,
            self.outputs, self.val_outputs, self.steps.reshape(-1), self.reals.reshape(-1),
            self.control, len(self.all), self.batch_size, epochs, updates,
        )
        # fmt: on
        finished = int(self.control[EPOCHS])
        return losses[:finished], val_losses[:finished]

    def _rates(self, epochs: int, updates: int, ahead: int) -> Losses:
        """Every lane's learning rates: one, one an epoch, or one an update."""
        per = max(_rates_per(member.training) for member in self.living.values())
        self.control[RATES_PER] = per
        begin, batches = int(self.control[BATCH]), self.batches
        rows = (1, epochs, min(updates, epochs * batches))[per]
        found = np.zeros((rows, self.seats))
        for lane, member in self.living.items():
            training, state = member.training, member.state
            schedule, base = training.schedule, training.optimizer.learning_rate
            memory, first = state.schedule, int(self.steps[STEP, lane])
            own = _rates_per(training)
            if own == 0:
                found[:, lane] = base
            elif own == 2:
                total = training.epochs * batches
                found[:, lane] = [
                    schedule.rate(base, first + k, total, memory) for k in range(rows)
                ]
            else:
                passed = [k if per == 1 else (begin + k) // batches for k in range(rows)]
                rates = [
                    schedule.rate(base, state.epoch + ahead + k, training.epochs, memory)
                    for k in range(passed[-1] + 1)
                ]
                found[:, lane] = [rates[k] for k in passed]
        return found.reshape(-1)

    def _account(
        self, lane: int, rows: Columns, before: list[Any], *, begin: int, finite: bool
    ) -> None:
        """What a call has done for one network; it leaves where it is at its end."""
        member, finished = self.all[lane], len(rows["loss"])
        state, was = member.state, (member.state.epoch, member.state.batch)
        good = finished if finite else self._good_epochs(lane, before, finished)
        if good == finished and self.tallies[lane].metrics:
            rows = self._with_metrics(lane, rows, begin)
        ending = self._first_ending(member, rows, good)
        told = good if ending is None else ending + 1
        if told == finished:
            self._count(lane, rows)
            if state.ended:
                self._give(lane)
        else:
            after = self._copy()
            self._put_back(before)
            if told:
                self._run(told, ENDLESS)
            rows = {name: values[:told] for name, values in rows.items()}
            self._count(lane, rows)
            self._give(lane)
            if ending is None:
                rows = self._with_plain_epoch(member, rows)
            self._put_back(after)
        if state.ended or told < finished:
            del self.living[lane]
        member.tell(rows, self._presented(state, was))

    def _presented(self, state: TrainingState, was: tuple[int, int]) -> int:
        """How many samples came since (epoch, batch)."""
        epochs = state.epoch - was[0] + (state.ended == "diverged")
        now = min(state.batch * self.batch_size, self.samples)
        return epochs * self.samples + now - min(was[1] * self.batch_size, self.samples)

    def _good_epochs(self, lane: int, before: list[Any], finished: int) -> int:
        """How many epochs of the call passed before one that ended with what is not finite."""
        after, good = self._copy(), 0
        self._put_back(before)
        while good < finished:
            losses, _ = self._run(1, ENDLESS, ahead=good)
            theta = lane_of(self.theta, lane, self.seats)
            if not (math.isfinite(losses[0, lane]) and np.isfinite(theta).all()):
                break
            good += 1
        self._put_back(after)
        return good

    def _first_ending(self, member: Member, rows: Columns, good: int) -> int | None:
        """The epoch of this call after which a rule ends the run."""
        stopping, state = member.training.stopping, member.state
        if not stopping.any:
            return None
        step = state.step - state.batch
        for k in range(good):
            row = {name: float(values[k]) for name, values in rows.items()}
            updates = step + (k + 1) * self.batches
            state.ended = stopping.verdict(row, state.patience, updates=updates)
            if state.ended is not None:
                return k
        return None

    def _count(self, lane: int, rows: Columns) -> None:
        """What Python keeps of the epochs that were finished."""
        member, finished = self.all[lane], len(rows["loss"])
        state, training = member.state, member.training
        state.batch, state.step = int(self.control[BATCH]), int(self.steps[STEP, lane])
        if (newest := int(self.steps[BEST_EPOCH, lane])) >= 0:
            state.best_epoch = state.epoch + newest + 1
            state.best_value = float(self.reals[BEST_VALUE, lane])
            self.new_best.add(lane)
        state.epoch += finished
        if not finished:
            return
        row = {name: float(values[-1]) for name, values in rows.items()}
        if training.schedule.listens:
            training.schedule.listen(row, state.schedule)
        name, grows = training.best, training.best_grows
        by_row = name is not None and name not in BEST_COLUMNS
        if by_row and better(row[name or ""], state.best_value, grows=grows, by=0.0):
            state.best_theta = lane_of(self.theta, lane, self.seats).copy()
            state.best_value, state.best_epoch = row[name or ""], state.epoch
        if state.ended is None and state.epoch >= training.epochs:
            state.ended = "epochs"

    def _with_metrics(self, lane: int, rows: Columns, begin: int) -> Columns:
        """Add what the outputs of the call's samples say; one epoch a call at most."""
        tally, data, finished = self.tallies[lane], self.data, len(rows["loss"])
        if begin == 0:
            self.sums[lane] = tally.zeros()
        end = self.samples if finished else int(self.control[BATCH]) * self.batch_size
        start = begin * self.batch_size
        outputs = self._outputs(self.outputs, lane)[start:end]
        tally.add(self.sums[lane], 0.0, outputs, data.targets[self.orders[lane, start:end]])
        if not finished:
            return rows
        read = tally.read([0.0, *self.sums[lane][1:]], self.samples)
        rows |= {name: np.array([value]) for name, value in read.items() if name != "loss"}
        if data.validation_inputs is not None:
            assert data.validation_targets is not None
            sums, samples = tally.zeros(), len(data.validation_inputs)
            tally.add(sums, 0.0, self._outputs(self.val_outputs, lane), data.validation_targets)
            read = tally.read(sums, samples)
            rows |= {f"val_{n}": np.array([v]) for n, v in read.items() if n != "loss"}
        return rows

    def _outputs(self, flat: Array, lane: int) -> Array:
        found: Array = flat.reshape(-1, self.network.outputs, self.seats)[:, :, lane]
        return found

    def _with_plain_epoch(self, member: Member, rows: Columns) -> Columns:
        """One epoch more by the textbook's code, which says where it goes wrong."""
        state = member.state
        if state.batch:  # the epoch had begun in an earlier call
            state.theta[:], state.batch = state.epoch_theta, 0
        row, _ = Course(member.training, self.data, state).advance(lambda: False)
        assert row is not None
        return {name: np.append(rows[name], row[name]) for name in row}


def _by_epoch(training: Training) -> bool:
    return (
        bool(training.metrics)
        or training.schedule.listens
        or training.order == "with_replacement"
        or training.best not in (None, *BEST_COLUMNS)
    )


def _rates_per(training: Training) -> int:
    """What RATES_PER is for it: 0 for one rate, 1 for one an epoch, 2 for one an update."""
    schedule = training.schedule
    if type(schedule) is Constant and not schedule.warmup:
        return 0
    return 2 if schedule.per == "update" else 1
