"""Searching: a tree of spec/search.py as conditions of SQL, and which way there is the short one.

Where few rows satisfy what an index knows, those are looked up and the rest of the filter is asked
of them alone; else the rows are walked in their order until a page is full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from backpropd.spec.search import Both, Comparison, Either, Field, Kind, Node, Value, like_parts
from backpropd.store.tables import JobTagRow, MetricSummaryRow

# So many rows are looked up one by one as fast as an order can be walked.
FEW = 2000
MILLISECOND = timedelta(milliseconds=1)
INDEXED_STATISTICS = ("min", "max", "last")
DOUBLE = Float(53)

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Table:
    """What is searched: its rows, and where its fields lie."""

    row: Any
    columns: Mapping[str, Any]  # by the field's name
    documents: Mapping[str, tuple[Any, tuple[str, ...]]]  # by family: JSON, and a path into it
    leading: frozenset[str] = frozenset()  # columns whose equals an index finds
    shown: Any = None  # a condition of all lists

    def is_nullable(self, field: Field) -> bool:
        """Whether a row may lack the field."""
        column = self.columns.get(".".join(field.path))
        return not isinstance(column, InstrumentedAttribute) or bool(column.nullable)


@dataclass(frozen=True, slots=True)
class Search:
    """A table's rows of one owner, asked in one session."""

    session: Session
    table: Table
    tenant_id: str

    @property
    def is_sqlite(self) -> bool:
        """The two databases differ in JSON, in patterns and in the order of texts."""
        return self.session.get_bind().dialect.name == "sqlite"

    def condition(self, node: Node) -> Condition:
        """What the tree says, true or false of every row and never unknown."""
        if isinstance(node, Both):
            return and_(*map(self.condition, node.parts))
        if isinstance(node, Either):
            return or_(*map(self.condition, node.parts))
        if isinstance(node, Comparison):
            return self._comparison(node)
        return not_(self.condition(node.part))

    def few(self, node: Node) -> Select[Any] | None:
        """The ids of few rows among which all are that the tree finds; None where there are many.

        They are counted by indexes, and no further than is needed.
        """
        found = ((id(each), self._lead(each)) for each in _positive(node))
        leads = {each: lead for each, lead in found if lead is not None}
        if not leads:
            return None
        counts = [
            select(func.count()).select_from(lead.limit(FEW + 1).subquery()).scalar_subquery()
            for lead in leads.values()
        ]
        sizes = dict(zip(leads, self.session.execute(select(*counts)).one(), strict=True))
        size, chosen = _cover(node, sizes)
        if size > FEW:
            return None
        parts = [leads[each] for each in chosen]
        return parts[0] if len(parts) == 1 else select(union(*parts).subquery())

    def values(self, field: Field) -> list[ColumnElement[Any]]:
        """What a field's rows are ordered by: its column; of JSON, its numbers and its texts."""
        if field.kind is Kind.ANY:
            return [self._json(field, Kind.NUMBER), self._json(field, Kind.TEXT)]
        column = self.table.columns[".".join(field.path)]
        return [self.ordered(column) if field.kind is Kind.TEXT else column]

    def ordered(self, text: Any) -> Any:
        """A text that is compared by its characters' numbers, as everywhere else here."""
        return text if self.is_sqlite else text.collate("C")

    def _comparison(self, node: Comparison) -> Condition:
        if is_beside(node.field):
            return self._beside(node)
        if node.field.kind is Kind.ANY:
            return self._of_json(node)
        return self._holds(node, self.table.columns[".".join(node.field.path)])

    def _beside(self, node: Comparison) -> Condition:
        """A tag or a metric's statistic, each a row of a table beside the job's."""
        row, where, column = beside(node.field)
        here = exists().where(row.job_id == self.table.row.id, *where)
        if node.values == (None,):
            there = here.where(column.is_not(None))
            return there if node.operator == "!=" else not_(there)
        return here.where(self._holds(node, column))

    def _lead(self, node: Comparison) -> Select[Any] | None:
        """The ids that an index finds for a comparison; None where no index does."""
        if None in node.values or node.operator in ("!=", "like"):
            return None
        path, table = node.field.path, self.table.row
        if is_beside(node.field):
            if path[0] == "metrics" and path[2] not in INDEXED_STATISTICS:
                return None
            row, where, column = beside(node.field)
            mine = row.tenant_id == self.tenant_id
            return select(row.job_id).where(mine, *where, self._holds(node, column))
        name = ".".join(path)
        equal = node.operator in ("=", "in")
        if (equal and name in self.table.leading) or (name == "created_at" and node.operator > "<"):
            holds = self._holds(node, self.table.columns[name])
            return select(table.id).where(table.tenant_id == self.tenant_id, holds)
        return None

    def _holds(self, node: Comparison, value: ColumnElement[Any]) -> Condition:
        """The comparison with a value that may be NULL."""
        if node.values == (None,):
            return value.is_(None) if node.operator == "=" else value.is_not(None)
        if node.operator == "in":
            holds = or_(*(self._one(value, "=", each) for each in node.values))
        else:
            holds = self._one(value, node.operator, node.values[0])
        return and_(value.is_not(None), holds)

    def _one(self, value: ColumnElement[Any], operator: str, wanted: Value) -> Condition:
        """A comparison with a value that is not NULL."""
        if isinstance(wanted, datetime):
            return _of_times(value, operator, wanted)
        if operator == "like":
            return self._like(value, str(wanted))
        if isinstance(wanted, str) and operator not in ("=", "!="):
            value = self.ordered(value)
        right = literal(wanted) if isinstance(wanted, str) else literal(wanted, DOUBLE)
        compared: Condition = COMPARE[operator](value, right)
        return compared

    def _like(self, value: ColumnElement[Any], pattern: str) -> Condition:
        """By GLOB on SQLite, whose LIKE takes A for a."""
        parts = like_parts(pattern)
        if self.is_sqlite:
            glob = _pattern(parts, any_="*", one="?", plain=lambda c: f"[{c}]" if c in "*?[" else c)
            return value.op("GLOB", is_comparison=True)(literal(glob))
        like = _pattern(parts, any_="%", one="_", plain=lambda c: f"\\{c}" if c in "\\%_" else c)
        return value.like(literal(like), escape="\\")

    def _of_json(self, node: Comparison) -> Condition:
        """A comparison with a value of JSON holds only for one of the same kind."""
        if node.values == (None,):
            kinds = [self._json(node.field, kind) for kind in (Kind.NUMBER, Kind.TEXT, Kind.ANY)]
            present = or_(*(value.is_not(None) for value in kinds))
            return present if node.operator == "!=" else not_(present)
        parts = []
        for wanted in node.values:
            kind = Kind.ANY if isinstance(wanted, bool) else Kind.NUMBER
            value = self._json(node.field, Kind.TEXT if isinstance(wanted, str) else kind)
            same = str(wanted).lower() if isinstance(wanted, bool) else wanted
            operator = "=" if node.operator == "in" else node.operator
            parts.append(and_(value.is_not(None), self._one(value, operator, same)))
        return or_(*parts)

    def _json(self, field: Field, kind: Kind) -> ColumnElement[Any]:
        """The field's value if it is a number, a text, or (ANY) true or false; else NULL."""
        document, path = self.table.documents[field.path[0]]
        steps = (*path, *field.path[1:])
        read = _sqlite_json if self.is_sqlite else _postgres_json
        return read(document, steps, kind)


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
}


