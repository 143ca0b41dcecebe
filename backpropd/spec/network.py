"""What a network is, as a person says it: a graph of dense layers, given or to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag
from pydantic.config import JsonDict

from backpropd.spec.base import Finite, Flag, Matrix, Name, Spec, Text, Vector, by_name
from backpropd.spec.faults import Fault, pointer_to, unknown_name
from backpropd.spec.limits import LIMITS
from backpropd.spec.names import ActivationName

INPUTS = "inputs"
Width = Annotated[int, Field(strict=True, ge=1, le=LIMITS.units)]


class GlorotUniformSpec(Spec):
    """U(-r, r), r = sqrt(6 / (fan_in + fan_out)); Glorot & Bengio 2010."""

    name: Literal["glorot_uniform"] = "glorot_uniform"


class GlorotNormalSpec(Spec):
    """N(0, 2 / (fan_in + fan_out)); Glorot & Bengio 2010."""

    name: Literal["glorot_normal"] = "glorot_normal"


class HeUniformSpec(Spec):
    """U(-r, r), r = sqrt(6 / fan_in); He et al. 2015."""

    name: Literal["he_uniform"] = "he_uniform"


class HeNormalSpec(Spec):
    """N(0, 2 / fan_in); He et al. 2015."""

    name: Literal["he_normal"] = "he_normal"


class UniformSpec(Spec):
    """U(low, high), as the classic papers give it."""

    name: Literal["uniform"] = "uniform"
    low: Finite = Field(default=-0.5, description="The smallest value.")
    high: Finite = Field(default=0.5, description="Above every value; more than low.")

    def faults(self) -> Iterable[Fault]:
        if not self.low < self.high:
            yield Fault("/high", "out_of_range", f"high ({self.high}) is above low ({self.low}).")


class NormalSpec(Spec):
    """N(mean, std^2)."""

    name: Literal["normal"] = "normal"
    mean: Finite = Field(default=0.0, description="The mean.")
    std: Annotated[Finite, Field(gt=0)] = Field(default=0.1, description="Standard deviation.")


class ConstantSpec(Spec):
    """Every entry the same."""

    name: Literal["constant"] = "constant"
    value: Finite = Field(default=0.0, description="The value.")


InitSpec = Annotated[
    Annotated[GlorotUniformSpec, Tag("as:glorot_uniform")]
    | Annotated[GlorotNormalSpec, Tag("as:glorot_normal")]
    | Annotated[HeUniformSpec, Tag("as:he_uniform")]
    | Annotated[HeNormalSpec, Tag("as:he_normal")]
    | Annotated[UniformSpec, Tag("as:uniform")]
    | Annotated[NormalSpec, Tag("as:normal")]
    | Annotated[ConstantSpec, Tag("as:constant")],
    Discriminator(by_name),
]


def _without_default(schema: JsonDict) -> None:
    """For the OpenAPI document: the default depends on the layer's place."""
    schema.pop("default")


class LayerSpec(Spec):
    """A dense layer: every unit takes every value of the layers it is fed by."""

    name: Name = Field(
        default="",
        description='Default: "output" for the last, "hidden", "hidden1", ... before.',
        json_schema_extra=_without_default,
    )
    units: Width = Field(description="How many units.")
    activation: ActivationName = Field(description="What makes a unit's output of its net input.")
    sources: tuple[Text, ...] = Field(
        default=(),
        alias="from",
        description='Names of the layers it is fed by, or "inputs"; default: the one before.',
    )
    weights: Matrix | None = Field(
        default=None, description="weights[j][i]: to unit j from input i; drawn where absent."
    )
    biases: Vector | None = Field(default=None, description="One a unit; drawn where absent.")
    init: InitSpec = Field(default=GlorotUniformSpec(), description="How weights are drawn.")
    bias_init: InitSpec = Field(default=ConstantSpec(), description="How biases are drawn.")
    use_bias: Flag = Field(default=True, description="Whether units have a bias.")
    train_weights: Flag = Field(default=True, description="Whether training moves the weights.")
    train_biases: Flag = Field(default=True, description="Whether training moves the biases.")

    def faults(self) -> Iterable[Fault]:
        if self.biases is not None and not self.use_bias:
            yield Fault("/biases", "contradiction", "biases are given, but use_bias is false.")
        elif self.biases is not None and len(self.biases) != self.units:
            detail = f"{len(self.biases)} biases are given for {self.units} units."
            yield Fault("/biases", "shape_mismatch", detail)
        if len(set(self.sources)) != len(self.sources):
            yield Fault("/from", "duplicate", "A layer is fed by each source once.")


