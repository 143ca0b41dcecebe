"""What may be searched for: the text of a filter or an order, read into a tree.

The grammar is search.lark. A tree knows the names and kinds of fields and nothing of SQL;
store/search.py says it to the database. Two-valued: a comparison with a value that is missing is
false, and `not` turns it round.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from backpropd.spec.faults import unknown_name
from backpropd.spec.limits import LIMITS

Value = float | str | bool | datetime | None


class Kind(Enum):
    """What a field's values are."""

    NUMBER = "a number"
    TEXT = "a text"
    TIME = "a time"
    ANY = "a number, a text, true or false"  # of JSON: only values of the same kind compare


@dataclass(frozen=True, slots=True)
class Field:
    """A field of what is searched, by its path in the answer."""

    path: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """field operator values: one value, but for `in`. None is null, with = and != alone."""

    field: Field
    operator: str  # = != < <= > >= like in
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """All of them hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """It does not hold."""

    part: Node


Node = Comparison | Both | Either | Negated


@dataclass(frozen=True, slots=True)
class Key:
    """What to order by; rows without a value come last, whatever the direction."""

    field: Field
    descending: bool


class BadSearch(ValueError):
    """A filter or an order that cannot be read; `position` is the character, counted from 1."""

    def __init__(self, detail: str, position: int) -> None:
        self.detail, self.position = detail, position
        super().__init__(f"At character {position}: {detail}")


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The fields that something can be searched by.

    `families` are fields that hold others: the first step of a path, to the steps that may follow
    it, or None where any may.
    """

    fields: Mapping[str, Kind]
    families: Mapping[str, Sequence[str] | None]

    def field(self, text: str) -> Field:
        """The field of this name; raises ValueError with a sentence."""
        path = _steps(text)
        if len(path) == 1 and path[0] in self.fields:
            return Field(path, self.fields[path[0]])
        whole = ".".join(path)
        if whole in self.fields:
            return Field(path, self.fields[whole])
        if path[0] not in self.families:
            known = [*self.fields, *(f"{name}.…" for name in self.families)]
            raise ValueError(unknown_name("field", whole, known))
        return self._member(path)

    def _member(self, path: tuple[str, ...]) -> Field:
        family, rest = path[0], path[1:]
        if family == "tags":
            if len(rest) != 1:
                raise ValueError('A tag is tags.KEY, or tags."KEY" where it is no plain word.')
            return Field(path, Kind.TEXT)
        if family == "metrics":
            if len(rest) < 2 or rest[-1] not in STATISTICS:
                one_of = ", ".join(STATISTICS)
                raise ValueError(f"A metric is metrics.NAME.STATISTIC, one of {one_of}.")
            return Field((family, ".".join(rest[:-1]), rest[-1]), Kind.NUMBER)
        known = self.families[family]
        if not rest:
            raise ValueError(f"{family} holds others: say which, {family}.NAME.")
        if known is not None and rest[0] not in known:
            raise ValueError(unknown_name("field", f"{family}.{rest[0]}", known))
        if len(rest) > MOST_STEPS or not all(re.fullmatch(r"[A-Za-z0-9_-]+", s) for s in rest):
            raise ValueError(f"A path has at most {MOST_STEPS} steps, of letters and digits.")
        return Field(path, Kind.ANY)


# Of a metric over the whole job; those of what a job shows.
STATISTICS = ("first", "last", "min", "min_epoch", "max", "max_epoch")
MOST_STEPS = 8
MOST_WILDCARDS = 16


def read_filter(text: str, vocabulary: Vocabulary) -> Node:
    """The tree of a filter; raises BadSearch."""
    tree: Node = _read(text, "filter", vocabulary)
    return tree


def read_order(text: str, vocabulary: Vocabulary) -> tuple[Key, ...]:
    """The keys of an order, the first one first; raises BadSearch."""
    keys: tuple[Key, ...] = _read(text, "order_by", vocabulary)
    return keys


