"""In which fields definitions differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backpropd.spec.canonical import canonical_json, sha256_hex
from backpropd.spec.faults import pointer_to

MOST_NUMBERS = 16  # of a list that is shown as it is; a longer one is named by its hash


def differences(definitions: Sequence[Any]) -> list[dict[str, Any]]:
    """Each field that is not the same in all definitions, by JSON pointer, with all its values.

    The values are in the order of the definitions, null where one has no such field. A list of
    numbers is one value.
    """
    leaves = [dict(_leaves(definition, "")) for definition in definitions]
    pointers = dict.fromkeys(pointer for each in leaves for pointer in each)
    found = []
    for pointer in pointers:
        values = [each.get(pointer, _ABSENT) for each in leaves]
        if any(_unlike(value, values[0]) for value in values[1:]):
            found.append({"pointer": pointer, "values": [_shown(value) for value in values]})
    return found


_ABSENT = object()


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, pointer + pointer_to(name))
    elif isinstance(value, list) and value and not _is_numeric(value):
        for index, item in enumerate(value):
            yield from _leaves(item, pointer + pointer_to(index))
    else:
        yield pointer, value


def _is_numeric(value: list[Any]) -> bool:
    """Whether a list holds numbers, or lists of numbers."""
    return all(
        _is_numeric(item) if isinstance(item, list) else isinstance(item, int | float)
        for item in value
    )


def _unlike(one: Any, other: Any) -> bool:
    # True is 1 to Python, and to nobody else.
    return bool(one != other) or isinstance(one, bool) != isinstance(other, bool)


def _shown(value: Any) -> Any:
    if value is _ABSENT:
        return None
    if isinstance(value, list) and _size(value) > MOST_NUMBERS:
        return {"numbers": _size(value), "sha256": sha256_hex(canonical_json(value))}
    return value


def _size(value: Any) -> int:
    return sum(map(_size, value)) if isinstance(value, list) else 1
