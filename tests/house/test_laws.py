"""Laws of the house that no other tool keeps, and documents that cannot lie."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import validate

from backpropd import engine
from backpropd.settings import Settings
from service.app import create_app

ROOT = Path(__file__).parents[2]


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("file", sorted((ROOT / "backpropd/engine").glob("*.py")), ids=str)
def test_the_engine_knows_numpy_and_itself_alone(file: Path) -> None:
    outside = imports_of(file) - set(sys.stdlib_module_names) - {"numpy", "backpropd"}

    assert not outside


def test_the_engine_reads_no_clock() -> None:
    for file in (ROOT / "backpropd/engine").glob("*.py"):
        assert not imports_of(file) & {"time", "datetime", "random", "logging", "os"}, file


def test_exported_names_exist() -> None:
    assert sorted(engine.__all__) == sorted(set(engine.__all__))
    for name in engine.__all__:
        assert hasattr(engine, name)


def test_every_part_says_its_formula_and_source() -> None:
    for part in (*engine.ACTIVATIONS.values(), *engine.LOSSES.values()):
        assert part.formula
        assert part.source


def test_every_module_says_why_it_exists() -> None:
    for room in ("backpropd", "service", "worker", "migrations"):
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text()
            assert not text or ast.get_docstring(ast.parse(text)), file


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`BACKPROPD_{name.upper()}`" in page, name


@pytest.fixture(scope="module")
def document() -> dict[str, object]:
    """The OpenAPI document, made without a database."""
    app = create_app(Settings(database_url="sqlite:////nonexistent/none.sqlite"))
    found: dict[str, object] = app.test_client().get("/v1/openapi.json").get_json()
    return found


def test_the_openapi_document_is_valid(document: dict[str, object]) -> None:
    validate(document)  # type: ignore[arg-type]


def test_the_openapi_document_covers_every_route(document: dict[str, object]) -> None:
    app = create_app(Settings(database_url="sqlite:////nonexistent/none.sqlite"))
    documents = ("/v1/docs", "/v1/openapi.json")
    pages = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("web.")}
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if not rule.rule.startswith(documents) and rule.rule not in pages
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = document["paths"]
    assert isinstance(paths, dict)
    described = {(path, method) for path, item in paths.items() for method in item}

    assert served == described


def test_the_readmes_make_targets_exist() -> None:
    wanted = set(re.findall(r"make (\w+)", (ROOT / "README.md").read_text()))
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert wanted <= known


def test_compose_runs_commands_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = [each["command"] for each in services.values() if "build" in each]
    assert len(ours) == 4
    for command in ours:
        line = [sys.executable, "-m", "backpropd.cli", command[0], "--help"]
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        for option in command[1:]:
            assert not option.startswith("--") or option in said, option
