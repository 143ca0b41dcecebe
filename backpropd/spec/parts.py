"""What may be said of the engine's parts, made from their definitions: nothing stands twice.

A part is chosen by its name, "tanh", or by an object with settings, {"name": "tanh", "slope": 2};
what is left out has the default of the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import AfterValidator, Discriminator, Field, PlainSerializer, Tag, create_model

from backpropd.engine import (
    PARTS,
    Part,
    Registry,
    Setting,
)
from backpropd.spec.base import TAG, TEXT, Finite, Flag, Spec, by_name
from backpropd.spec.faults import Fault

MOST_VALUES = 1000  # of a setting that is a list


class PartSpec(Spec):
    """A part and its settings."""

    name: str

    @property
    def part(self) -> Any:
        """The engine's part with these settings."""
        return _REGISTRY_OF[type(self)][self.name](**self.settings)

    @property
    def settings(self) -> dict[str, Any]:
        """Every number by its name."""
        return self.model_dump(exclude={"name"})

    @property
    def short(self) -> str | dict[str, Any]:
        """The name alone, where every setting is the default's."""
        return self.name if self == type(self)() else self.model_dump(mode="json")  # type: ignore[call-arg]

    def faults(self) -> Iterable[Fault]:
        for setting, detail in self.part.check():
            yield Fault(f"/{setting}", "out_of_range", detail)


_REGISTRY_OF: dict[type[PartSpec], Registry[Any]] = {}


def _annotation(setting: Setting) -> Any:
    if setting.choices is not None:
        return Literal[setting.choices]
    if setting.kind is bool:
        return Flag
    bounds = Field(gt=setting.above, ge=setting.least, lt=setting.below, le=setting.most)
    number: Any = Annotated[int, Field(strict=True)] if setting.kind is int else Finite
    one = Annotated[number, bounds]
    many = Field(min_length=1, max_length=MOST_VALUES)
    return Annotated[tuple[one, ...], many] if setting.many else one


def _spec_of(kind: str, part: type[Part]) -> type[PartSpec]:
    """The model of one part's settings."""
    fields: dict[str, Any] = {
        each.name: (_annotation(each), Field(default=each.default, description=each.meaning))
        for each in part.settings()
    }
    title = "".join(word.capitalize() for word in [*part.name.split("_"), kind, "spec"])
    return create_model(
        title,
        __base__=PartSpec,
        __doc__=f"{part.__doc__}\n\n{part.formula} ({part.source})",
        name=(Literal[part.name], part.name),  # type: ignore[arg-type]
        **fields,
    )


def _specs(kind: str) -> Mapping[str, type[PartSpec]]:
    specs = {name: _spec_of(kind, part) for name, part in PARTS[kind].items()}
    _REGISTRY_OF.update(dict.fromkeys(specs.values(), PARTS[kind]))
    return specs


SPECS = {kind: _specs(kind) for kind in PARTS}


def standard(kind: str, name: str) -> PartSpec:
    """The part of this name with its defaults."""
    return SPECS[kind][name]()  # type: ignore[call-arg]


def _choice(kind: str, *, short: bool) -> Any:
    """The annotation of a field that chooses a part of this kind."""

    def tag(raw: Any) -> str | None:
        return TEXT if isinstance(raw, str) else by_name(raw)

    def full(said: str | PartSpec) -> PartSpec:
        return standard(kind, said) if isinstance(said, str) else said

    names = Annotated[Literal[tuple(SPECS[kind])], Tag(TEXT)]  # type: ignore[valid-type]
    forms = (names, *(Annotated[spec, Tag(TAG + name)] for name, spec in SPECS[kind].items()))
    # As it is shown: by its name alone where that says it all, or always in full.
    shown = (lambda spec: spec.short) if short else (lambda spec: spec.model_dump(mode="json"))
    return Annotated[
        Union[forms],  # noqa: UP007 - made of a tuple
        Discriminator(tag),
        AfterValidator(full),
        PlainSerializer(shown, return_type=Any),
    ]


if TYPE_CHECKING:
    ActivationChoice = PartSpec
    LossChoice = PartSpec
    MetricChoice = PartSpec
    OptimizerChoice = PartSpec
    ScheduleChoice = PartSpec
    InitChoice = PartSpec
    NormalizationChoice = PartSpec
    ClipChoice = PartSpec
else:
    ActivationChoice = _choice("activation", short=True)
    LossChoice = _choice("loss", short=True)
    MetricChoice = _choice("metric", short=True)
    OptimizerChoice = _choice("optimizer", short=False)
    ScheduleChoice = _choice("schedule", short=False)
    InitChoice = _choice("init", short=False)
    NormalizationChoice = _choice("normalization", short=False)
    ClipChoice = _choice("clip", short=False)


def catalog() -> dict[str, list[dict[str, Any]]]:
    """Every part of every kind: what it computes, where that is from, what may be set."""
    return {kind: [_entry(kind, part) for part in PARTS[kind].values()] for kind in PARTS}


def _entry(kind: str, part: type[Part]) -> dict[str, Any]:
    spec = SPECS[kind][part.name]
    schema = spec.model_json_schema()
    return {
        "name": part.name,
        "description": part.__doc__,
        "formula": part.formula,
        "derivative": getattr(part, "derivative", None),
        "source": part.source,
        "defaults": standard(kind, part.name).model_dump(mode="json", exclude={"name"}),
        "schema": schema | {"title": spec.__name__},
    }