def like_parts(pattern: str) -> list[str | None]:
    """A pattern of `like` in pieces: texts, "%" as None, and "_" as "".

    A backslash takes the meaning from what follows it.
    """
    parts: list[str | None] = []
    for escaped, wildcard, plain in re.findall(r"\\(.)|([%_])|(.)", pattern, re.DOTALL):
        if wildcard == "%":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif wildcard:
            parts.append("")
        else:
            parts.append(escaped or plain)
    return parts


def _read(text: str, start: str, vocabulary: Vocabulary) -> Any:
    if len(text) > LIMITS.filter_length:
        detail = f"This is longer than {LIMITS.filter_length} characters."
        raise BadSearch(detail, LIMITS.filter_length + 1)
    if "\0" in text:
        raise BadSearch("The character NUL is not allowed.", text.index("\0") + 1)
    try:
        return _parser(vocabulary).parse(text, start=start)
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        raise BadSearch(_expected(error.allowed, text[at]), at + 1) from None
    except UnexpectedToken as error:
        ended = error.token.type == "$END"
        position = len(text) + 1 if ended else (error.token.start_pos or 0) + 1
        given = "" if ended else str(error.token)
        raise BadSearch(_expected(error.accepts or error.expected, given), position) from None


@cache
def _parser(vocabulary: Vocabulary) -> Lark:
    """Trees are built while reading, so that no depth of brackets is a depth of calls."""
    grammar = files("backpropd.spec").joinpath("search.lark").read_text()
    starts = ["filter", "order_by"]
    return Lark(grammar, parser="lalr", start=starts, transformer=_Builder(vocabulary))


# What may come next, as people call it.
EXPECTED = {
    "FIELD": "a field",
    "OPERATOR": "one of = != < <= > >=, like, in",
    "LIKE": "",
    "IN": "",
    "NUMBER": "a value (a number, a text in quotes, true, false or null)",
    "DOUBLE": "",
    "SINGLE": "",
    "CONSTANT": "",
    "_AND": "and",
    "_OR": "or",
    "_NOT": "not",
    "DIRECTION": "asc or desc",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "$END": "the end",
}


def _expected(allowed: set[str] | None, given: str) -> str:
    known = [name for key, name in EXPECTED.items() if name and key in (allowed or ())]
    found = f"this is {given[:40]!r}" if given else "this is the end"
    return f"Expected {', or '.join(known) or 'something else'}; {found}."


@dataclass(frozen=True, slots=True)
class _Built:
    """A tree while it grows."""

    node: Node
    depth: int
    terms: int