def is_beside(field: Field) -> bool:
    """Whether it is a tag or a metric's statistic, which lie in tables of their own."""
    return field.path[0] in ("tags", "metrics")


def beside(field: Field, row: Any = None) -> tuple[Any, list[Condition], Any]:
    """The table in which a tag or metric lies, which of a job's rows it is, and the value."""
    if field.path[0] == "tags":
        row = row or JobTagRow
        return row, [row.key == field.path[1]], row.value
    row = row or MetricSummaryRow
    return row, [row.metric == field.path[1]], getattr(row, field.path[2])


def _pattern(
    parts: Sequence[str | None], *, any_: str, one: str, plain: Callable[[str], str]
) -> str:
    """A pattern in the signs of a database."""
    return "".join(any_ if part is None else plain(part) if part else one for part in parts)


def _of_times(value: Any, operator: str, wanted: datetime) -> Condition:
    """Times are shown by the millisecond, and so compared."""
    after = wanted + MILLISECOND
    conditions: dict[str, Any] = {
        "=": and_(value >= wanted, value < after),
        "!=": or_(value < wanted, value >= after),
        "<": value < wanted,
        "<=": value < after,
        ">": value >= after,
        ">=": value >= wanted,
    }
    return conditions[operator]  # type: ignore[no-any-return]


def _positive(node: Node) -> Sequence[Comparison]:
    """The comparisons that are not under a `not`."""
    if isinstance(node, Comparison):
        return [node]
    if isinstance(node, Both | Either):
        return [each for part in node.parts for each in _positive(part)]
    return []


def _cover(node: Node, sizes: Mapping[int, int]) -> tuple[float, list[int]]:
    """The fewest rows, and by which comparisons, among which all are that the tree finds."""
    nothing: tuple[float, list[int]] = (float("inf"), [])
    if isinstance(node, Comparison):
        return (sizes[id(node)], [id(node)]) if id(node) in sizes else nothing
    if isinstance(node, Both):
        return min((_cover(part, sizes) for part in node.parts), key=lambda found: found[0])
    if isinstance(node, Either):
        parts = [_cover(part, sizes) for part in node.parts]
        return sum(size for size, _ in parts), [each for _, chosen in parts for each in chosen]
    return nothing


def _sqlite_json(document: Any, steps: Sequence[str], kind: Kind) -> ColumnElement[Any]:
    kinds = {Kind.NUMBER: ("integer", "real"), Kind.TEXT: ("text",), Kind.ANY: ("true", "false")}
    found = []
    for path in _sqlite_paths(steps):
        type_ = func.json_type(document, path)
        value = type_ if kind is Kind.ANY else func.json_extract(document, path)
        found.append(case((type_.in_(kinds[kind]), value)))
    return found[0] if len(found) == 1 else func.coalesce(*found)


def _sqlite_paths(steps: Sequence[str]) -> list[str]:
    """A number is a place in a list, or a name in an object: PostgreSQL takes it for either."""
    paths = ["$"]
    for step in steps:
        ways = [f'."{step}"', f"[{step}]"] if step.isdecimal() and len(step) < 7 else [f'."{step}"']
        paths = [path + way for path in paths for way in ways][:8]
    return paths


def _postgres_json(document: Any, steps: Sequence[str], kind: Kind) -> ColumnElement[Any]:
    value = func.jsonb_extract_path(document, *steps)
    text = func.jsonb_extract_path_text(document, *steps)
    names = {Kind.NUMBER: "number", Kind.TEXT: "string", Kind.ANY: "boolean"}
    found = cast(text, DOUBLE) if kind is Kind.NUMBER else text
    return case((func.jsonb_typeof(value) == names[kind], found))
