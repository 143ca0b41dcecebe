"""SQLite's names for our types: a STRICT table knows these alone, and refuses any other value.

The tables themselves are made STRICT in the migrations, each by `sqlite_strict=True`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Double, Float, String
from sqlalchemy.ext.compiler import compiles

NAMES: dict[type, str] = {
    String: "TEXT",
    DateTime: "TEXT",
    JSON: "TEXT",
    Boolean: "INTEGER",
    BigInteger: "INTEGER",
    Float: "REAL",
    Double: "REAL",
}


def _name(type_: type, name: str) -> None:
    @compiles(type_, "sqlite")
    def render(element: Any, compiler: Any, **options: Any) -> str:
        return name


for _type, _its_name in NAMES.items():
    _name(_type, _its_name)
