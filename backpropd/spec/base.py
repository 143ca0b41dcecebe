"""What every spec has in common: frozen, unknown fields refused, all faults told at once.

Pydantic stops at the first level where something is wrong; `Spec` goes on, so that a person mends
a request once and not fault by fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from backpropd.spec.faults import Fault, Invalid, pointer_to, unknown_name

# A union says by such a tag which of its forms was tried; it is no part of the body's path.
TAG = "as:"
MOST_FAULTS = 100  # of one request; nobody mends more at a time
LARGEST_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly

M = TypeVar("M", bound=BaseModel)


class Spec(BaseModel):
    """A part of a request: immutable, strict, and complete in its complaints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """The raw object with the defaults that depend on other fields."""
        return raw

    @classmethod
    def faults_in(cls, raw: Mapping[str, Any]) -> Iterable[Fault]:
        """What can be told of the raw object even where some of its fields are wrong."""
        return ()

    def faults(self) -> Iterable[Fault]:
        """What is wrong between fields that are each right by themselves."""
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults_at_once(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        raw = cls.filled(dict(raw))
        found = [*cls._unknown_fields(raw), *cls.faults_in(raw)]
        known = {name: value for name, value in raw.items() if name in cls.field_names()}
        try:
            spec = handler(known)
        except ValidationError as error:
            raise Invalid([*found, *faults_from(error)]) from None
        if not found:
            found += spec.faults()
        if found:
            raise Invalid(found)
        return spec

    @classmethod
    def field_names(cls) -> list[str]:
        """The fields as the contract names them."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def _unknown_fields(cls, raw: Mapping[str, Any]) -> Iterable[Fault]:
        known = cls.field_names()
        unknown = [name for name in raw if name not in known]
        for place, name in enumerate(unknown):
            # The closest name is looked for only where somebody will read it.
            detail = unknown_name("field", str(name), known) if place < MOST_FAULTS else ""
            yield Fault(pointer_to(name), "unknown_field", detail)


def parse(model: type[M], raw: Any) -> M:
    """The spec that a JSON value says; raises Invalid with every fault in it."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise Invalid(cut_off(faults_from(error))) from None


def cut_off(faults: list[Fault]) -> list[Fault]:
    """As many faults as a person will read, and how many there are besides."""
    if faults[-1:] and faults[-1].code == "more_faults" and len(faults) == MOST_FAULTS + 1:
        return faults
    rest = len(faults) - MOST_FAULTS
    if rest <= 0:
        return faults
    return [*faults[:MOST_FAULTS], _more(rest)]


def faults_from(error: ValidationError) -> list[Fault]:
    """Pydantic's errors as faults with JSON pointers."""
    found: list[Fault] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) > detail["ctx"]["min_length"] - 1:
            continue  # only its faulty items were left out, and each has its own fault
        parts = [part for part in detail["loc"] if not str(part).startswith(TAG)]
        pointer = pointer_to(*(part for part in parts if part != "[key]"))
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Invalid):
            found += [fault.under(pointer) for fault in cause.faults]
        else:
            found.append(_fault(detail, pointer))
    return found


def _fault(error: ErrorDetails, pointer: str) -> Fault:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return Fault(pointer, "missing", "This field is required.")
    if kind == "literal_error":
        known = [word.strip(" '") for word in context["expected"].replace(" or ", ", ").split(",")]
        return Fault(pointer, "unknown_name", unknown_name("name", str(given), known))
    if kind == "union_tag_invalid":
        known = [tag.strip(" '").removeprefix(TAG) for tag in context["expected_tags"].split(",")]
        name = str(context["tag"]).removeprefix(TAG)
        return Fault(pointer + "/name", "unknown_name", unknown_name("name", name, known))
    if kind == "union_tag_not_found":
        return Fault(pointer + "/name", "missing", "This field is required.")
    if kind == "finite_number" or (kind.startswith("float") and given in NOT_NUMBERS):
        return Fault(pointer, "not_finite", f"{given} is not allowed here: give a finite number.")
    said = error["msg"]
    if kind == "too_short":
        said = f"There must be {context['min_length']} at least"
    return Fault(pointer, _code(kind), f"{said}; given: {_shown(given)}.")


NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")
_RANGE = ("greater_than", "less_than", "too_long", "too_short", "int_parsing_size", "multiple_of")


def _code(kind: str) -> str:
    if kind.startswith(_RANGE) or kind.endswith(("too_long", "too_short")):
        return "out_of_range"
    if kind.endswith(("_type", "_parsing", "_from_float")) or kind == "is_instance_of":
        return "wrong_type"
    return "bad_value"


def _shown(given: Any) -> str:
    """The value as a person would recognise it, shortened."""
    if isinstance(given, dict | list | tuple):
        return "an object" if isinstance(given, dict) else f"a list of {len(given)}"
    text = repr(given) if isinstance(given, str) else str(given).lower()
    return text if len(text) <= 60 else text[:57] + "..."


def by_name(raw: Any) -> str | None:
    """The union tag of an object that says by its `name` what it is."""
    name = raw.get("name") if isinstance(raw, dict) else getattr(raw, "name", None)
    return None if name is None else TAG + str(name)


def text_or(other: str) -> Discriminator:
    """For unions of a text (tag as:text) and something else (tag `other`)."""

    def choose(raw: Any) -> str:
        return TEXT if isinstance(raw, str) else other

    return Discriminator(choose)


TEXT = TAG + "text"
OBJECT = TAG + "object"
NUMBER = TAG + "number"


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("the character NUL is not allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is no character") from None
    return text


Text = Annotated[str, Field(strict=True, max_length=200), AfterValidator(_storable)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=LARGEST_INTEGER)]
Name = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


def _numbers(raw: Any) -> Any:
    """A list as it came; refused with its first hundred faults where it is long.

    A request of many megabytes must not cost as many complaints.
    """
    if not isinstance(raw, list) or len(raw) <= MOST_FAULTS or set(map(type, raw)) <= NUMBERS:
        return raw
    places = ((pointer_to(place), value) for place, value in enumerate(raw))
    raise Invalid(_first_faults(places, sum(type(value) not in NUMBERS for value in raw)))


def _rows(raw: Any) -> Any:
    """The same for rows of numbers."""
    if not isinstance(raw, list) or len(raw) <= MOST_FAULTS:
        return raw
    if all(map(_is_row, raw)):
        return raw

    def places() -> Iterator[tuple[str, Any]]:
        for place, row in enumerate(raw):
            if not isinstance(row, list):
                yield pointer_to(place), row
            elif not _is_row(row):
                yield from ((pointer_to(place, j), value) for j, value in enumerate(row))

    count = sum(
        sum(type(value) not in NUMBERS for value in row) if isinstance(row, list) else 1
        for row in raw
        if not _is_row(row)
    )
    raise Invalid(_first_faults(places(), count))


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and set(map(type, row)) <= NUMBERS


def _first_faults(places: Iterator[tuple[str, Any]], count: int) -> list[Fault]:
    """What is no number among these values, of `count` in all."""
    wrong = ((pointer, value) for pointer, value in places if type(value) not in NUMBERS)
    found = [
        Fault(pointer, _code_of(value), f"A number is needed here; given: {_shown(value)}.")
        for pointer, value in islice(wrong, MOST_FAULTS)
    ]
    return found if count <= MOST_FAULTS else [*found, _more(count - MOST_FAULTS)]


def _more(rest: int) -> Fault:
    return Fault("", "more_faults", f"and {rest} more faults")


def _code_of(value: Any) -> str:
    return "not_finite" if value in NOT_NUMBERS else "wrong_type"


NUMBERS = {int, float}
Vector = Annotated[tuple[Finite, ...], Field(min_length=1), BeforeValidator(_numbers)]
Matrix = Annotated[
    tuple[Annotated[tuple[Finite, ...], Field(min_length=1)], ...],
    Field(min_length=1),
    BeforeValidator(_rows),
]
