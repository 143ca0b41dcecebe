"""The page of the tables says what the tables are, column by column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import JSON, Column, DateTime, Float, Integer, LargeBinary, String

from backpropd.store.tables import Base

PAGE = (Path(__file__).parents[2] / "docs/reference/history-tables.md").read_text()
TABLES = [
    name for name in Base.metadata.tables if name.startswith(("history_", "batch_", "metric"))
]
TYPES = {
    String: "text",
    Integer: "integer",
    JSON: "JSON",
    LargeBinary: "bytes",
    DateTime: "time",
    Float: "float64",
}


def told(column: Column[object]) -> str:
    kind = getattr(column.type, "impl", column.type)
    name = next(word for type_, word in TYPES.items() if isinstance(kind, type_))
    return name + (", key" if column.primary_key else "") + (" or null" if column.nullable else "")


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_every_column(name: str) -> None:
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (mine,) = [each for each in section if each.startswith(f"{name}\n")]
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", mine, re.MULTILINE))

    assert {column.name: told(column) for column in Base.metadata.tables[name].columns} == shown


def test_the_page_names_no_other_table() -> None:
    titles = set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))

    assert set(TABLES) == titles
