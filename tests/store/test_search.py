"""Searches: what SQL finds is what the tree means, in any order, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from backpropd.spec.faults import Invalid
from backpropd.spec.search import (
    Both,
    Either,
    Field,
    Negated,
    Node,
    like_parts,
    read_filter,
    read_order,
)
from backpropd.store import jobs
from backpropd.store import search as searching
from backpropd.store.database import Database
from backpropd.store.searchable import JOB_FIELDS
from backpropd.store.tables import LOCAL_TENANT, JobRow, MetricSummaryRow, NetworkRow
from tests.databases import KINDS
from tests.jobs import mazur_job, submit
from tests.seeds import NAMES, stocked

JOBS = 120

Facts = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Stock:
    """A database, and what there is to know of each of its jobs, as GET would show it."""

    database: Database
    jobs: list[Facts]


@pytest.fixture(scope="module", params=KINDS)
def stock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stock]:
    """Jobs to search in, which no test changes."""
    with stocked(request.param, request, tmp_path_factory.mktemp("search"), JOBS) as database:
        yield Stock(database, facts_of(database))


PLAIN = ("id", "name", "status", "want", "priority", "created_at", "started_at", "tags", "final")
OF_METRICS = ("first", "last", "min", "min_epoch", "max", "max_epoch")


def facts_of(database: Database) -> list[Facts]:
    with database.read() as session:
        networks = {row.id: row.definition for row in session.scalars(select(NetworkRow))}
        found: dict[str, Facts] = {}
        for row in session.scalars(select(JobRow)):
            found[row.id] = {
                **{name: getattr(row, name) for name in PLAIN},
                **row.spec,
                "network": networks[row.network_id],
                "progress": {
                    "epoch": row.epoch,
                    "fraction": row.epoch / row.epochs,
                    "samples_per_second": row.samples_per_second,
                },
                "metrics": {},
            }
        for summary in session.scalars(select(MetricSummaryRow)):
            statistics = {name: getattr(summary, name) for name in OF_METRICS}
            found[summary.job_id]["metrics"][summary.metric] = statistics
    return list(found.values())


# The meaning of a tree, one job at a time.


def value_of(field: Field, job: Facts) -> Any:
    """The field's value; None where it is missing."""
    value: Any = job
    for step in field.path:
        if isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return None if isinstance(value, dict | list) else value


def holds(node: Node, job: Facts) -> bool:
    if isinstance(node, Both):
        return all(holds(part, job) for part in node.parts)
    if isinstance(node, Either):
        return any(holds(part, job) for part in node.parts)
    if isinstance(node, Negated):
        return not holds(node.part, job)
    value = value_of(node.field, job)
    if node.values == (None,):
        return (value is None) == (node.operator == "=")
    if node.operator == "in":
        return any(compares(value, "=", wanted) for wanted in node.values)
    return compares(value, node.operator, node.values[0])


def compares(value: Any, operator: str, wanted: Any) -> bool:
    if value is None or isinstance(value, bool) != isinstance(wanted, bool):
        return False
    if isinstance(value, str) != isinstance(wanted, str):
        return False
    if isinstance(value, datetime):
        value = value.replace(microsecond=value.microsecond // 1000 * 1000)
    if operator == "like":
        pattern = "".join(
            ".*" if part is None else re.escape(part) if part else "."
            for part in like_parts(wanted)
        )
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    return {
        "=": value == wanted,
        "!=": value != wanted,
        "<": operator == "<" and value < wanted,
        "<=": operator == "<=" and value <= wanted,
        ">": operator == ">" and value > wanted,
        ">=": operator == ">=" and value >= wanted,
    }[operator]


# Filters, as people would write them.

ORDERED = ("=", "!=", "<", "<=", ">", ">=")


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def some(name: str, operators: Sequence[str], values: Sequence[str]) -> st.SearchStrategy[str]:
    one = st.tuples(st.sampled_from(operators), st.sampled_from(values)).map(
        lambda pair: f"{name} {pair[0]} {pair[1]}"
    )
    several = st.lists(st.sampled_from(values), min_size=1, max_size=3).map(
        lambda chosen: f"{name} in ({', '.join(chosen)})"
    )
    nothing = st.sampled_from([f"{name} = null", f"{name} != null"])
    return one | several | nothing


NUMBERS = ("0", "0.3", "0.5", "1", "1.25", "16", "50", "Infinity", "-Infinity", "1e6")
TEXTS = [quoted(name) for name in NAMES if name] + ['"a"', '"b"', '"all"', '"sgd"', '"x"', '""']
TIMES = ('"2026-11-01"', '"2026-11-01T00:01:10.000Z"', '"2026-11-01T01:02:00+01:00"')
PATTERNS = ["%", "x_1", r"x\_1", r"x\%%", "%t%", "F%", "f%", "a*b[c]", "_", "%*%", "", "\\\\"]
NUMERIC = (
    *("priority", "progress.epoch", "progress.fraction", "progress.samples_per_second"),
    *("metrics.loss.min", "metrics.loss.last", "metrics.loss.min_epoch", "metrics.loss.max"),
    *("metrics.val_loss.min", "metrics.val_loss.first", "metrics.none.min"),
)
TEXTUAL = ("name", "tags.t", 'tags."my tag"', "tags.none", "status", "dataset", "id")
OF_JSON = (
    *("training.batch_size", "training.optimizer.learning_rate", "training.optimizer.name"),
    *("training.validation", "training.stop", "final.loss", "network.inputs"),
    *("network.layers.0.activation", "network.layers.5.units", "network.layers.1.units"),
)
LEAVES = st.one_of(
    *(some(name, ORDERED, NUMBERS) for name in NUMERIC),
    *(some(name, (*ORDERED, "like"), [*TEXTS, *map(quoted, PATTERNS)]) for name in TEXTUAL),
    *(some(name, ORDERED, [*NUMBERS, *TEXTS]) for name in OF_JSON),
    some("training.shuffle", ("=", "!="), ("true", "false", "1", '"true"')),
    *(some(name, ORDERED, TIMES) for name in ("created_at", "started_at")),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' OR '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=6,
)
KEYS = (
    *("created_at", "started_at", "status", "name", "priority", "id", "progress.fraction"),
    *("tags.t", "metrics.val_loss.min", "metrics.loss.last"),
    *("training.batch_size", "training.optimizer.learning_rate", "training.validation.fraction"),
)
ORDERS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["", " asc", " desc"])),
    min_size=1,
    max_size=3,
    unique_by=lambda key: key[0],
).map(lambda keys: ", ".join(map("".join, keys)))

