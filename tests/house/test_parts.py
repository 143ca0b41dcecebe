"""A new part takes one definition: everything else about it comes by itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backpropd.cli.parts import TITLES, page
from backpropd.engine import PARTS

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/add-a-part.md"
ASK = """
import json, sys
from backpropd.settings import Settings
from backpropd.store.database import Database
from backpropd.store.migrate import upgrade
from service.app import create_app
upgrade(Database("sqlite:///parts.sqlite"))
client = create_app(Settings(database_url="sqlite:///parts.sqlite")).test_client()
for alpha in (2, -1):
    layers = [{"units": 1, "activation": {"name": "isru", "alpha": alpha}}]
    body = {"inputs": 2, "layers": layers}
    print(json.dumps(client.post("/v1/networks/validate", json=body).get_json()["errors"]))
parts = client.get("/v1/catalog").get_json()["parts"]["activation"]
print([part["defaults"] for part in parts if part["name"] == "isru"])
document = client.get("/v1/openapi.json").get_data(as_text=True)
print("IsruActivationSpec" in document)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with the how-to's class at the end of the file it names."""
    copy = tmp_path_factory.mktemp("house")
    for part in ("backpropd", "service", "tests", "pyproject.toml", "docs"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / part)
    blocks = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    definition = blocks[0][blocks[0].index("@ACTIVATIONS.add") :]
    file = copy / "backpropd/engine/activations.py"
    file.write_text(file.read_text() + "\n\n" + definition)
    return copy


def run(house: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy."""
    env = os.environ | {"PYTHONPATH": str(house), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, *arguments]
    return subprocess.run(line, cwd=house, env=env, capture_output=True, text=True, check=False)


def test_a_new_part_can_be_asked_for_and_is_in_the_catalog(house: Path) -> None:
    said = run(house, "-c", ASK)
    good, bad, defaults, documented = said.stdout.splitlines()

    assert good == "[]", said.stderr
    assert "/layers/0/activation/alpha" in bad
    assert defaults == "[{'alpha': 1.0}]"
    assert documented == "True"


def test_a_new_part_is_on_its_page(house: Path) -> None:
    said = run(house, "-m", "backpropd.cli", "parts")

    assert "### isru" in said.stdout, said.stderr
    assert "Carlile et al. 2017" in said.stdout


def test_a_new_parts_gradient_is_checked(house: Path) -> None:
    said = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
               "tests/engine/test_gradient.py", "-k", "isru and not trace")  # fmt: skip

    assert said.returncode == 0, said.stdout[-2000:]
    assert re.search(r"\d+ passed", said.stdout)


def test_a_new_part_without_a_twin_is_told_by_name(house: Path) -> None:
    """
    The activation has a case for PyTorch by itself; what PyTorch computed of it is not recorded.
    """
    said = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
               "tests/oracles/test_pytorch.py", "-k", "left_out")  # fmt: skip

    assert said.returncode == 1
    assert "activation isru" in said.stdout


def test_the_page_of_parts_is_fresh() -> None:
    """
    Write it anew with `backpropd parts > docs/reference/parts.md`.
    """
    assert (ROOT / "docs/reference/parts.md").read_text() == page()


def test_every_kind_has_a_title() -> None:
    assert set(TITLES) == set(PARTS)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, parts in PARTS.items() for name in parts]
)
def test_every_part_says_what_it_is(kind: str, name: str) -> None:
    part = PARTS[kind][name]

    assert part.__doc__
    assert part.formula
    assert part.source
    assert kind != "activation" or part.derivative
