"""A trained network as one Python file that needs NumPy alone.

The file holds the weights, the encoding and the classes, and the forward pass written out, a
statement an operation: it can be read, imported, or run on a CSV file.
"""

from __future__ import annotations

import base64
import io
from pprint import pformat
from string import Template
from typing import Any

import numpy as np

from backpropd.export.model import Model
from backpropd.export.steps import LayerSteps, Result, Step

WIDTH = 96  # of a line of base64
TOLD = ("job", "epoch")
METHODS = {"max": "max", "sum": "sum", "mean": "mean", "variance": "var"}

SOURCE = Template('''\
#!/usr/bin/env python3
"""A network that backpropd trained: $about.

Needs NumPy alone. As a program it reads a CSV file with a header and writes what it predicts:

    python $file rows.csv

As a module, `predict(rows)` takes lists of values in the order of COLUMNS, or dicts by their names;
None is a missing value.
"""

import base64
import csv
import io
import math
import sys

import numpy as np

# Of each input column its name and, of words, its categories.
COLUMNS = $columns
TARGETS = $targets
CLASSES = $classes
DTYPE = $dtype

ARRAYS = np.load(io.BytesIO(base64.b64decode("""
$arrays
""")))
FILL = ARRAYS["fill"] if "fill" in ARRAYS else None  # stands for missing inputs
erf = np.vectorize(math.erf, otypes=[np.float64])


def encode(rows):
    """(N, I): numbers as they are, words one-hot; filled and scaled as training rows were."""
    X = np.full((len(rows), len(ARRAYS["shift"])), np.nan)
    for out, row in zip(X, rows):
        values = [row.get(name) for name, _ in COLUMNS] if isinstance(row, dict) else row
        if len(values) != len(COLUMNS):
            raise ValueError("a row has %d values, not %d" % (len(COLUMNS), len(values)))
        start = 0
        for (name, words), value in zip(COLUMNS, values):
            width = 1 if words is None else len(words)
            if value is None or value == "":
                if FILL is None:
                    raise ValueError("column %r: a value is missing" % name)
                out[start : start + width] = FILL[start : start + width]
            elif words is None:
                out[start] = float(value)
            else:
                out[start : start + width] = [str(value).strip() == word for word in words]
            start += width
    X[:, ARRAYS["unseen"]] = 0
    return (X - ARRAYS["shift"]) / ARRAYS["scale"]


def network(X):
    """(N, O): the outputs for encoded rows."""
    found = {"inputs": X.astype(DTYPE)}
$layers
    return found[$output]


def outputs(rows):
    """(N, O): a probability a class, or a value a target in its own units."""
    with np.errstate(over="ignore", invalid="ignore"):
        return network(encode(rows)) * ARRAYS["target_scale"] + ARRAYS["target_shift"]


def predict(rows):
    """A class a row; in a regression a list with a value a target."""
    Y = outputs(rows)
    if CLASSES is None:
        return Y.tolist()
    if Y.shape[1] == 1:  # one output: how far it is the second class
        Y = np.concatenate([1 - Y, Y], axis=1)
    return [CLASSES[k] for k in Y.argmax(axis=1)]


def main():
    with open(sys.argv[1], newline="", encoding="utf-8-sig") as file:
        rows = [{name: row[name] for name, _ in COLUMNS} for row in csv.DictReader(file)]
    writer = csv.writer(sys.stdout)
    writer.writerow(TARGETS if CLASSES is None else ["class"])
    writer.writerows(predict(rows) if CLASSES is None else ([name] for name in predict(rows)))


if __name__ == "__main__":
    main()
''')


def to_python(model: Model) -> bytes:
    """The file's text. Raises NotExportable for a part that cannot be written."""
    arrays: dict[str, Any] = {}
    layers = "\n".join(line for layer in model.layers for line in _layer(layer, arrays))
    arrays |= _encoding(model)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    text = base64.b64encode(out.getvalue()).decode()
    lines = [text[start : start + WIDTH] for start in range(0, len(text), WIDTH)]
    columns = [
        (column.name, None if column.categories is None else list(column.categories))
        for column in model.columns
    ]
    source = SOURCE.substitute(
        about=", ".join(
            f"{key} {model.about[key]}" for key in ("job", "epoch") if key in model.about
        )
        or "weights",
        file=f"{model.about.get('job', 'model')}.py",
        columns=_literal(columns),
        targets=_literal(list(model.targets)),
        classes=_literal(None if model.classes is None else list(model.classes)),
        dtype=repr(str(model.theta.dtype)),
        arrays="\n".join(lines),
        layers=layers,
        output=repr(model.output_layer),
    )
    return source.encode()


def _literal(value: Any) -> str:
    """Python source of a value, in ASCII, so that no name can be anything but a text."""
    return (
        ascii(value)
        if len(ascii(value)) < 80
        else pformat(value, width=90).encode("ascii", "backslashreplace").decode()
    )


def _encoding(model: Model) -> dict[str, Any]:
    """The arrays of the encoding; without scaling they change nothing."""
    inputs = sum(column.width for column in model.columns)
    shift, scale = model.scaling() or (np.zeros(inputs), np.ones(inputs))
    no_scaling = (np.zeros(model.network.outputs), np.ones(model.network.outputs))
    target_shift, target_scale = model.scaling("target_scaling") or no_scaling
    if model.scaling("target_scaling") is None:  # as the service: nothing becomes float64
        target_shift, target_scale = (
            each.astype(model.theta.dtype) for each in (target_shift, target_scale)
        )
    arrays = {
        "shift": shift,
        "scale": scale,
        "target_shift": target_shift,
        "target_scale": target_scale,
        "unseen": np.array(model.unseen, np.int64),
    }
    return arrays if model.fill is None else arrays | {"fill": model.fill}


def _layer(layer: LayerSteps, arrays: dict[str, Any]) -> list[str]:
    """The statements of a layer."""
    fed = [f"found[{source!r}]" for source in layer.sources]
    x = fed[0] if len(fed) == 1 else f"np.concatenate([{', '.join(fed)}], axis=1)"
    arrays[f"{layer.name}.weight"] = layer.weight
    net = f'{x} @ ARRAYS["{layer.name}.weight"].T'
    if layer.bias is not None:
        arrays[f"{layer.name}.bias"] = layer.bias
        net += f' + ARRAYS["{layer.name}.bias"]'
    lines = [f"r0 = {net}"]
    for step in layer.steps:
        said = [_argument(each, step, layer, arrays) for each in step.arguments]
        lines.append(f"r{step.result} = {_call(step, said)}")
    lines.append(f'found["{layer.name}"] = r{layer.output}')
    return ["    " + line for line in lines]


def _argument(argument: Any, step: Step, layer: LayerSteps, arrays: dict[str, Any]) -> str:
    if isinstance(argument, Result):
        return f"r{argument.number}"
    if isinstance(argument, float):
        return repr(argument)
    name = f"{layer.name}.{step.result}.{len(arrays)}"
    arrays[name] = argument
    return f'ARRAYS["{name}"]'


def _call(step: Step, arguments: list[str]) -> str:
    said = ", ".join(arguments)
    if step.operation in METHODS:
        return f"{said}.{METHODS[step.operation]}(axis=1, keepdims=True)"
    if step.operation == "cast":
        return f"{said}.astype(DTYPE)"
    if step.operation == "erf":
        return f"erf({said}).astype(DTYPE)"
    return f"np.{step.operation}({said})"