class NetworkSpec(Spec):
    """A network definition. The last layer is the output."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "xor",
                    "inputs": 2,
                    "layers": [
                        {"units": 2, "activation": "tanh"},
                        {"units": 1, "activation": "logistic"},
                    ],
                }
            ]
        }
    )

    name: Text | None = Field(default=None, description="For people; need not be unique.")
    inputs: Width = Field(description="How many values one sample has.")
    layers: tuple[LayerSpec, ...] = Field(
        min_length=1, max_length=LIMITS.layers, description="The last one is the output."
    )

    @property
    def outputs(self) -> int:
        """Units of the output layer."""
        return self.layers[-1].units

    def fan_in(self, layer: LayerSpec) -> int:
        """How many values a unit of this layer takes."""
        widths = {INPUTS: self.inputs} | {other.name: other.units for other in self.layers}
        return sum(widths[source] for source in layer.sources)

    @property
    def parameter_count(self) -> int:
        """All weights and biases."""
        return sum(
            layer.units * (self.fan_in(layer) + (1 if layer.use_bias else 0))
            for layer in self.layers
        )

    @property
    def flops_per_sample(self) -> int:
        """Floating point operations of one forward pass: a multiply and an add a weight."""
        return 2 * sum(layer.units * self.fan_in(layer) for layer in self.layers)

    def definition(self) -> dict[str, Any]:
        """The definition with every default filled in, as it is stored and shown."""
        return self.model_dump(mode="json", by_alias=True)

    def layer_shapes(self) -> list[dict[str, Any]]:
        """For each layer its name and the shapes of its arrays."""
        return [
            {
                "name": layer.name,
                "weight": [layer.units, self.fan_in(layer)],
                "bias": [layer.units] if layer.use_bias else None,
            }
            for layer in self.layers
        ]

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Names and sources of layers that have none: a chain from the inputs to the output."""
        layers = raw.get("layers")
        if not isinstance(layers, list | tuple):
            return raw
        filled: list[Any] = []
        before = INPUTS
        for index, given in enumerate(layers):
            if not isinstance(given, dict):
                filled.append(given)
                continue
            name = given.get("name") or _default_name(index, len(layers))
            filled.append({**given, "name": name, "from": given.get("from") or [before]})
            before = str(name)
        return {**raw, "layers": filled}

    @classmethod
    def faults_in(cls, raw: Mapping[str, Any]) -> Iterable[Fault]:
        """Faults of the graph, which can be told whatever else is wrong with its layers."""
        layers = raw.get("layers")
        if not isinstance(layers, list) or len(layers) > LIMITS.layers:
            return
        graph = {
            index: (str(layer["name"]), [s for s in layer["from"] if isinstance(s, str)])
            for index, layer in enumerate(layers)
            if isinstance(layer, dict) and isinstance(layer["from"], list | tuple)
        }
        names = list(_name_faults(graph))
        yield from names or _source_faults(graph)  # who is meant is told by names alone

    def faults(self) -> Iterable[Fault]:
        for index, layer in enumerate(self.layers):
            if layer.weights is not None:
                yield from self._weight_faults(index, layer)
        if self.parameter_count > LIMITS.parameters:
            detail = f"{self.parameter_count:,} parameters; at most {LIMITS.parameters:,}."
            yield Fault("/layers", "too_large", detail)

    def _weight_faults(self, index: int, layer: LayerSpec) -> Iterator[Fault]:
        assert layer.weights is not None
        fan_in = self.fan_in(layer)
        place = pointer_to("layers", index, "weights")
        if len(layer.weights) != layer.units:
            detail = f"{len(layer.weights)} rows for {layer.units} units; one row a unit."
            yield Fault(place, "shape_mismatch", detail)
        for row, weights in enumerate(layer.weights):
            if len(weights) != fan_in:
                detail = f"{len(weights)} weights for a unit that takes {fan_in} values."
                yield Fault(place + pointer_to(row), "shape_mismatch", detail)
                return  # the other rows say the same


def _default_name(index: int, layers: int) -> str:
    if index == layers - 1:
        return "output"
    return "hidden" if layers == 2 else f"hidden{index + 1}"


Graph = Mapping[int, tuple[str, list[str]]]


def _name_faults(graph: Graph) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, (name, _) in graph.items():
        if name in seen:
            detail = f"Two layers are called {name!r}."
            yield Fault(pointer_to("layers", index, "name"), "duplicate", detail)
        if name == INPUTS:
            detail = "'inputs' names the network's inputs; call the layer something else."
            yield Fault(pointer_to("layers", index, "name"), "reserved", detail)
        seen.add(name)


def _source_faults(graph: Graph) -> Iterator[Fault]:
    """Sources that are no layers, cycles, and layers whose output nobody takes."""
    names = [name for name, _ in graph.values()]
    read = {source for _, sources in graph.values() for source in sources}
    known = [INPUTS, *names]
    for index, (_, sources) in graph.items():
        for place, source in enumerate(sources):
            if source not in known:
                pointer = pointer_to("layers", index, "from", place)
                yield Fault(pointer, "unknown_name", unknown_name("layer", source, known))
    try:
        list(TopologicalSorter(dict(graph.values())).static_order())
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        index = next(place for place, (name, _) in graph.items() if name in cycle)
        detail = f"The layers feed each other in a circle: {' -> '.join(cycle)}."
        yield Fault(pointer_to("layers", index, "from"), "cycle", detail)
    last = max(graph, default=None)
    for index, (name, _) in graph.items():
        if index != last and name not in read:
            detail = f"No layer takes the output of {name!r}, and it is not the last one."
            yield Fault(pointer_to("layers", index), "unused_layer", detail)
    if last is not None and graph[last][0] in read:
        detail = f"{graph[last][0]!r} is the last layer, so the output, and feeds another layer."
        yield Fault(pointer_to("layers", last), "output_is_read", detail)
