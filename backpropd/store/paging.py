"""Lists, newest first, a page at a time; a cursor names the last row seen, never an offset."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from backpropd.spec.faults import Fault, Invalid
from backpropd.store.ids import is_possible

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the next ones begin."""

    rows: Sequence[Row]
    next_cursor: str | None


def page(
    session: Session, query: Select[Any], table: Any, *, limit: int, cursor: str | None
) -> Page[Any]:
    """One page of the query's rows of `table`, by created_at and id, newest first."""
    if cursor is not None:
        query = query.where(tuple_(table.created_at, table.id) < _read(cursor))
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    rows = session.scalars(query).all()
    more = len(rows) > limit
    return Page(rows[:limit], _write(rows[limit - 1]) if more else None)


def _write(row: Any) -> str:
    text = json.dumps([row.created_at.isoformat(), row.id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        created_at, id_ = json.loads(text)
        instant = datetime.fromisoformat(created_at)
        if instant.tzinfo is None or not isinstance(id_, str) or not is_possible(id_):
            raise ValueError
        instant = instant.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        detail = "This is no cursor that a list has given."
        raise Invalid([Fault("/cursor", "bad_cursor", detail)]) from None
    return instant, id_
