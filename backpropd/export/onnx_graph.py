"""A trained network as an ONNX graph, with the encoding, the scaling and the classes inside.

Inputs: one tensor `inputs` (N, I) of float32 where every column is a number, else a tensor (N, 1) a
column under its own name, float32 or strings; NaN and "" are missing. Outputs: `outputs` (N, O) in
the targets' own units, and in a classification `label` (N,), strings, and `probabilities` (N, K).
The network computes in float32; scaling is done in float64, where large numbers lose nothing.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from backpropd.export.model import InputColumn, Model, needed
from backpropd.export.steps import LayerSteps, Result, Step

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9
NAMED = {
    "negative": "Neg",
    "absolute": "Abs",
    "exp": "Exp",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "erf": "Erf",
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "where": "Where",
}
OVER_UNITS = {"max": "ReduceMax", "sum": "ReduceSum", "mean": "ReduceMean"}


def to_onnx(model: Model) -> bytes:
    """The file. Raises NotExportable for a part that cannot be written, and MissingExtra."""
    return _Graph(model).file()


class _Graph:
    """Nodes and constants, as they are written."""

    def __init__(self, model: Model) -> None:
        self.onnx: Any = needed("onnx", "export")
        self.model = model
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def file(self) -> bytes:
        """The whole model."""
        helper = self.onnx.helper
        outputs = self._outputs(self._network(self._encoded()))
        graph = helper.make_graph(
            self.nodes, "backpropd", self.inputs, outputs, initializer=self.constants
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        made = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="backpropd"
        )
        about = {key: str(value) for key, value in self.model.about.items()}
        helper.set_model_props(made, about | {"targets": json.dumps(self.model.targets)})
        self.onnx.checker.check_model(made, full_check=True)
        content: bytes = made.SerializeToString(deterministic=True)
        return content

    def node(self, kind: str, *inputs: str, domain: str = "", out: str = "", **options: Any) -> str:
        """Add an operation; the name of what it gives."""
        out = out or f"t{len(self.nodes)}"
        made = self.onnx.helper.make_node(kind, inputs, [out], domain=domain, **options)
        self.nodes.append(made)
        return out

    def constant(self, value: Any, dtype: Any) -> str:
        """Add an array; its name."""
        name = f"c{len(self.constants)}"
        array = np.asarray(value, dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        """The same numbers in another type."""
        return self.node(
            "Cast", value, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        )

    def _input(self, name: str, dtype: Any, width: int) -> str:
        kind = self.onnx.TensorProto.STRING if dtype is str else self._kind(dtype)
        shape = [None, width]
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def _kind(self, dtype: Any) -> int:
        kind: int = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return kind

    def _encoded(self) -> str:
        """(N, I) of float32, as the network takes it."""
        columns = self.model.columns
        if all(column.categories is None for column in columns):
            X = self.cast(self._input("inputs", np.float32, len(columns)), np.float64)
            X = self._filled(X, slice(0, len(columns)))
        else:
            parts, start = [], 0
            for column in columns:
                place = slice(start, start + column.width)
                start = place.stop
                encode = self._number if column.categories is None else self._words
                parts.append(encode(column, place))
            X = self.node("Concat", *parts, axis=1)
        scaling = self.model.scaling()
        if scaling is not None:
            shift, scale = scaling
            X = self.node("Sub", X, self.constant(shift, np.float64))
            X = self.node("Div", X, self.constant(scale, np.float64))
        return self.cast(X, np.float32)

    def _number(self, column: InputColumn, place: slice) -> str:
        return self._filled(self.cast(self._input(column.name, np.float32, 1), np.float64), place)

    def _filled(self, X: str, place: slice) -> str:
        if self.model.fill is None:
            return X
        fill = self.constant(self.model.fill[None, place], np.float64)
        return self.node("Where", self.node("IsNaN", X), fill, X)

    def _words(self, column: InputColumn, place: slice) -> str:
        """One-hot, by a matrix that says what a missing word and an unseen one become."""
        words = list(column.categories or ())
        hot = self.node(
            "OneHotEncoder",
            self._input(column.name, str, 1),
            domain="ai.onnx.ml",
            cats_strings=[*words, ""],
            zeros=1,
        )
        flat = self.node("Reshape", hot, self.constant([-1, len(words) + 1], np.int64))
        fill = np.zeros(len(words)) if self.model.fill is None else self.model.fill[place]
        seen = np.array([k not in self.model.unseen for k in range(place.start, place.stop)])
        matrix = np.vstack([np.eye(len(words)), fill]) * seen
        return self.node("MatMul", self.cast(flat, np.float64), self.constant(matrix, np.float64))

    def _network(self, X: str) -> str:
        found = {"inputs": X}
        for layer in self.model.layers:
            fed = [found[source] for source in layer.sources]
            net = fed[0] if len(fed) == 1 else self.node("Concat", *fed, axis=1)
            weight = self.constant(layer.weight, np.float32)
            bias = () if layer.bias is None else (self.constant(layer.bias, np.float32),)
            net = self.node("Gemm", net, weight, *bias, transB=1)
            found[layer.name] = self._steps(layer, net)
        return found[self.model.output_layer]

    def _steps(self, layer: LayerSteps, net: str) -> str:
        results = {0: net}
        for step in layer.steps:
            arguments = [
                results[each.number]
                if isinstance(each, Result)
                else self.constant(each, np.float32)
                for each in step.arguments
            ]
            results[step.result] = self._step(step, arguments)
        return results[layer.output]

    def _step(self, step: Step, arguments: list[str]) -> str:
        if step.operation in NAMED:
            return self.node(NAMED[step.operation], *arguments)
        if step.operation in OVER_UNITS:
            return self._over_units(OVER_UNITS[step.operation], arguments[0])
        one = self.constant(1, np.float32)
        if step.operation == "expm1":
            return self.node("Sub", self.node("Exp", *arguments), one)
        if step.operation == "log1p":
            return self.node("Log", self.node("Add", *arguments, one))
        if step.operation == "cast":
            return self.cast(arguments[0], np.float32)
        assert step.operation == "variance"
        apart = self.node("Sub", arguments[0], self._over_units("ReduceMean", arguments[0]))
        return self._over_units("ReduceMean", self.node("Mul", apart, apart))

    def _over_units(self, kind: str, argument: str) -> str:
        return self.node(kind, argument, self.constant([1], np.int64), keepdims=1)

    def _outputs(self, Y: str) -> list[Any]:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        scaling = self.model.scaling("target_scaling")
        if scaling is not None:
            shift, scale = scaling
            Y = self.node("Mul", self.cast(Y, np.float64), self.constant(scale, np.float64))
            Y = self.cast(self.node("Add", Y, self.constant(shift, np.float64)), np.float32)
        width = self.model.network.outputs
        Y = self.node("Identity", Y, out="outputs")
        told = [helper.make_tensor_value_info("outputs", kinds.FLOAT, [None, width])]
        classes = self.model.classes
        if classes is None:
            return told
        if width == 1:  # one output: how far it is the second class
            other = self.node("Sub", self.constant(1, np.float32), Y)
            P = self.node("Concat", other, Y, axis=1, out="probabilities")
        else:
            P = self.node("Identity", Y, out="probabilities")
        best = self.node("ArgMax", P, axis=1, keepdims=0)
        names = self.constant(np.array(classes, dtype=object), object)
        self.node("Gather", names, best, out="label")
        return [
            *told,
            helper.make_tensor_value_info("label", kinds.STRING, [None]),
            helper.make_tensor_value_info("probabilities", kinds.FLOAT, [None, len(classes)]),
        ]
