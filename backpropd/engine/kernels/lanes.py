"""How the swarm kernel holds networks of one shape: weight by weight, a network in each lane.

Weights stay in the order of theta (P,); only the tables, which say where each matrix lies, belong
to the shape. Places are counted in numbers, so that each is a multiple of the lanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.kernels.course import bits_of, state_of
from backpropd.engine.kernels.packing import zeros
from backpropd.engine.kernels.traced import Traced
from backpropd.engine.many import Member
from backpropd.engine.metrics import Tally
from backpropd.engine.network import INPUTS, Network
from backpropd.engine.order import epoch_order
from backpropd.engine.state import generator
from backpropd.engine.training import Data, Training

ROWS = 4  # samples that are fetched, or multiplied, at a time
BEST_COLUMNS = {"loss": 1, "val_loss": 2}  # whose best epoch the kernel itself keeps

# Columns of the table of layers, row 0 of which is the inputs. STRIDE: from the weights of a unit
# to those of the next one.
UNITS, AT, STRIDE, BIAS, FIRST, LAST, ACTIVATION, MOVES_WEIGHT, MOVES_BIAS, BIAS_STRIDE = range(10)
# Columns of the table of sources: from which layer, where its weights lie, how wide it is, whether
# deltas are handed down to it, and whether it is the first that hands them down to that layer.
FROM, MATRIX, WIDTH, HANDS_DOWN, IS_FIRST = range(5)

# Places in `control`; rows of `steps` and of `reals`, which have a number for each lane.
EPOCHS, BATCH, KEEPS_BEST, WIDTH_OF_ALL, _, _, _, RATES_PER = range(8)
STEP, BEST_EPOCH = range(2)
TOTAL, LAST_LOSS, BEST_VALUE, BATCH_LOSS = range(4)

# What the kernel's module is told of all this.
CONSTANTS = {
    name: globals()[name]
    for name in (
        *("UNITS", "AT", "STRIDE", "BIAS", "FIRST", "LAST", "ACTIVATION", "MOVES_WEIGHT"),
        *("MOVES_BIAS", "BIAS_STRIDE", "FROM", "MATRIX", "WIDTH", "HANDS_DOWN", "IS_FIRST", "ROWS"),
        *("BEST_EPOCH", "BATCH_LOSS", "KEEPS_BEST", "WIDTH_OF_ALL"),
    )
}


class Shape:
    """The tables of a network's shape."""

    def __init__(self, network: Network, activations: dict[str, int], lanes: int) -> None:
        """`activations` are the codes of the layers' activations."""
        self.layers = np.zeros((1 + len(network.order), 10), np.int64)
        self.layers[0, UNITS] = network.inputs
        row_of, at = {INPUTS: 0}, network.inputs
        sources: list[list[int]] = []
        windows: list[tuple[int, int]] = []
        for row, layer in enumerate(network.order, start=1):
            row_of[layer.name] = row
            window = network.layout.window[f"{layer.name}.weight"]
            first, column = len(sources), 0
            for source in layer.sources:
                width = int(self.layers[row_of[source], UNITS])
                sources.append([row_of[source], (window.start + column) * lanes, width, 0, 0])
                column += width
            bias, apart = -1, 0
            moves_bias = layer.use_bias and layer.train_biases
            if layer.train_weights:
                windows.append((window.start * lanes, window.stop * lanes))
            if layer.use_bias:
                own = network.layout.window[f"{layer.name}.bias"]
                bias = own.start * lanes
                apart = lanes if own.stop - own.start == layer.units else 0  # one for all units
                if moves_bias:
                    windows.append((bias, own.stop * lanes))
            places = (layer.units, at * lanes, column * lanes, bias, first, len(sources))
            moves = (activations[layer.name], layer.train_weights, moves_bias, apart)
            self.layers[row] = (*places, *moves)
            at += layer.units
        self.sources = np.array(sources, np.int64)
        self._hand_down()
        self.windows = np.array(windows, np.int64).reshape(-1, 2)
        self.width = at * lanes  # of one sample's values, over all layers
        self.widest = int(self.layers[:, UNITS].max())

    def _hand_down(self) -> None:
        """Who hands deltas down to whom, from the top."""
        seen = {0}
        for place in reversed(range(len(self.sources))):
            below = int(self.sources[place, FROM])
            self.sources[place, HANDS_DOWN] = below != 0
            self.sources[place, IS_FIRST] = below not in seen
            seen.add(below)

    @property
    def key(self) -> bytes:
        """Equal for networks that may lie side by side."""
        return self.layers.tobytes() + self.sources.tobytes() + self.windows.tobytes()


