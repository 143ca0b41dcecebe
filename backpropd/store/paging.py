"""Lists, a page at a time in any order; a cursor names the last row seen, never an offset."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Float, Select, String, and_, false, literal, or_, tuple_
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.search import Kind
from backpropd.store.ids import is_possible
from backpropd.store.tables.base import Utc

Row = TypeVar("Row")
Value = float | str | datetime | None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the next ones begin."""

    rows: Sequence[Row]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Sort:
    """One expression to order by. NULL comes last, whatever the direction."""

    expression: Any
    kind: Kind
    descending: bool
    nullable: bool = False

    @property
    def terms(self) -> list[Any]:
        """For ORDER BY."""
        term = self.expression.desc() if self.descending else self.expression.asc()
        return [self.expression.is_(None), term] if self.nullable else [term]


def page(
    session: Session, query: Select[Any], table: Any, *, limit: int, cursor: str | None
) -> Page[Any]:
    """One page of the query's rows of `table`, by created_at and id, newest first."""
    digest = table.__tablename__
    newest = (Sort(table.created_at, Kind.TIME, True), Sort(table.id, Kind.TEXT, True))
    if cursor is not None:
        query = query.where(after(newest, read_cursor(cursor, digest, newest)))
    rows = session.scalars(ordered(query, newest).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = None if last is None else write_cursor(digest, [last.created_at, last.id])
    return Page(rows[:limit], next_cursor)


def ordered(query: Select[Any], sorts: Sequence[Sort]) -> Select[Any]:
    """The query's rows in this order."""
    return query.order_by(*(term for sort in sorts for term in sort.terms))


def after(sorts: Sequence[Sort], values: Sequence[Value]) -> Any:
    """The condition under which a row comes after the one with these values."""
    alike = len({sort.descending for sort in sorts}) == 1
    if alike and not any(sort.nullable for sort in sorts):
        here = tuple_(*(sort.expression for sort in sorts))
        there = tuple_(*map(_bound, sorts, values))
        return here < there if sorts[0].descending else here > there
    ways: list[Any] = []
    equal: list[Any] = []
    for sort, value in zip(sorts, values, strict=True):
        ways.append(and_(*equal, _later(sort, value)))
        is_null = value is None
        equal.append(
            sort.expression.is_(None) if is_null else sort.expression == _bound(sort, value)
        )
    condition = or_(*ways)
    if sorts[0].nullable:
        return condition
    # Says nothing new, and says it so that an index begins there.
    first, value = sorts[0], _bound(sorts[0], values[0])
    bound = first.expression <= value if first.descending else first.expression >= value
    return and_(bound, condition)


def _later(sort: Sort, value: Value) -> Any:
    if value is None:
        return false()
    there = _bound(sort, value)
    later = sort.expression < there if sort.descending else sort.expression > there
    return or_(later, sort.expression.is_(None)) if sort.nullable else later


def _bound(sort: Sort, value: Value) -> Any:
    types: dict[Kind, Any] = {Kind.NUMBER: Float(53), Kind.TIME: Utc(), Kind.TEXT: String()}
    return literal(value, types[sort.kind])


def write_cursor(digest: str, values: Sequence[Value]) -> str:
    """The cursor of a row, in a list that `digest` names."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    text = json.dumps([digest, *plain], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, digest: str, sorts: Sequence[Sort]) -> list[Value]:
    """The values of the row that a cursor names; raises Invalid for what no such list has given."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        its_digest, *values = json.loads(text)
        if its_digest != digest or len(values) != len(sorts):
            raise ValueError
        found = [_read(sort, value) for sort, value in zip(sorts, values, strict=True)]
        if not isinstance(found[-1], str) or not is_possible(found[-1]):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        detail = "This is no cursor that this list has given: keep its filter and its order."
        raise Invalid([Fault("/cursor", "bad_cursor", detail)]) from None
    return found


def _read(sort: Sort, value: Any) -> Value:
    if value is None and sort.nullable:
        return None
    if sort.kind is Kind.NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124
            raise ValueError
        return float(value)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # no half of a surrogate pair
    if sort.kind is Kind.TEXT:
        return value
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)
