"""The single file: run by a Python that has NumPy and nothing else of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpropd.engine import ACTIVATIONS
from backpropd.engine.normalizations import NORMALIZATIONS
from backpropd.export.predictor import to_python
from tests.export.models import GRAPHS, model_of, numbers_dataset, table_dataset


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which NumPy alone can be imported."""
    folder = tmp_path_factory.mktemp("bare")
    home = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (home / name).exists():
            (folder / name).symlink_to(home / name)
    return {"PYTHONPATH": str(folder), "PATH": os.defpath}


def python(env: dict[str, str], *arguments: str, folder: Path) -> str:
    """What such a Python prints. -S: without site-packages."""
    line = [sys.executable, "-S", *arguments]
    done = subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(env: dict[str, str], content: bytes, rows: Any, folder: Path) -> tuple[Any, Any]:
    """(outputs, predictions) of the file for these rows."""
    (folder / "model.py").write_bytes(content)
    program = "import json, sys, model; rows = json.load(sys.stdin); "
    program += "print(json.dumps([model.outputs(rows).tolist(), model.predict(rows)]))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=env,
        cwd=folder,
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs, predictions = json.loads(done.stdout)
    return outputs, predictions


def test_it_needs_numpy_alone(bare: dict[str, str], tmp_path: Path) -> None:
    found = python(bare, "-c", "import numpy, sys; print(*sys.modules)", folder=tmp_path)

    assert "numpy" in found
    with pytest.raises(AssertionError, match="No module named"):
        python(bare, "-c", "import backpropd", folder=tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_words_gaps_scales_and_classes_are_inside(
    bare: dict[str, str], tmp_path: Path, dtype: str
) -> None:
    dataset = table_dataset(tmp_path / "x", task="classification")
    model, predictor = model_of(dataset, GRAPHS["chain"], dtype)
    rows = [[0.5, "red", 100_001], [None, "green", 100_002], [3, None, 100_003]]
    rows += [{"size": 1, "colour": "purple", "weight": 100_004}]  # type: ignore[list-item]
    words = [[0, 0, 1], [0, 1, 0], [np.nan] * 3, [0, 0, 0]]
    X = np.hstack([[[0.5], [np.nan], [3], [1]], words, [[100_001 + n] for n in range(4)]])
    expected = predictor.outputs(X)
    outputs, classes = ask(bare, to_python(model), rows, tmp_path)

    np.testing.assert_allclose(outputs, expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    assert classes == predictor.labels(expected)


def test_every_part_is_written_out(bare: dict[str, str], tmp_path: Path) -> None:
    """
    All activations side by side, under every normalization, in one network.
    """
    layers: list[dict[str, Any]] = [
        {"name": f"{name}-{kind or 'plain'}", "units": 2, "activation": name, "from": ["inputs"]}
        | {"normalization": kind}
        for name in ACTIVATIONS
        for kind in (None, *NORMALIZATIONS)
    ][:63]
    layers += [{"units": 3, "activation": "linear", "from": [each["name"] for each in layers]}]
    dataset = numbers_dataset(3, 3)
    for part in (layers[:-1], layers[40:-1] + layers[:20]):
        last = {**layers[-1], "from": [each["name"] for each in part]}
        model, predictor = model_of(dataset, [*part, last], "float64")
        outputs, values = ask(bare, to_python(model), dataset.inputs.tolist(), tmp_path)

        np.testing.assert_allclose(outputs, predictor.outputs(dataset.inputs), rtol=1e-12)
        assert values == outputs


def test_as_a_program_it_reads_a_file(bare: dict[str, str], tmp_path: Path) -> None:
    dataset = table_dataset(tmp_path / "x", task="classification")
    model, predictor = model_of(dataset, GRAPHS["chain"])
    (tmp_path / "model.py").write_bytes(to_python(model))
    (tmp_path / "rows.csv").write_text("weight,colour,size\n100000,red,1\n100005,,\n")
    said = python(bare, "model.py", "rows.csv", folder=tmp_path).split()
    X = np.array([[1, 0, 0, 1, 100_000], [np.nan] * 4 + [100_005]])

    assert said == ["class", *predictor.labels(predictor.outputs(X))]


def test_no_name_can_be_code(bare: dict[str, str], tmp_path: Path) -> None:
    evil = '"""\'; raise SystemExit(3)\n$x \\ ü 🦆'
    path = tmp_path / "x"
    path.write_text('"' + evil.replace('"', '""') + '",y\n1,a\n2,b\n')
    from backpropd.data.reading import read
    from backpropd.spec.base import parse
    from backpropd.spec.dataset import UploadSpec
    from backpropd.spec.limits import LIMITS

    dataset = read(path, parse(UploadSpec, {"header": True}), "csv", limits=LIMITS)
    model, predictor = model_of(dataset, [{"units": 2, "activation": "softmax"}])
    _, classes = ask(bare, to_python(model), [{evil.strip(): 1.0}], tmp_path)

    assert classes == predictor.labels(predictor.outputs(np.array([[1.0]])))
