"""A run of `fit` in machine code: many epochs a call, with the state that Course keeps.

A call lasts some milliseconds; between two of them the caller is asked whether it is enough, so
that nobody waits for a kernel. What happens in a call does not depend on where calls begin and end:
the same bits come out of any cut. Where an epoch meets a number that is not finite, or a rule ends
the run in the midst of a call, the call is taken back and repeated up to there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.kernels import generated
from backpropd.engine.kernels.packing import Packing, aligned, zeros
from backpropd.engine.kernels.tiles import products
from backpropd.engine.kernels.traced import Traced, trace
from backpropd.engine.kernels.unrolled import fewest_lanes, unrolled
from backpropd.engine.kernels.vectors import lanes_of
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm
from backpropd.engine.schedules import Constant
from backpropd.engine.state import TrainingState
from backpropd.engine.training import Columns, Course, Data, Training

CALL_NANOSECONDS = 1.5e6  # how long a call should take: what a user's wish waits for
SAMPLES_AT_ONCE = 4096  # what metrics are summed over, so that no cut changes a sum

# Places in `control` and `reals`, as in generated.HEADER.
EPOCHS, BATCH, STEP, BAD, CAREFUL, BEST_OF, BEST_EPOCH, RATES_PER = range(8)
TOTAL, LAST_LOSS, BEST_VALUE, CLIP_MOST = range(4)


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel's text for the parts of a training, and the numbers that it takes.

    With `write`, the text only names the module, and that makes what it holds.
    """

    text: str
    traced: Traced
    lanes: int
    write: Callable[[], str] | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether its machine code is on disk."""
        return generated.is_compiled(self.text)

    def written(self) -> Path:
        """Its file; raises Untraceable where nothing can be written for a shape alone."""
        return generated.written(self.text, self.write)

    def loaded(self) -> ModuleType:
        """The module itself; what is not compiled yet is compiled now, which takes seconds."""
        return generated.load(self.written())


def module_of(training: Training, data: Data, kernel: str, *, build: str) -> Module:
    """The module for these parts and any shape; raises Untraceable."""
    traced = trace(training, across=False)
    functions = traced.source if kernel == "online" else products() + "\n\n" + traced.source
    constants = constants_of(training, data, traced)
    dtype = training.network.dtype.name
    loops = ("chance", "rows", kernel)
    text = generated.source(functions, loops, dtype=dtype, build=build, constants=constants)
    return Module(text, traced, lanes_of(dtype, build))


def unrolled_module(training: Training, data: Data, general: Module, *, build: str) -> Module:
    """The online kernel for this shape alone, from that for any shape."""
    network, traced = training.network, general.traced
    lanes = fewest_lanes(network, general.lanes)
    packing = Packing(network, traced.activations, lanes)
    constants = constants_of(training, data, traced)

    def write() -> str:
        return generated.source(
            traced.source,
            ("chance", "rows"),
            dtype=network.dtype.name,
            build=build,
            constants=constants,
            lanes=lanes,
            last=unrolled(traced.source, packing, constants),
        )

    tables = (packing.layers.tolist(), packing.sources.tolist())
    return Module(f"{general.text}\n# unrolled for {lanes} {tables}", traced, lanes, write)


def constants_of(training: Training, data: Data, traced: Traced) -> dict[str, Any]:
    """What is decided when a kernel is compiled, so that it costs nothing while it runs."""
    clip = training.clip
    return {
        "SHUFFLED": training.order == "shuffled",
        "HAS_DROPOUT": any(layer.dropout for layer in training.network.layers),
        "WEIGHTED": data.weights is not None,
        "VALIDATES": data.validation_inputs is not None,
        "KEEPS_OUTPUTS": bool(training.metrics),
        "CLIPS_NORM": isinstance(clip, ClipNorm | ClipGlobalNorm),
        "CLIPS_GLOBALLY": isinstance(clip, ClipGlobalNorm),
        "MOMENTS": traced.moments,
    }


class CompiledCourse(Course):
    """Course, with its loop in machine code."""

    def __init__(
        self,
        training: Training,
        data: Data,
        state: TrainingState,
        kernel: str,
        module: Module,
    ) -> None:
        super().__init__(training, data, state)
        self.kernel, self.traced, self.lanes = kernel, module.traced, module.lanes
        self.code = module.loaded()
        self.packing = Packing(self.network, self.traced.activations, self.lanes)
        # What only Python can do at the end of an epoch takes one call an epoch.
        self.by_epoch = (
            bool(training.metrics)
            or training.schedule.listens
            or training.order == "with_replacement"
            or (training.best not in (None, "loss", "val_loss"))
        )
        self.stops = _may_stop(training)
        self._make_arrays()
        self._take_state()
        self._estimate()

    def stretch(
        self, enough: Callable[[], bool], mark: Callable[[int], bool] | None
    ) -> tuple[Columns, int]:
        """As Course.stretch."""
        pieces: list[Columns] = []
        presented, state = 0, self.state
        while True:
            wanted = min(self.epochs_a_call, self.training.epochs - state.epoch)
            if mark is not None:
                ahead = (k for k in range(1, wanted) if mark(state.epoch + k))
                wanted = next(ahead, wanted)
            before = (state.epoch, state.batch)
            pieces.append(self._call(wanted))
            presented += self._presented(before)
            epoch_ended = (
                state.ended is None and state.batch == 0 and mark is not None and mark(state.epoch)
            )
            if state.ended or epoch_ended or enough():
                self._give_state()
                names = self.columns
                columns = {n: np.concatenate([each[n] for each in pieces]) for n in names}
                return columns, presented

    # What a call works on

    def _make_arrays(self) -> None:
        """Everything that the kernel reads and writes, as flat arrays."""
        packing, network, data = self.packing, self.network, self.data
        dtype, lanes, traced = network.dtype, self.lanes, self.traced
        rows = self.batch_size if self.kernel == "fused" else 1
        widest = int(packing.layers[:, 1].max())

        def room(size: int) -> Any:
            return zeros(max(size, lanes) + lanes, dtype)

        self.p = aligned(np.repeat(traced.settings or [0.0], lanes), dtype)
        self.q = np.repeat(np.array(traced.plain or [0.0]), lanes)
        self.c = room(traced.moments * lanes)
        penalty = network.penalty
        self.l1 = room(0) if penalty is None else packing.pack(penalty.l1)
        self.l2 = room(0) if penalty is None else packing.pack(penalty.l2)
        self.X, self.T = packing.rows(data.inputs), packing.rows(data.targets)
        self.weights = room(0) if data.weights is None else data.weights.astype(dtype)
        validates = data.validation_inputs is not None
        self.VX, self.VT = room(0), room(0)
        if data.validation_inputs is not None and data.validation_targets is not None:
            self.VX = packing.rows(data.validation_inputs)
            self.VT = packing.rows(data.validation_targets)
        self.mask = aligned(packing.mask(), dtype)
        self.z, self.y, self.d = (room(rows * packing.width) for _ in range(3))
        dropout = bool(packing.drop.any())
        self.o = room(rows * packing.width) if dropout else self.y
        self.kept = aligned(np.ones_like(self.o), dtype) if dropout else room(0)
        self.drop_rates = packing.drop.astype(dtype)
        self.scratch = room(16 * widest)
        self.packed_gradient = room(packing.size + widest)  # and zeros behind it, of the widest row
        self.windows = packing.windows()
        keeps = bool(self.training.metrics)
        outputs_pad = packing.padded(network.outputs)
        self.outputs = room(self.samples * outputs_pad if keeps else 0)
        self.val_outputs = room(len(self.VT) if keeps and validates else 0)
        self.control = np.zeros(8, np.int64)
        self.reals = np.full(4, math.nan)
        self.reals[CLIP_MOST] = getattr(self.training.clip, "most", math.nan)

    def _take_state(self) -> None:
        """From the state as it is kept to the one that the kernel has."""
        state, packing = self.state, self.packing
        self.theta = packing.pack(state.theta)
        self.slots = zeros(max(len(state.slots), 1) * packing.size, state.theta.dtype)
        for slot, packed in zip(state.slots, self._each_slot(), strict=True):
            packed[:] = packing.pack(slot)
        self.start = packing.pack(state.epoch_theta)
        self.best = packing.pack(state.theta if state.best_theta is None else state.best_theta)
        self.order_bits = np.tile(bits_of(state.order), 2)
        if state.batch:
            self.order_bits[:6] = bits_of(self.order_rng.bit_generator.state)
        self.noise_bits = bits_of(state.noise)
        self.order = np.ascontiguousarray(self.order, np.int64)
        control, reals = self.control, self.reals
        control[BATCH], control[STEP] = state.batch, state.step
        control[BEST_OF] = (
            0 if self.by_epoch else {"loss": 1, "val_loss": 2}.get(self.training.best or "", 0)
        )
        reals[TOTAL] = state.sums[0] if state.sums else 0.0
        reals[LAST_LOSS] = math.nan if state.last_loss is None else state.last_loss
        reals[BEST_VALUE] = math.nan if state.best_value is None else state.best_value
        self.sums = list(state.sums) or self.tally.zeros()

    def _give_state(self) -> None:
        """Back to the state as it is kept."""
        state, packing, control, reals = self.state, self.packing, self.control, self.reals
        packing.unpack(self.theta, state.theta)
        for slot, packed in zip(state.slots, self._each_slot(), strict=True):
            packing.unpack(packed, slot)
        state.epoch_theta[:] = state.theta
        if state.batch:
            packing.unpack(self.start, state.epoch_theta)
        half = self.order_bits[6:] if state.batch else self.order_bits[:6]
        if self.training.order == "shuffled":
            state.order = state_of(half)
        elif self.training.order == "with_replacement" and not state.batch:
            state.order = dict(self.order_rng.bit_generator.state)
        if self.network.random:
            state.noise = state_of(self.noise_bits)
        state.step = int(control[STEP])
        state.sums = [float(reals[TOTAL]), *self.sums[1:]] if state.batch else []
        last = float(reals[LAST_LOSS])
        state.last_loss = None if math.isnan(last) else last
        if control[BEST_OF] and state.best_epoch is not None and self.best_is_new:
            state.best_theta = state.theta.copy()
            packing.unpack(self.best, state.best_theta)
            self.best_is_new = False

    best_is_new = False

    def _each_slot(self) -> list[Any]:
        size = self.packing.size
        return [self.slots[k : k + size] for k in range(0, len(self.state.slots) * size, size)]

    def _estimate(self) -> None:
        """How many updates and epochs fill a call, from a rough count of operations."""
        layers, sources = self.packing.layers, self.packing.sources
        pads = {s: int(row[1]) for row in layers[1:] for s in range(row[5], row[6])}
        products = sum(int(source[2]) * pads[s] for s, source in enumerate(sources))
        forward = 20 + products / 16
        update = (
            40 + products / 4
            if self.kernel == "online"
            else (200 + products / 2 + self.batch_size * (40 + products / 6))
        )
        validation = len(self.VX) / max(int(layers[0, 1]), 1) * forward
        self.updates_a_call = max(1, int(CALL_NANOSECONDS / update))
        epoch = self.batches * update + validation
        self.epochs_a_call = 1 if self.by_epoch else max(1, int(CALL_NANOSECONDS / epoch))
        if self.training.metrics:
            self.group = max(1, SAMPLES_AT_ONCE // self.batch_size)

    # A call

    def _call(self, epochs: int) -> Columns:
        """Up to so many epochs; the rows of those that were finished."""
        updates = self.updates_a_call
        if self.training.metrics:
            updates = self.group - self.state.batch % self.group
        if self.by_epoch and self.training.order == "with_replacement" and not self.state.batch:
            self.order = np.ascontiguousarray(self._drawn(), np.int64)
        kept = self._copy()
        rows = self._run(epochs, updates)
        if self._is_bad():
            return self._up_to_bad(kept, epochs, updates)
        ending = self._first_ending(rows)
        if ending is not None and ending + 1 < len(rows["loss"]):
            self._put_back(kept)
            rows = self._run(ending + 1, np.iinfo(np.int64).max)
        self._count(rows, ending is not None)
        return rows

    def _run(self, epochs: int, updates: int) -> Columns:
        """The kernel itself, from where the arrays stand."""
        state, training, control = self.state, self.training, self.control
        control[EPOCHS], control[BAD] = 0, 0
        control[BEST_EPOCH] = -1
        losses, val_losses = np.empty(epochs), np.empty(epochs)
        rates = self._rates(epochs, updates)
        begin = int(control[BATCH])
        # fmt: off
        self.code.kernel(
            self.packing.layers.ravel(), self.packing.sources.ravel(), self.windows, self.theta,
            self.slots, self.l1, self.l2, self.drop_rates, self.p, self.q, self.c, rates, self.X,
            self.T, self.weights, self.VX, self.VT, self.mask, self.z, self.y, self.o, self.d,
            self.kept, self.scratch, self.packed_gradient, self.order, self.order_bits,
            self.noise_bits, self.start, self.best, losses, val_losses, self.outputs,
            self.val_outputs, control, self.reals, self.batch_size, epochs, updates,
        )
        # fmt: on
        finished = int(control[EPOCHS])
        rows: Columns = {"loss": losses[:finished]}
        if self.data.validation_inputs is not None:
            rows["val_loss"] = val_losses[:finished]
        if training.metrics and not control[BAD]:
            rows = self._with_metrics(rows, begin, finished)
        if control[BEST_EPOCH] >= 0:
            self.newest_best = (
                state.epoch + int(control[BEST_EPOCH]) + 1,
                float(self.reals[BEST_VALUE]),
            )
        return rows

    newest_best: tuple[int, float] | None = None

    def _rates(self, epochs: int, updates: int) -> NDArray[np.float64]:
        training, state = self.training, self.state
        schedule, base = training.schedule, training.optimizer.learning_rate
        if type(schedule) is Constant and not schedule.warmup:
            self.control[RATES_PER] = 0
            return np.array([base])
        if schedule.per == "update":
            self.control[RATES_PER] = 2
            total, first = training.epochs * self.batches, int(self.control[STEP])
            count = min(updates, epochs * self.batches)
            return np.array(
                [schedule.rate(base, first + k, total, state.schedule) for k in range(count)]
            )
        self.control[RATES_PER] = 1
        return np.array(
            [
                schedule.rate(base, state.epoch + k, training.epochs, state.schedule)
                for k in range(epochs)
            ]
        )

    def _with_metrics(self, rows: Columns, begin: int, finished: int) -> Columns:
        """Add what the outputs of the call's samples say; one epoch a call at most."""
        if begin == 0:
            self.sums = self.tally.zeros()
        end = self.samples if finished else int(self.control[BATCH]) * self.batch_size
        presented = self.order[begin * self.batch_size : end]
        outputs = self._outputs(self.outputs)[begin * self.batch_size : end]
        self.tally.add(self.sums, 0.0, outputs, self.data.targets[presented])
        if not finished:
            return rows
        read = self.tally.read(
            [float(rows["loss"][0]) * self.samples, *self.sums[1:]], self.samples
        )
        rows |= {name: np.array([value]) for name, value in read.items() if name != "loss"}
        if self.data.validation_inputs is not None:
            sums = self.tally.zeros()
            samples = len(self.data.validation_inputs)
            assert self.data.validation_targets is not None
            self.tally.add(
                sums, 0.0, self._outputs(self.val_outputs)[:samples], self.data.validation_targets
            )
            sums[0] = float(rows["val_loss"][0]) * samples
            read = self.tally.read(sums, samples)
            rows |= {f"val_{n}": np.array([v]) for n, v in read.items() if n != "loss"}
        return rows

    def _outputs(self, flat: Any) -> Any:
        pad = self.packing.padded(self.network.outputs)
        return flat[: len(flat) // pad * pad].reshape(-1, pad)[:, : self.network.outputs]

    def _count(self, rows: Columns, by_rule: bool) -> None:
        """What Python keeps of the epochs that a call has finished."""
        state, training = self.state, self.training
        finished = len(rows["loss"])
        state.batch = int(self.control[BATCH])
        state.step = int(self.control[STEP])
        if finished and training.schedule.listens:
            training.schedule.listen(_row(rows, finished - 1), state.schedule)
        state.epoch += finished
        if finished and self.by_epoch:
            self._keep_best_of_row(_row(rows, finished - 1))
        elif self.newest_best is not None:
            state.best_epoch, state.best_value = self.newest_best
            self.newest_best, self.best_is_new = None, True
        if finished and state.ended is None and state.epoch >= training.epochs:
            state.ended = "epochs"

    def _keep_best_of_row(self, row: dict[str, float]) -> None:
        """As Course does it, from the packed weights."""
        self.packing.unpack(self.theta, self.state.theta)
        self._keep_best(row)

    def _first_ending(self, rows: Columns) -> int | None:
        """The epoch of this call after which a rule ends the run."""
        if not self.stops:
            return None
        state = self.state
        for k in range(len(rows["loss"])):
            updates = int(self.control[STEP]) - (len(rows["loss"]) - 1 - k) * self.batches
            if self.control[BATCH]:
                updates -= int(self.control[BATCH])
            state.ended = self.training.stopping.verdict(
                _row(rows, k), state.patience, updates=updates
            )
            if state.ended is not None:
                return k
        return None

    def _is_bad(self) -> bool:
        return bool(self.control[BAD]) or not np.isfinite(self.theta).all()

    def _up_to_bad(self, kept: list[Any], epochs: int, updates: int) -> Columns:
        """Repeat the call up to the epoch that meets what is not finite; plain code does that."""
        self._put_back(kept)
        self.control[CAREFUL] = 1
        rows = self._run(epochs, updates)
        self.control[CAREFUL] = 0
        finished = len(rows["loss"])
        if finished or not self.control[BAD]:
            if self.control[BAD]:
                self._put_back(kept)
                rows = self._run(finished, np.iinfo(np.int64).max)
            ending = self._first_ending(rows)
            if ending is not None and ending + 1 < finished:
                self._put_back(kept)
                rows = self._run(ending + 1, np.iinfo(np.int64).max)
            self._count(rows, ending is not None)
            return rows
        self._put_back(kept)
        return self._plain_epoch()

    def _plain_epoch(self) -> Columns:
        """One epoch, from its start, by the textbook's code, which says where it goes wrong."""
        state = self.state
        self._give_state()
        if state.batch:  # the epoch had begun in an earlier call
            state.theta[:] = state.epoch_theta
        state.batch = 0
        self.order_rng.bit_generator.state = state.order
        self.noise_rng.bit_generator.state = state.noise
        row, _ = self.advance(lambda: False)
        assert row is not None
        self._take_state()
        return {name: np.array([row[name]]) for name in self.columns}

    def _copy(self) -> list[Any]:
        return [array.copy() for array in self._moving()] + [list(self.sums)]

    def _put_back(self, kept: list[Any]) -> None:
        for array, copy in zip(self._moving(), kept[:-1], strict=True):
            array[:] = copy
        self.sums = list(kept[-1])
        self.newest_best = None

    def _moving(self) -> list[Any]:
        """All that a call changes and a later one needs."""
        weights = [self.theta, self.slots, self.start, self.best]
        return [*weights, self.order_bits, self.noise_bits, self.order, self.control, self.reals]

    def _presented(self, before: tuple[int, int]) -> int:
        """How many samples came since (epoch, batch)."""
        state = self.state
        epochs = state.epoch - before[0] + (state.ended == "diverged")
        batches = min(state.batch * self.batch_size, self.samples)
        return epochs * self.samples + batches - min(before[1] * self.batch_size, self.samples)


def _may_stop(training: Training) -> bool:
    rules = training.stopping
    asked = (rules.loss_below, rules.error_below, rules.updates, rules.patience)
    return any(each is not None for each in asked)


def _row(rows: Columns, k: int) -> dict[str, float]:
    return {name: float(values[k]) for name, values in rows.items()}


def bits_of(state: Mapping[str, Any]) -> NDArray[np.uint64]:
    """A PCG64's state as six numbers, see loops/chance.py."""
    low = 2**64 - 1
    whole = state["state"]
    values = [whole["state"] >> 64, whole["state"] & low, whole["inc"] >> 64, whole["inc"] & low]
    return np.array([*values, state["has_uint32"], state["uinteger"]], np.uint64)


def state_of(bits: NDArray[np.uint64]) -> dict[str, Any]:
    high, low, inc_high, inc_low, has, left = (int(each) for each in bits)
    return {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
        "has_uint32": has,
        "uinteger": left,
    }
