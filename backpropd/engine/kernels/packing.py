"""How a kernel holds weights: whole vectors, each matrix by its inputs and once more turned round.

The weights from one source into a layer lie as (fan_in, units) with the units padded to whole
vectors, so that net inputs add up lane by lane; those from a layer below also lie turned,
(units, its width), so that deltas add up lane by lane on the way back. Biases are a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array
from backpropd.engine.network import INPUTS, Network
from backpropd.engine.parameters import Window

Table = NDArray[np.int64]

# Columns of the table of layers; row 0 is the inputs.
UNITS, PAD, AT, WEIGHT, BIAS, FIRST, LAST, ACTIVATION, MOVES_WEIGHT, MOVES_BIAS = range(10)
# Columns of the table of sources: from which layer, where its weights lie, how wide it is, where
# they lie turned (-1: nowhere), and whether it is the first to hand deltas down to that layer.
FROM, MATRIX, WIDTH, TURNED, IS_FIRST = range(5)
LAYER_COLUMNS, SOURCE_COLUMNS = 10, 5


LINE = 64  # bytes of a cache line, and of the longest vector


def zeros(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """As np.zeros, but from the start of a cache line: a vector across two takes twice as long."""
    kind = np.dtype(dtype)
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    room = np.zeros(size + LINE // kind.itemsize, kind)
    skipped = -room.ctypes.data % LINE // kind.itemsize
    return room[skipped : skipped + size].reshape(shape)


def aligned(values: Any, dtype: Any) -> Any:
    """A copy of these, of this type, from the start of a cache line."""
    found = zeros(np.shape(values), dtype)
    found[...] = values
    return found


@dataclass(frozen=True, slots=True)
class _Block:
    """A matrix of theta, and where it lies packed."""

    window: Window
    column: int
    width: int
    at: int
    pad: int
    turned: int
    turned_pad: int
    moves: bool


class Packing:
    """One network's tables, and the way from theta (P,) and back."""

    def __init__(self, network: Network, activations: dict[str, int], lanes: int) -> None:
        """`activations` are the codes of the layers' activations."""
        self.network, self.lanes = network, lanes
        self.layers = np.zeros((1 + len(network.order), 10), np.int64)
        self.drop = np.zeros(1 + len(network.order))
        self.blocks: list[_Block] = []
        self._at: dict[str, int] = {INPUTS: 0}
        self.layers[0, [UNITS, PAD]] = network.inputs, self.padded(network.inputs)
        sources: list[list[int]] = []
        self.size, activations_at = 0, self.padded(network.inputs)
        for row, layer in enumerate(network.order, start=1):
            self._at[layer.name] = row
            pad = self.padded(layer.units)
            first = len(sources)
            weight_at = self.size
            window = network.layout.window[f"{layer.name}.weight"]
            column = 0
            for source in layer.sources:
                width = int(self.layers[self._at[source], UNITS])
                self.blocks.append(
                    _Block(window, column, width, self.size, pad, -1, 0, layer.train_weights)
                )
                sources.append([self._at[source], self.size, width, -1, 0])
                self.size += width * pad
                column += width
            bias = -1
            if layer.use_bias:
                bias = self.size
                own = network.layout.window[f"{layer.name}.bias"]
                self.blocks.append(_Block(own, 0, 1, bias, pad, -1, 0, layer.train_biases))
                self.size += pad
            self.layers[row] = (
                layer.units,
                pad,
                activations_at,
                weight_at,
                bias,
                first,
                len(sources),
                activations[layer.name],
                layer.train_weights,
                layer.train_biases and layer.use_bias,
            )
            self.drop[row] = layer.dropout
            activations_at += pad
        self.sources = np.array(sources, np.int64)
        self.width = activations_at  # of one sample's values, over all layers
        self._turn()

    def padded(self, units: int) -> int:
        """So many units in whole vectors."""
        return -(-units // self.lanes) * self.lanes

    def pack(self, vector: Array) -> Array:
        """(P,) as it is computed with, (size,)."""
        flat: Array = zeros(self.size, vector.dtype)
        for block in self.blocks:
            matrix = self._matrix(block, vector)
            flat[block.at : block.at + block.width * block.pad].reshape(block.width, block.pad)[
                :, : matrix.shape[1]
            ] = matrix
            if block.turned >= 0:
                units = matrix.shape[1]
                end = block.turned + units * block.turned_pad
                turned = flat[block.turned : end].reshape(units, block.turned_pad)
                turned[:, : block.width] = matrix.T
        return flat

    def unpack(self, flat: Array, vector: Array) -> None:
        """Write what training has moved back into (P,)."""
        for block in self.blocks:
            if not block.moves:
                continue
            units = block.window.shape[0]
            packed = flat[block.at : block.at + block.width * block.pad]
            matrix = packed.reshape(block.width, block.pad)[:, :units]
            stretch = vector[block.window.start : block.window.stop]
            if len(block.window.shape) == 1:
                stretch[:] = matrix[0]
            else:
                columns = slice(block.column, block.column + block.width)
                stretch.reshape(block.window.shape)[:, columns] = matrix.T

    def mask(self) -> Array:
        """(width,): 1 for units, 0 for what fills vectors up."""
        found = np.zeros(self.width)
        for row in self.layers:
            found[row[AT] : row[AT] + row[UNITS]] = 1
        return found

    def rows(self, values: Array) -> Array:
        """Samples (N, I) with whole vectors to a row, end to end."""
        flat: Array = zeros((len(values), self.padded(values.shape[1])), self.network.dtype)
        flat[:, : values.shape[1]] = values
        return flat.ravel()

    def windows(self) -> Table:
        """For clipping: (start, stop) of each weight matrix and bias that is trained."""
        spans: dict[str, tuple[int, int]] = {}
        for block in self.blocks:
            if block.moves:
                end = block.at + block.width * block.pad
                start, stop = spans.get(block.window.name, (block.at, end))
                spans[block.window.name] = (min(start, block.at), max(stop, end))
        return np.array(list(spans.values()), np.int64).reshape(-1, 2)

    def _matrix(self, block: _Block, vector: Array) -> Array:
        values = block.window.view(vector)
        if values.ndim == 1:
            return values[None, :]
        return values[:, block.column : block.column + block.width].T

    def _turn(self) -> None:
        """Find room for the turned matrices, and who is first to hand deltas down."""
        matrices = [k for k, block in enumerate(self.blocks) if len(block.window.shape) == 2]
        seen: set[int] = set()
        for place in reversed(range(len(self.sources))):
            source = int(self.sources[place, FROM])
            if source == 0:
                continue
            k = matrices[place]
            block, units = self.blocks[k], self.blocks[k].window.shape[0]
            turned_pad = int(self.layers[source, PAD])
            self.blocks[k] = _Block(
                block.window,
                block.column,
                block.width,
                block.at,
                block.pad,
                self.size,
                turned_pad,
                block.moves,
            )
            self.sources[place, TURNED] = self.size
            self.sources[place, IS_FIRST] = source not in seen
            seen.add(source)
            self.size += units * turned_pad
