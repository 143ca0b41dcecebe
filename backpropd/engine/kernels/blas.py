"""Large layers: BLAS multiplies into arrays that are there already, and one compiled pass each does
the rest.

The loop over batches is Course's. Where the textbook's code makes new arrays for every step of a
formula, this one makes none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.kernels import generated
from backpropd.engine.kernels.course import Module, bits_of, constants_of, state_of
from backpropd.engine.kernels.packing import aligned, zeros
from backpropd.engine.kernels.traced import trace
from backpropd.engine.kernels.vectors import lanes_of
from backpropd.engine.network import INPUTS, Layer
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm
from backpropd.engine.state import TrainingState
from backpropd.engine.training import Course, Data, Training


def module_of(training: Training, data: Data, *, build: str) -> Module:
    """The module for these parts; raises Untraceable."""
    traced = trace(training, across=False)
    constants = constants_of(training, data, traced)
    dtype = training.network.dtype.name
    loops = ("chance", "blas")
    text = generated.source(traced.source, loops, dtype=dtype, build=build, constants=constants)
    return Module(text, traced, lanes_of(dtype, build))


class BlasCourse(Course):
    """Course, with a batch computed in place."""

    def __init__(
        self, training: Training, data: Data, state: TrainingState, module: Module
    ) -> None:
        super().__init__(training, data, state)
        self.code, self.traced = module.loaded(), module.traced
        lanes = self.lanes = module.lanes
        network, dtype = self.network, self.network.dtype
        self.p = aligned(np.repeat(self.traced.settings or [0.0], lanes), dtype)
        self.q = np.repeat(np.array(self.traced.plain or [0.0]), lanes)
        self.c = zeros((self.traced.moments + 1) * lanes, dtype)
        self.by_norm = isinstance(training.clip, ClipNorm | ClipGlobalNorm)
        self.X = np.ascontiguousarray(data.inputs, dtype)
        pad = self._padded(network.outputs)
        targets = zeros((self.samples, pad), dtype)
        targets[:, : network.outputs] = data.targets
        self.T = targets.ravel()
        self.weights = zeros(1, dtype) if data.weights is None else data.weights.astype(dtype)
        self._give_room(state)
        rows = self.batch_size
        self.z, self.y, self.o, self.d, self.kept, self.mask = {}, {}, {}, {}, {}, {}
        for layer in network.order:
            shape = (rows, self._padded(layer.units))
            self.z[layer.name], self.y[layer.name] = zeros(shape, dtype), zeros(shape, dtype)
            self.d[layer.name] = zeros(shape, dtype)
            dropped = bool(layer.dropout)
            self.o[layer.name] = zeros(shape, dtype) if dropped else self.y[layer.name]
            self.kept[layer.name] = zeros(shape if dropped else 1, dtype)
            mask = zeros(shape[1], dtype)
            mask[: layer.units] = 1
            self.mask[layer.name] = mask
        self.inputs = zeros((rows, network.inputs), dtype)
        self.side_by_side: dict[str, Any] = {
            layer.name: zeros((rows, network.fan_in(layer.name)), dtype)
            for layer in network.order
            if len(layer.sources) > 1
        }
        widest = max(shape.shape[1] for shape in self.z.values())
        self.scratch = zeros(16 * widest, dtype)

    def _padded(self, units: int) -> int:
        return -(-units // self.lanes) * self.lanes

    def _give_room(self, state: TrainingState) -> None:
        """theta, slots and gradient with a whole vector's room at their end."""
        size, dtype = state.theta.size, state.theta.dtype
        stride = self._padded(size) + self.lanes
        theta, slots = zeros(stride, dtype), zeros((max(1, len(state.slots)), stride), dtype)
        theta[:size] = state.theta
        slots[: len(state.slots), :size] = state.slots
        state.theta, state.slots = theta[:size], slots[: len(state.slots), :size]
        self.theta, self.slots, self.stride = theta, slots.ravel(), stride
        self.whole_gradient = zeros(stride, dtype)
        self.gradient = self.whole_gradient[:size]
        self.l1, self.l2 = zeros(stride, dtype), zeros(stride, dtype)
        if self.network.penalty is not None:
            self.l1[:size], self.l2[:size] = self.network.penalty.l1, self.network.penalty.l2

    def _batch(self, rows: NDArray[np.intp]) -> bool:
        state, count = self.state, len(rows)
        np.take(self.X, rows, axis=0, out=self.inputs[:count], mode="clip")
        fed = {layer.name: self._forward(layer, count) for layer in self.network.order}
        loss = self._head(rows, count)
        if self.tally.metrics:
            output = self.y[self.network.output_layer.name][:count, : self.network.outputs]
            self.tally.add(state.sums, loss, output, self.data.targets[rows])
        else:
            state.sums[0] += loss
        if not math.isfinite(loss):
            state.diverged_in = self._layer_of_first_bad_value(count)
            return False
        state.step += 1
        rose = state.last_loss is not None and loss > state.last_loss
        state.last_loss = loss
        self._backward(fed, count)
        self._descend_all(rose)
        return True

    def _values(self, source: str, count: int) -> Any:
        if source == INPUTS:
            return self.inputs[:count]
        units = self.network.width(source)
        return self.o[source][:count, :units]

    def _forward(self, layer: Layer, count: int) -> Any:
        """Net inputs and outputs of a layer; what it was fed."""
        name, code = layer.name, self.code
        if len(layer.sources) == 1:
            fed = self._values(layer.sources[0], count)
        else:
            fed = self.side_by_side[name][:count]
            parts = [self._values(source, count) for source in layer.sources]
            np.concatenate(parts, axis=1, out=fed)
        z, y = self.z[name], self.y[name]
        pad = z.shape[1]
        weight = self.network.layout.window[f"{name}.weight"].view(self.state.theta)
        np.matmul(fed, weight.T, out=z[:count, : layer.units])
        if layer is not self.network.output_layer:
            code.forward_block(
                self.traced.activations[name], z.ravel(), y.ravel(), self.theta,
                self._bias_at(layer), count, pad, self.mask[name], self.scratch, self.p,
            )  # fmt: skip
            if layer.dropout:
                self._drop(layer, count, y)
        return fed

    def _bias_at(self, layer: Layer) -> int:
        """Where its biases lie in theta; -1 for none."""
        window = self.network.layout.window.get(f"{layer.name}.bias")
        return -1 if window is None else window.start

    def _drop(self, layer: Layer, count: int, y: Any) -> None:
        bits = bits_of(self.noise_rng.bit_generator.state)
        rate = self.network.dtype.type(layer.dropout)
        self.code.drop_block(
            bits, rate, count, layer.units, y.shape[1], y.ravel(),
            self.o[layer.name].ravel(), self.kept[layer.name].ravel(),
        )  # fmt: skip
        self.noise_rng.bit_generator.state = state_of(bits)

    def _head(self, rows: NDArray[np.intp], count: int) -> float:
        layer = self.network.output_layer
        name = layer.name
        z, y, d = self.z[name], self.y[name], self.d[name]
        loss = self.code.head_block(
            z.ravel(), y.ravel(), d.ravel(), self.theta, self._bias_at(layer), self.T,
            self.weights, rows, count, z.shape[1], self.mask[name], self.scratch, self.p,
        )  # fmt: skip
        if layer.dropout:  # drawn for nobody, as in Network.forward
            self._drop(layer, count, y)
        return float(loss)

    def _backward(self, fed: dict[str, Any], count: int) -> None:
        """Every derivative into the gradient, from the output down."""
        windows, gradient, theta = self.network.layout.window, self.gradient, self.state.theta
        reached: set[str] = set()
        for layer in reversed(self.network.order):
            name = layer.name
            d, z = self.d[name], self.z[name]
            if layer is not self.network.output_layer:
                self.code.backward_block(
                    self.traced.activations[name], d.ravel(), z.ravel(), self.y[name].ravel(),
                    self.kept[name].ravel(), count, d.shape[1], self.mask[name], self.scratch,
                    self.p,
                )  # fmt: skip
            delta = d[:count, : layer.units]
            weight = windows[f"{name}.weight"]
            if layer.train_weights:
                np.matmul(delta.T, fed[name], out=weight.view(gradient))
            if layer.use_bias and layer.train_biases:
                self.code.sum_of_rows(
                    d.ravel(), count, d.shape[1], layer.units, self.whole_gradient,
                    windows[f"{name}.bias"].start, self.scratch,
                )  # fmt: skip
            self._hand_down(layer, delta, weight.view(theta), reached)

    def _hand_down(self, layer: Layer, delta: Any, weight: Any, reached: set[str]) -> None:
        """Each source's share of dE/dout; the first share is written, the others are added."""
        start = 0
        for source in layer.sources:
            width = self.network.width(source)
            part = weight[:, start : start + width]
            start += width
            if source == INPUTS:
                continue
            below = self.d[source][: len(delta), :width]
            if source in reached:
                below += delta @ part
            else:
                np.matmul(delta, part, out=below)
                reached.add(source)

    def _descend_all(self, rose: bool) -> None:
        """Update all of theta at once; what is frozen is put back, and counts in no norm."""
        state, code, frozen = self.state, self.code, self.network.frozen
        whole = (0, self.stride - self.lanes, self.p, self.c)
        code.find_moments(self.q, self.c, self._rate(), float(state.step), float(rose))
        if self.by_norm:
            assert self.training.clip is not None
            code.penalize_stretch(self.theta, self.whole_gradient, self.l1, self.l2, *whole)
            if frozen is not None:
                self.gradient[frozen] = 0
            self.training.clip.clip(self.gradient, self.network.layout.windows)
        kept = None if frozen is None else state.theta[frozen]
        code.update_stretch(
            self.theta, self.slots, self.stride, self.whole_gradient, self.l1, self.l2, *whole
        )
        if kept is not None:
            state.theta[frozen] = kept

    def _layer_of_first_bad_value(self, count: int) -> str:
        for layer in self.network.order:
            values = (self.z[layer.name], self.y[layer.name])
            if not all(np.isfinite(each[:count, : layer.units]).all() for each in values):
                return layer.name
        return self.network.output_layer.name
