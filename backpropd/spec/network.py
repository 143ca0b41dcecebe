"""What a network is, as a person says it: a graph of dense layers, given or to be drawn."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from backpropd.spec.base import Finite, Flag, Matrix, Name, Spec, Text, Vector
from backpropd.spec.faults import Fault, pointer_to, unknown_name
from backpropd.spec.limits import LIMITS
from backpropd.spec.parts import ActivationChoice, InitChoice, NormalizationChoice, standard

INPUTS = "inputs"
Width = Annotated[int, Field(strict=True, ge=1, le=LIMITS.units)]


Share = Annotated[Finite, Field(ge=0, lt=1)]
NotNegative = Annotated[Finite, Field(ge=0)]
Tie = Annotated[int, Field(strict=True, ge=-LIMITS.parameters, le=LIMITS.parameters)]
Ties = Annotated[tuple[Annotated[tuple[Tie, ...], Field(min_length=1)], ...], Field(min_length=1)]


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
    activation: ActivationChoice = Field(description="What makes a unit's output of its net input.")
    sources: tuple[Text, ...] = Field(
        default=(),
        alias="from",
        description='Names of the layers it is fed by, or "inputs"; default: the one before.',
    )
    weights: Matrix | None = Field(
        default=None, description="weights[j][i]: to unit j from input i; drawn where absent."
    )
    biases: Vector | None = Field(default=None, description="One a unit; drawn where absent.")
    init: InitChoice = Field(
        default=standard("init", "glorot_uniform"), description="How weights are drawn."
    )
    bias_init: InitChoice = Field(
        default=standard("init", "constant"), description="How biases are drawn."
    )
    use_bias: Flag = Field(default=True, description="Whether units have a bias.")
    share_bias: Flag = Field(default=False, description="One bias for all units of the layer.")
    train_weights: Flag = Field(default=True, description="Whether training moves the weights.")
    train_biases: Flag = Field(default=True, description="Whether training moves the biases.")
    tied: Ties | None = Field(
        default=None,
        description="tied[j][i], like weights: connections with one number share a weight, -k is "
        "the opposite of k, and 0 is no connection.",
    )
    mask: Ties | None = Field(
        default=None, description="mask[j][i], like weights: 1 where there is a connection, else 0."
    )
    normalization: NormalizationChoice | None = Field(
        default=None, description="Of net inputs, before the activation."
    )
    dropout: Share = Field(
        default=0.0, description="The share of outputs that are 0 in a training step; inverted."
    )
    noise: NotNegative = Field(
        default=0.0, description="Deviation of normal noise added to outputs in training."
    )
    l1: NotNegative = Field(default=0.0, description="Adds l1 * sum |w| to what is made small.")
    l2: NotNegative = Field(default=0.0, description="Adds l2 / 2 * sum w^2.")
    max_norm: Annotated[Finite, Field(gt=0)] | None = Field(
        default=None, description="The longest that the weights into one unit may be."
    )

    @property
    def ties(self) -> Ties | None:
        """Which connections share a weight, whether said by `tied` or by `mask`; numbers from 1.

        With a mask every connection has a weight of its own.
        """
        if self.mask is not None:
            count = itertools.count(1)
            return tuple(tuple(next(count) if one else 0 for one in row) for row in self.mask)
        if self.tied is None:
            return None
        found = sorted({abs(tie) for row in self.tied for tie in row if tie})
        place = {tie: index for index, tie in enumerate(found, start=1)} | {0: 0}
        return tuple(
            tuple(place[abs(tie)] * (1 if tie > 0 else -1) for tie in row) for row in self.tied
        )

    def faults(self) -> Iterable[Fault]:
        if self.biases is not None and not self.use_bias:
            yield Fault("/biases", "contradiction", "biases are given, but use_bias is false.")
        elif self.biases is not None and len(self.biases) != self.units:
            detail = f"{len(self.biases)} biases are given for {self.units} units."
            yield Fault("/biases", "shape_mismatch", detail)
        if len(set(self.sources)) != len(self.sources):
            yield Fault("/from", "duplicate", "A layer is fed by each source once.")
        yield from self._tie_faults()

    def _tie_faults(self) -> Iterator[Fault]:
        if self.mask is not None and self.tied is not None:
            detail = "Give `tied` or `mask`; a 0 in `tied` is no connection, too."
            yield Fault("/mask", "contradiction", detail)
        if self.mask is not None and {one for row in self.mask for one in row} - {0, 1}:
            yield Fault("/mask", "out_of_range", "A mask is of 0 and 1.")
        if self.max_norm is not None and (self.mask or self.tied):
            detail = "max_norm shortens the weights of whole units, which `tied` and `mask` forbid."
            yield Fault("/max_norm", "contradiction", detail)
        if self.share_bias and not self.use_bias:
            yield Fault("/share_bias", "contradiction", "There is no bias: use_bias is false.")
        if self.share_bias and self.biases is not None and len(set(self.biases)) > 1:
            yield Fault("/biases", "contradiction", "share_bias is true, so all are equal.")


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
    input_noise: NotNegative = Field(
        default=0.0, description="Deviation of normal noise added to inputs in training."
    )
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
        """Weights, biases and all else that lies in theta; what is shared counts once."""
        return sum(self._parameters_of(layer) for layer in self.layers)

    def _parameters_of(self, layer: LayerSpec) -> int:
        ties = layer.ties
        weights = layer.units * self.fan_in(layer)
        if ties is not None:
            weights = max(abs(tie) for row in ties for tie in row)
        biases = (1 if layer.share_bias else layer.units) if layer.use_bias else 0
        return weights + biases + len(_other_arrays(layer)) * layer.units

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
                "others": {name: [layer.units] for name in _other_arrays(layer)},
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
            for field in ("weights", "tied", "mask"):
                if getattr(layer, field) is not None:
                    yield from self._shape_faults(index, layer, field)
        yield from self._output_faults()
        if self.parameter_count > LIMITS.parameters:
            detail = f"{self.parameter_count:,} parameters; at most {LIMITS.parameters:,}."
            yield Fault("/layers", "too_large", detail)

    def _shape_faults(self, index: int, layer: LayerSpec, field: str) -> Iterator[Fault]:
        rows = getattr(layer, field)
        fan_in = self.fan_in(layer)
        place = pointer_to("layers", index, field)
        if len(rows) != layer.units:
            detail = f"{len(rows)} rows for {layer.units} units; one row a unit."
            yield Fault(place, "shape_mismatch", detail)
        for row, values in enumerate(rows):
            if len(values) != fan_in:
                detail = f"{len(values)} {field} for a unit that takes {fan_in} values."
                yield Fault(place + pointer_to(row), "shape_mismatch", detail)
                return  # the other rows say the same
        if field == "weights" and len(rows) == layer.units:
            yield from self._given_tie_faults(place, layer)

    def _given_tie_faults(self, place: str, layer: LayerSpec) -> Iterator[Fault]:
        """Weights that are given must be what `tied` or `mask` say of them."""
        ties = layer.ties
        assert layer.weights is not None
        if ties is None or [len(row) for row in ties] != [len(row) for row in layer.weights]:
            return
        first: dict[int, float] = {}
        for j, (row, row_of_ties) in enumerate(zip(layer.weights, ties, strict=True)):
            for i, (weight, tie) in enumerate(zip(row, row_of_ties, strict=True)):
                said = weight if tie >= 0 else -weight
                shared = first.setdefault(abs(tie), said) if tie else 0.0
                if said != shared:
                    detail = f"{weight} is given, but tied or masked it is {shared}, sign apart."
                    yield Fault(place + pointer_to(j, i), "contradiction", detail)
                    return

    def _output_faults(self) -> Iterator[Fault]:
        last = len(self.layers) - 1
        for field in ("dropout", "noise"):
            if getattr(self.layers[-1], field):
                detail = f"The output layer has no {field}: the loss needs its outputs as they are."
                yield Fault(pointer_to("layers", last, field), "contradiction", detail)


def _other_arrays(layer: LayerSpec) -> list[str]:
    """What a layer has beside weights and biases: one number a unit each."""
    normalization = [] if layer.normalization is None else layer.normalization.part.arrays
    return [*normalization, *layer.activation.part.learned]


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