def side_by_side(vectors: Sequence[Array], lanes: int) -> Array:
    """Vectors (P,), one to a lane; what is left over holds the first one again."""
    flat = zeros(len(vectors[0]) * lanes, vectors[0].dtype)
    beside = flat.reshape(-1, lanes)
    for lane, vector in enumerate(vectors):
        beside[:, lane] = vector
    beside[:, len(vectors) :] = beside[:, :1]
    return flat


def lane_of(flat: Array, lane: int, lanes: int) -> Array:
    """The vector (P,) that lies in a lane: a view."""
    found: Array = flat.reshape(-1, lanes)[:, lane]
    return found


class Lanes:
    """All that a crew of networks needs while it is trained, each in its lane."""

    def __init__(
        self, members: Sequence[Member], data: Data, traces: Sequence[Traced], seats: int
    ) -> None:
        """`traces` are of the members, in their order; all stand at the same batch of an epoch.

        Raises ValueError where a shape is not the network's: a kernel looks at no bounds.
        """
        for name, found, right in _shapes(members, data):
            if found != right:
                raise ValueError(f"{name} has shape {found}, the network takes {right}")
        self.all, self.data, self.seats = list(members), data, seats
        first = members[0].training
        self.network, self.dtype = first.network, first.network.dtype
        self.shape = Shape(self.network, traces[0].activations, seats)
        self.samples, self.batch_size = len(data.inputs), batch_size_of(first, data)
        self.batches = math.ceil(self.samples / self.batch_size)
        self.tallies = [Tally(m.training.metrics, self.network.outputs) for m in members]
        self.order_rngs: dict[int, np.random.Generator] = {}
        self._make_settings(traces)
        self._make_room()
        self._take_states()

    def _make_settings(self, traces: Sequence[Traced]) -> None:
        """What the kernel reads of each network, and never changes."""
        seats, dtype = self.seats, self.dtype
        trainings = [member.training for member in self.all]
        networks = [training.network for training in trainings]

        def beside(vectors: Sequence[Any], kind: Any = dtype) -> Array:
            return side_by_side([np.asarray(each, kind) for each in vectors], seats)

        self.p = beside([each.settings or [0.0] for each in traces])
        self.q = beside([each.plain or [0.0] for each in traces], np.float64)
        self.c = zeros((traces[0].moments + 1) * seats, dtype)
        penalties = [each.penalty for each in networks]
        self.l1 = beside([[0.0] if each is None else each.l1 for each in penalties])
        self.l2 = beside([[0.0] if each is None else each.l2 for each in penalties])
        self.drop_rates = beside([[0.0, *(each.dropout for each in n.order)] for n in networks])
        self.most = beside([[getattr(each.clip, "most", math.nan)] for each in trainings])

    def _make_room(self) -> None:
        """The data, and what the kernel writes on the way."""
        data, seats, dtype, width = self.data, self.seats, self.dtype, self.shape.width
        outputs = self.network.outputs

        def flat(values: Array | None) -> Array:
            return np.ascontiguousarray([0.0] if values is None else values, dtype).ravel()

        self.X, self.T = flat(data.inputs), flat(data.targets)
        self.VX, self.VT = flat(data.validation_inputs), flat(data.validation_targets)
        self.weights = flat(data.weights)
        rows = max(ROWS, self.batch_size)
        self.z, self.y, self.d = (zeros(rows * width, dtype) for _ in range(3))
        self.kept, self.o = zeros(seats, dtype), self.y
        if self.drop_rates.any():
            self.kept, self.o = (zeros(rows * width, dtype) for _ in range(2))
            self.kept[:] = 1
        self.t = zeros(rows * outputs * seats, dtype)
        self.counts = zeros(rows * seats, dtype)
        self.scratch = zeros(16 * self.shape.widest * seats, dtype)
        self.gradient = zeros(self.network.parameter_count * seats, dtype)
        keeps = bool(self.tallies[0].metrics)
        self.outputs = zeros((self.samples if keeps else 1) * outputs * seats, dtype)
        self.val_outputs = zeros((len(self.VT) if keeps else 1) * seats, dtype)
        self.control = np.zeros(8, np.int64)
        self.control[KEEPS_BEST] = best_of(self.all[0].training)
        self.control[WIDTH_OF_ALL] = width
        self.steps = np.zeros((2, seats), np.int64)
        self.reals = zeros(4 * seats, np.float64).reshape(4, seats)
        self.reals[:] = math.nan

    def _take_states(self) -> None:
        """From the states as they are kept to what the kernel has."""
        seats, states = self.seats, [member.state for member in self.all]
        self.theta = side_by_side([each.theta for each in states], seats)
        slots = [
            side_by_side(list(each), seats)
            for each in zip(*(each.slots for each in states), strict=True)
        ]
        self.slots = zeros(max(len(slots), 1) * self.theta.size, self.dtype)
        for k, slot in enumerate(slots):
            self.slots[k * slot.size : (k + 1) * slot.size] = slot
        self.start = side_by_side([each.epoch_theta for each in states], seats)
        best = [s.theta if s.best_theta is None else s.best_theta for s in states]
        self.best = side_by_side(best, seats)
        self.new_best: set[int] = set()
        self.sums = [list(s.sums) or t.zeros() for s, t in zip(states, self.tallies, strict=True)]
        self.control[BATCH] = states[0].batch
        self.orders = np.tile(np.arange(self.samples, dtype=np.int32), (seats, 1))
        self.order_bits = np.zeros((seats, 12), np.uint64)
        self.noise_bits = np.zeros((seats, 6), np.uint64)
        self.reals[[TOTAL, BATCH_LOSS]] = 0.0
        for lane, (member, state) in enumerate(zip(self.all, states, strict=True)):
            self.order_bits[lane] = np.tile(bits_of(state.order), 2)
            self.noise_bits[lane] = bits_of(state.noise)
            if state.batch or member.training.order == "with_replacement":
                self.order_rngs[lane] = generator(state.order)
            if state.batch:
                self._draw(lane)
                self.order_bits[lane, :6] = bits_of(self.order_rngs[lane].bit_generator.state)
            self.steps[STEP, lane] = state.step
            self.reals[TOTAL, lane] = state.sums[0] if state.sums else 0.0
            if state.last_loss is not None:
                self.reals[LAST_LOSS, lane] = state.last_loss
            if state.best_value is not None:
                self.reals[BEST_VALUE, lane] = state.best_value

    def _draw(self, lane: int) -> None:
        order = self.all[lane].training.order
        self.orders[lane] = epoch_order(order, self.samples, self.order_rngs[lane])

    def _give(self, lane: int) -> None:
        """Back to a network's state as it is kept."""
        seats, member = self.seats, self.all[lane]
        state, training, size = member.state, member.training, self.theta.size
        state.theta[:] = lane_of(self.theta, lane, seats)
        for k, slot in enumerate(state.slots):
            slot[:] = lane_of(self.slots[k * size : (k + 1) * size], lane, seats)
        state.epoch_theta[:] = lane_of(self.start, lane, seats) if state.batch else state.theta
        bits = self.order_bits[lane]
        if training.order == "shuffled":
            state.order = state_of(bits[6:] if state.batch else bits[:6])
        elif training.order == "with_replacement" and not state.batch:
            state.order = dict(self.order_rngs[lane].bit_generator.state)
        if self.network.random:
            state.noise = state_of(self.noise_bits[lane])
        state.step = int(self.steps[STEP, lane])
        total = float(self.reals[TOTAL, lane])
        state.sums = [total, *self.sums[lane][1:]] if state.batch else []
        last = float(self.reals[LAST_LOSS, lane])
        state.last_loss = None if math.isnan(last) else last
        if lane in self.new_best:
            state.best_theta = lane_of(self.best, lane, seats).copy()
            self.new_best.remove(lane)

    def _copy(self) -> list[Any]:
        return [array.copy() for array in self._moving()]

    def _put_back(self, kept: list[Any]) -> None:
        for array, copy in zip(self._moving(), kept, strict=True):
            array[:] = copy

    def _moving(self) -> list[Any]:
        """All that a call changes and a later one needs."""
        weights = [self.theta, self.slots, self.start, self.best]
        chance = [self.order_bits, self.noise_bits, self.orders]
        return [*weights, *chance, self.control, self.steps, self.reals]


