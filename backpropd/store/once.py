"""Rows of which there is one, whoever is first to write it."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backpropd.store.errors import Busy

Row = TypeVar("Row")


def added(session: Session, row: Row, same: Select[Any]) -> Row:
    """This row, or that of somebody who was faster: what `same` finds then.

    PostgreSQL lets two transactions find nothing at once; the second to write waits for the first
    and is refused by the unique constraint: then the row is there. Raises Busy where it was deleted
    since.
    """
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        first: Row | None = session.scalar(same)
        if first is None:
            raise Busy from None
        return first
    return row