# Walk the rows in their order; look up what an index finds; the one or the other.
FEW = st.sampled_from([0, 20, 10**9])
THOROUGH = settings(max_examples=60, deadline=None)


def every(database: Database, *, limit: int = 1000, **asked: Any) -> list[str]:
    """The ids of a whole list, page by page."""
    ids: list[str] = []
    cursor = None
    while True:
        with database.read() as session:
            page = jobs.list_page(session, LOCAL_TENANT, limit=limit, cursor=cursor, **asked)
        ids += [row.id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return ids


@THOROUGH
@given(text=FILTERS, few=FEW)
def test_what_is_found_is_what_the_filter_means(stock: Stock, few: int, text: str) -> None:
    tree = read_filter(text, JOB_FIELDS)
    expected = {job["id"] for job in stock.jobs if holds(tree, job)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "FEW", few)
        found = every(stock.database, where=tree)

    assert len(found) == len(set(found))
    assert expected == set(found)


def sorted_by(facts: list[Facts], order: str) -> list[str]:
    """By the last key first; what has no value goes to the end, and a text after a number."""
    keys = read_order(order, JOB_FIELDS)
    found = sorted(facts, key=lambda job: str(job["id"]), reverse=keys[-1].descending)
    for key in reversed(keys):
        groups: tuple[list[Facts], ...] = ([], [], [])
        for job in found:
            value = value_of(key.field, job)
            if value is None or isinstance(value, bool):
                groups[2].append(job)
            else:
                groups[isinstance(value, str)].append(job)
        for group in groups[:2]:
            group.sort(key=partial(value_of, key.field), reverse=key.descending)
        found = [job for group in groups for job in group]
    return [str(job["id"]) for job in found]


@THOROUGH
@given(order=ORDERS, limit=st.sampled_from([7, 50, 119, 120]), filtered=st.booleans(), few=FEW)
def test_pages_of_any_order_give_every_row_once_and_in_order(
    stock: Stock, few: int, order: str, limit: int, filtered: bool
) -> None:
    tree = read_filter('tags.t in ("a", "b", "c")', JOB_FIELDS) if filtered else None
    chosen = [job for job in stock.jobs if tree is None or holds(tree, job)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "FEW", few)
        found = every(stock.database, limit=limit, where=tree, order=read_order(order, JOB_FIELDS))

    assert sorted_by(chosen, order) == found


def test_a_row_that_comes_while_pages_are_turned_makes_no_other_twice(database: Database) -> None:
    before = [submit(database, mazur_job(epochs=n)) for n in range(1, 8)]
    order = read_order("priority desc, created_at", JOB_FIELDS)
    with database.read() as session:
        first = jobs.list_page(session, LOCAL_TENANT, limit=3, cursor=None, order=order)
    submit(database, mazur_job() | {"priority": 9})
    with database.read() as session:
        rest = jobs.list_page(
            session, LOCAL_TENANT, limit=10, cursor=first.next_cursor, order=order
        )

    assert before == [row.id for row in (*first.rows, *rest.rows)]


def test_a_cursor_belongs_to_its_filter_and_its_order(stock: Stock) -> None:
    order = read_order("name", JOB_FIELDS)
    with stock.database.read() as session:
        cursor = jobs.list_page(
            session, LOCAL_TENANT, limit=3, cursor=None, order=order
        ).next_cursor
    others: list[dict[str, Any]] = [
        {},
        {"order": read_order("name desc", JOB_FIELDS)},
        {"order": order, "where": read_filter('status = "failed"', JOB_FIELDS)},
    ]
    for asked in others:
        with pytest.raises(Invalid, match="keep its filter"), stock.database.read() as session:
            jobs.list_page(session, LOCAL_TENANT, limit=3, cursor=cursor, **asked)


def test_an_owner_finds_nothing_of_another_one(stock: Stock) -> None:
    for few in (0, 10**9):
        for words in ('tags.t = "a"', "metrics.loss.min < 5", 'status = "failed"', "priority >= 0"):
            with pytest.MonkeyPatch.context() as patch, stock.database.read() as session:
                patch.setattr(searching, "FEW", few)
                for order in ("created_at", "metrics.loss.min", "tags.t desc"):
                    page = jobs.list_page(
                        session,
                        "ten_other",
                        limit=5,
                        cursor=None,
                        where=read_filter(words, JOB_FIELDS),
                        order=read_order(order, JOB_FIELDS),
                    )
                    assert not page.rows, (words, order)
