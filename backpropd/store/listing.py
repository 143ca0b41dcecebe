"""A page of what is searched for: filter, order and cursor made into queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session, aliased

from backpropd.spec.canonical import sha256_hex
from backpropd.spec.search import Field, Key, Kind, Node
from backpropd.store.paging import Page, Sort, Value, after, ordered, read_cursor, write_cursor
from backpropd.store.search import Search, Table, beside, is_beside
from backpropd.store.tables import JobTagRow, MetricSummaryRow

NEWEST_FIRST = (Key(Field(("created_at",), Kind.TIME), descending=True),)


def search_page(
    session: Session,
    table: Table,
    tenant_id: str,
    *,
    where: Node | None = None,
    order: Sequence[Key] = NEWEST_FIRST,
    limit: int,
    cursor: str | None,
) -> Page[Any]:
    """One page of an owner's rows; raises Invalid for another list's cursor."""
    search = Search(session, table, tenant_id)
    listing = _Listing(search, where, order or NEWEST_FIRST)
    digest = sha256_hex(repr((table.row.__tablename__, where, tuple(order))).encode())[:12]
    seen = None if cursor is None else read_cursor(cursor, digest, listing.shape)
    found = listing.keys(seen, limit + 1)
    more = len(found) > limit
    found = found[:limit]
    ids = [values[-1] for values in found]
    rows = {row.id: row for row in session.scalars(select(table.row).where(table.row.id.in_(ids)))}
    next_cursor = write_cursor(digest, found[-1]) if more else None
    return Page([rows[id_] for id_ in ids], next_cursor)


class _Listing:
    """The queries of one list.

    Where the first key may be NULL, rows that have it come first and the others after them, each by
    a query of its own: so an index of the key can give the order.
    """

    def __init__(self, search: Search, where: Node | None, order: Sequence[Key]) -> None:
        self.search, self.row = search, search.table.row
        self.where = where
        self.few = None if where is None else search.few(where)
        self.joined: list[tuple[Any, list[Any]]] = []
        # By the index of a tag or metric, whose order it has.
        self.walked = self.few is None and is_beside(order[0].field)
        self.given = [sort for key in order for sort in self._sorts(key)]
        self.tie = Sort(self.row.id, Kind.TEXT, order[-1].descending)

    @property
    def shape(self) -> list[Sort]:
        """What a row's cursor holds."""
        return [*self.given, self.tie]

    def keys(self, seen: Sequence[Value] | None, limit: int) -> list[list[Value]]:
        """The values by which the next rows are ordered, their ids last."""
        turns = [False, True] if self.given[0].nullable else [False]
        if seen is not None and seen[0] is None:
            turns = [True]  # all that have the first key were seen
        found: list[list[Value]] = []
        for missing in turns:
            found += self._part(missing, seen, limit - len(found))
            if len(found) >= limit:
                break
            seen = None
        return found

    def _part(self, missing: bool, seen: Sequence[Value] | None, limit: int) -> list[list[Value]]:
        first, *others = self.given
        sorts = [*others, self.tie] if missing else [*_without_null(first), *others, self.tie]
        query = self._rows(driven=not missing)
        if first.nullable:
            there = first.expression
            query = query.where(there.is_(None) if missing else there.is_not(None))
        if not missing and self.walked:
            # The order of the index that gives it: the same id, from the other side.
            sorts[-1] = Sort(self.joined[0][0].job_id, Kind.TEXT, self.tie.descending)
        if seen is not None:
            query = query.where(after(sorts, seen[1:] if missing else seen))
        query = ordered(query, sorts).limit(limit)
        query = query.with_only_columns(*(sort.expression for sort in sorts))
        lost: list[Value] = [None] if missing else []
        return [[*lost, *values] for values in self.search.session.execute(query)]

    def _rows(self, *, driven: bool) -> Select[Any]:
        """The rows of the owner that the filter finds, with all that orders them beside them."""
        row, search = self.row, self.search
        if self.few is not None:
            few = self.few.cte("few")
            query = select(row.id).select_from(few).join(row, row.id == few.c[0])
        elif driven and self.walked:
            beside_it, on = self.joined[0]
            query = select(row.id).select_from(beside_it).join(row, row.id == beside_it.job_id)
            query = query.where(beside_it.tenant_id == search.tenant_id, *on)
        else:
            query = select(row.id).where(row.tenant_id == search.tenant_id)
        for beside_it, on in self.joined[1:] if driven and self.walked else self.joined:
            query = query.outerjoin(beside_it, and_(beside_it.job_id == row.id, *on))
        if search.table.shown is not None:
            query = query.where(search.table.shown)
        return query if self.where is None else query.where(search.condition(self.where))

    def _sorts(self, key: Key) -> list[Sort]:
        field, descending = key.field, key.descending
        if is_beside(field):
            kind = JobTagRow if field.path[0] == "tags" else MetricSummaryRow
            row, on, value = beside(field, aliased(kind))
            self.joined.append((row, on))
            if field.kind is Kind.TEXT:
                value = self.search.ordered(value)
            return [Sort(value, field.kind, descending, nullable=True)]
        kinds = [Kind.NUMBER, Kind.TEXT] if field.kind is Kind.ANY else [field.kind]
        return [
            Sort(value, kind, descending, nullable=self.search.table.is_nullable(field))
            for value, kind in zip(self.search.values(field), kinds, strict=True)
        ]


def _without_null(sort: Sort) -> list[Sort]:
    return [Sort(sort.expression, sort.kind, sort.descending)]
