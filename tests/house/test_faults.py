"""The page of faults: complete, and every test that it names is there."""

from __future__ import annotations

import ast
import re

from tests.house.reader import ROOT

PAGE = ROOT / "docs/reference/faults.md"
FAULTS = 45
ROW = re.compile(r"^\| (F\d+) \|(?:[^|]+)\|(?:[^|]+)\| (.+) \|$", re.MULTILINE)


def test_every_fault_has_its_row() -> None:
    found = [fault for fault, _ in ROW.findall(PAGE.read_text())]

    assert [f"F{number}" for number in range(1, FAULTS + 1)] == found


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for fault, shown in ROW.findall(PAGE.read_text()):
        for named in re.findall(r"`(.+?)`", shown):
            file, _, name = named.partition("::")
            tree = ast.parse((ROOT / "tests" / file).read_text())
            if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
                missing.append(f"{fault}: {named}")

    assert not missing


def test_what_no_test_shows_is_said_to_be_a_limit() -> None:
    text = PAGE.read_text()
    untested = [fault for fault, shown in ROW.findall(text) if "`" not in shown]
    limits = text.partition("## Known limits")[2]

    assert untested
    assert all(f"- {fault}: " in limits for fault in untested)