def _shapes(
    members: Sequence[Member], data: Data
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Every array that is given: its name, its shape, and that which it must have."""
    network, samples = members[0].training.network, len(data.inputs)
    yield "inputs", data.inputs.shape, (samples, network.inputs)
    yield "targets", data.targets.shape, (samples, network.outputs)
    if data.weights is not None:
        yield "weights", data.weights.shape, (samples,)
    if data.validation_inputs is not None and data.validation_targets is not None:
        samples = len(data.validation_inputs)
        yield "validation_inputs", data.validation_inputs.shape, (samples, network.inputs)
        yield "validation_targets", data.validation_targets.shape, (samples, network.outputs)
    size = network.parameter_count
    for member in members:
        state, place = member.state, member.place
        yield f"theta of state {place}", state.theta.shape, (size,)
        yield f"epoch_theta of state {place}", state.epoch_theta.shape, (size,)
        slots = (member.training.optimizer.slots, size)
        yield f"slots of state {place}", state.slots.shape, slots


def batch_size_of(training: Training, data: Data) -> int:
    """How many samples an update sees."""
    return min(training.batch_size or len(data.inputs), len(data.inputs))


def best_of(training: Training) -> int:
    """Whether the kernel keeps the weights of the epoch with the lowest loss, or val_loss."""
    return BEST_COLUMNS.get(training.best or "", 0)
