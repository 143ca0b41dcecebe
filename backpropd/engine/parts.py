"""What every part of the engine is: a class with a name in a registry, and settings.

A part is one frozen dataclass. Its formula, source, defaults and bounds stand with it and nowhere
else: the spec, the catalog, the documents and the tests read them from here. The default of a
setting is what the contract fills in; the engine itself takes every number by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One number (or choice, or switch) of a part: what it is by default and what it may be."""

    name: str
    kind: type  # float, int, bool or str
    default: Any
    meaning: str
    above: float | None  # exclusive
    least: float | None  # inclusive
    below: float | None  # exclusive
    most: float | None  # inclusive
    choices: tuple[str, ...] | None
    many: bool  # a list of such values


def setting(
    default: Any,
    meaning: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field of a part. Without a default of its own: who makes the part names every value."""
    many = isinstance(default, tuple)
    bounds = {"above": above, "least": least, "below": below, "most": most}
    about = {"default": default, "meaning": meaning, **bounds, "choices": choices, "many": many}
    return dataclasses.field(metadata={"setting": about})


class Part:
    """What stands in a registry."""

    name: ClassVar[str]
    formula: ClassVar[str]  # as a textbook prints it
    source: ClassVar[str]  # paper and equation, and who does it otherwise

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Its numbers, in the order of the definition."""
        fields = [f for f in dataclasses.fields(cls) if "setting" in f.metadata]  # type: ignore[arg-type]
        return tuple(_setting(field) for field in fields)

    def check(self) -> Iterator[tuple[str, str]]:
        """(setting, sentence) for what is wrong between settings that are each right."""
        yield from ()


def _setting(field: dataclasses.Field[Any]) -> Setting:
    about = field.metadata["setting"]
    sample = about["default"][0] if about["many"] else about["default"]
    return Setting(name=field.name, kind=type(sample), **about)


P = TypeVar("P", bound=Part)


class Registry(Mapping[str, type[P]], Generic[P]):
    """The parts of one kind by name, in the order of their definition."""

    def __init__(self, kind: str) -> None:
        self.kind = kind  # "activation", "optimizer", ...
        self._parts: dict[str, type[P]] = {}

    def add(self, name: str) -> Callable[[type[P]], type[P]]:
        """A decorator that gives a part its name and its place here."""

        def register(part: type[P]) -> type[P]:
            if name in self._parts:
                raise ValueError(f"two parts of kind {self.kind} are called {name}")
            part.name = name
            self._parts[name] = part
            return part

        return register

    def standard(self, name: str, **changes: Any) -> P:
        """The part with the contract's defaults, but for the changes."""
        part = self._parts[name]
        return part(**{each.name: each.default for each in part.settings()} | changes)

    def __getitem__(self, name: str) -> type[P]:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
