"""What a layer does with its net inputs, as a list of steps: its own definition run on a recorder.

An activation or a normalization is written once, with NumPy. Called with a recorder in the place of
an array the same code leaves behind the operations it is made of, which ONNX, PyTorch, Keras and a
predictor's source are then written from. So a new part can be exported without another line; one
that does what no recorder knows is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from backpropd.engine.network import Layer
from backpropd.spec.build import build_network
from backpropd.spec.network import NetworkSpec

Floats = NDArray[np.floating[Any]]

# Operations by NumPy's names; each knows the shapes that NumPy gives it.
ELEMENTWISE = frozenset(
    {
        "negative",
        "absolute",
        "exp",
        "expm1",
        "log1p",
        "sqrt",
        "tanh",
        "sin",
        "cos",
        "erf",
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "maximum",
        "minimum",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "where",
        "cast",
    }
)
OVER_UNITS = frozenset({"max", "sum", "mean", "variance"})  # of each row, kept as a column
CALLED = {"erf (vectorized)": "erf"}


class NotExportable(ValueError):
    """A part does what no other format can say."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation. Arguments are numbers, arrays (units,), and earlier results by number."""

    operation: str
    arguments: tuple[Argument, ...]
    result: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a step gave; 0 is the layer's net input (N, units)."""

    number: int


Argument = float | Floats | Result


@dataclass(frozen=True, slots=True, eq=False)
class LayerSteps:
    """A layer: which layers feed it, its weights, and what becomes of its net inputs."""

    name: str
    sources: tuple[str, ...]
    weight: Floats  # (units, fan_in)
    bias: Floats | None  # (units,)
    steps: tuple[Step, ...]
    output: int  # which result is the layer's output


def layers_of(spec: NetworkSpec, theta: Floats) -> list[LayerSteps]:
    """The layers in an order in which each comes after those that feed it.

    Raises NotExportable for a part that cannot be written as steps.
    """
    network = build_network(spec, dtype=str(theta.dtype))
    views = network.layout.views(theta)
    return [_steps_of(layer, views) for layer in network.order]


def _steps_of(layer: Layer, views: Mapping[str, Floats]) -> LayerSteps:
    recorder = _Recorder()
    Z: Any = _Recorded(recorder, 0)
    part: Any = layer.normalization
    try:
        if part is not None:
            Z, _ = part.forward(Z, layer.own(views, part.arrays), training=False)
        part = layer.activation
        if part.learned:
            part = part.with_learned(layer.own(views, part.learned))
        Y = part.forward(Z)
    except (TypeError, AttributeError, ValueError) as error:
        detail = f"the layer {layer.name!r} can't be exported: {part.name} does {error}"
        raise NotExportable(detail) from None
    assert isinstance(Y, _Recorded)
    return LayerSteps(
        name=layer.name,
        sources=layer.sources,
        weight=views[f"{layer.name}.weight"],
        bias=views[f"{layer.name}.bias"] if layer.use_bias else None,
        steps=tuple(recorder.steps),
        output=Y.number,
    )


class _Recorder:
    """Writes down each operation once."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, operation: str, arguments: tuple[Any, ...]) -> _Recorded:
        if operation not in ELEMENTWISE | OVER_UNITS:
            raise NotExportable(operation)
        said = tuple(map(_argument, arguments))
        self.steps.append(Step(operation, said, len(self.steps) + 1))
        return _Recorded(self, len(self.steps))


class _Recorded(NDArrayOperatorsMixin):
    """Stands for an array (N, units) that is not there yet."""

    def __init__(self, recorder: _Recorder, number: int) -> None:
        self.recorder, self.number = recorder, number
        self.dtype = self  # what it is cast to: the type it has

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = CALLED.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or options:
            raise NotExportable(f"{name}.{method}")
        if name == "positive":
            return inputs[0]
        return self.recorder.add(name, inputs)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if function is np.where and len(args) == 3:
            return self.recorder.add("where", args)
        if function is np.clip and len(args) == 3:
            return np.minimum(np.maximum(args[0], args[1]), args[2])
        raise NotExportable(function.__name__)

    def astype(self, dtype: Any) -> _Recorded:
        """Truth values as numbers; numbers stay what they are."""
        return self.recorder.add("cast", (self,))

    def max(self, *, axis: int, keepdims: bool) -> _Recorded:
        """Of each row."""
        return self._over_units("max", axis, keepdims)

    def sum(self, *, axis: int, keepdims: bool) -> _Recorded:
        """Of each row."""
        return self._over_units("sum", axis, keepdims)

    def mean(self, *, axis: int, keepdims: bool) -> _Recorded:
        """Of each row."""
        return self._over_units("mean", axis, keepdims)

    def var(self, *, axis: int, keepdims: bool) -> _Recorded:
        """Of each row."""
        return self._over_units("variance", axis, keepdims)

    def _over_units(self, operation: str, axis: int, keepdims: bool) -> _Recorded:
        if axis not in (1, -1) or not keepdims:
            raise NotExportable(f"{operation} over another axis than the units")
        return self.recorder.add(operation, (self,))


def _argument(value: Any) -> Argument:
    if isinstance(value, _Recorded):
        return Result(value.number)
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    return float(value)