class _Builder(Transformer[Token, Any]):
    """Makes the tree of what the grammar has read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(visit_tokens=False)
        self.vocabulary = vocabulary

    def filter(self, children: list[_Built]) -> Node:
        return children[0].node

    def either(self, children: list[_Built]) -> _Built:
        return self._several(Either, children)

    def both(self, children: list[_Built]) -> _Built:
        return self._several(Both, children)

    def negated(self, children: list[_Built]) -> _Built:
        (part,) = children
        return self._checked(Negated(part.node), part.depth + 1, part.terms)

    def bracketed(self, children: list[_Built]) -> _Built:
        (part,) = children
        return self._checked(part.node, part.depth + 1, part.terms)

    def comparison(self, children: list[Any]) -> _Built:
        (field, _), operator, *given = children
        operator_name = operator.lower()
        values = tuple(_fitting(field, operator_name, value, token) for value, token in given)
        return _Built(Comparison(field, operator_name, values), 1, len(values))

    def field(self, children: list[Token]) -> tuple[Field, int]:
        (token,) = children
        place = (token.start_pos or 0) + 1
        try:
            return self.vocabulary.field(str(token)), place
        except ValueError as error:
            raise BadSearch(str(error), place) from None

    def order_by(self, children: list[tuple[Key, int]]) -> tuple[Key, ...]:
        if len(children) > LIMITS.order_keys:
            raise BadSearch(f"At most {LIMITS.order_keys} keys.", children[LIMITS.order_keys][1])
        keys = tuple(key for key, _ in children)
        for index, (key, place) in enumerate(children):
            if key.field in [before.field for before in keys[:index]]:
                raise BadSearch("This key is there already.", place)
        return keys

    def key(self, children: list[Any]) -> tuple[Key, int]:
        (field, place), *direction = children
        return Key(field, bool(direction) and direction[0].lower() == "desc"), place

    def number(self, children: list[Token]) -> tuple[Value, Token]:
        (token,) = children
        value = float(token)
        if math.isinf(value) and "inf" not in token.lower():
            raise _at(token, "This number is too large.")
        return value, token

    def double_quoted(self, children: list[Token]) -> tuple[Value, Token]:
        (token,) = children
        return _text(token, str(token)), token

    def single_quoted(self, children: list[Token]) -> tuple[Value, Token]:
        (token,) = children
        inside = re.sub(r"\\'|(\\.)|\"", _as_double_quoted, token[1:-1], flags=re.DOTALL)
        return _text(token, f'"{inside}"'), token

    def constant(self, children: list[Token]) -> tuple[Value, Token]:
        (token,) = children
        return {"true": True, "false": False, "null": None}[token.lower()], token

    def _several(self, kind: type[Both] | type[Either], children: list[_Built]) -> _Built:
        node = kind(tuple(child.node for child in children))
        terms = sum(child.terms for child in children)
        return self._checked(node, 1 + max(child.depth for child in children), terms)

    @staticmethod
    def _checked(node: Node, depth: int, terms: int) -> _Built:
        if depth > LIMITS.filter_depth:
            raise BadSearch(f"This is nested deeper than {LIMITS.filter_depth}.", 1)
        if terms > LIMITS.filter_terms:
            raise BadSearch(f"This compares with more than {LIMITS.filter_terms} values.", 1)
        return _Built(node, depth, terms)


def _fitting(field: Field, operator: str, value: Value, token: Token) -> Value:
    """The value, as one of the field's kind; raises BadSearch where it cannot be compared."""
    if value is None:
        if operator not in ("=", "!="):
            raise _at(token, "null is compared by = and != alone.")
        return None
    if operator == "like":
        if field.kind not in (Kind.TEXT, Kind.ANY) or not isinstance(value, str):
            raise _at(token, "like compares a text with a pattern in quotes.")
        if like_parts(value).count(None) > MOST_WILDCARDS:
            raise _at(token, f"A pattern has at most {MOST_WILDCARDS} %.")
        return value
    if isinstance(value, bool):
        if field.kind is not Kind.ANY or operator not in ("=", "!=", "in"):
            name = ".".join(field.path)
            raise _at(token, f"{name} is {field.kind.value}; true and false have no order.")
        return value
    if field.kind is Kind.TIME:
        return _time(value, token)
    wanted = {Kind.NUMBER: float, Kind.TEXT: str}.get(field.kind)
    if wanted is not None and not isinstance(value, wanted):
        raise _at(token, f"{'.'.join(field.path)} is {field.kind.value}.")
    return value


def _time(value: Value, token: Token) -> datetime:
    """An instant, to the millisecond; one without a zone is of UTC."""
    sentence = 'A time is written "2026-11-24", or "2026-11-24T08:30:00.000Z".'
    try:
        instant = datetime.fromisoformat(value if isinstance(value, str) else "")
        instant = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _at(token, sentence) from None
    if not 1 < instant.year < 9999:
        raise _at(token, sentence)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _text(token: Token, quoted: str) -> str:
    try:
        text = json.loads(quoted, strict=False)
        assert isinstance(text, str)
        text.encode()
    except (ValueError, UnicodeEncodeError):
        raise _at(token, 'Escapes are those of JSON: \\", \\\\, \\n, \\u00e9, ...') from None
    if "\0" in text:
        raise _at(token, "The character NUL is not allowed.")
    return text


def _as_double_quoted(found: re.Match[str]) -> str:
    if found[0] == "\\'":
        return "'"
    return found[1] or '\\"'


def _at(token: Token, detail: str) -> BadSearch:
    return BadSearch(detail, (token.start_pos or 0) + 1)


def _steps(text: str) -> tuple[str, ...]:
    """The steps of a path; one in quotes may hold anything."""
    steps = re.findall(r'"((?:\\.|[^"\\])*)"|([^."]+)', text, re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", quoted) if quoted else plain for quoted, plain in steps)
