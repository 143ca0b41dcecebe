"""`backpropd parts`: the page about every part of the engine, from the parts' own definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from backpropd.cli.app import app
from backpropd.engine import PARTS, Part, Setting

TITLES = {
    "activation": "Activations",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "init": "Initializers",
    "normalization": "Normalizations",
    "clip": "Gradient clipping",
    "metric": "Metrics",
}


@app.command()
def parts() -> None:
    """Print the page docs/reference/parts.md: every activation, loss, optimizer and the rest."""
    typer.echo(page(), nl=False)


def page() -> str:
    """The page, in Markdown."""
    return "".join(line + "\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Parts"
    yield ""
    yield (
        "What a definition may name, made by `backpropd parts` from the definitions in "
        "`backpropd/engine/`; `GET /v1/catalog` says the same."
    )
    yield (
        'A part without settings, or with their defaults, is its name: `"tanh"`; else an object: '
        '`{"name": "tanh", "slope": 2}`. The source is whose convention is followed; where others '
        "differ it says how."
    )
    for kind, registry in PARTS.items():
        yield ""
        yield f"## {TITLES[kind]}"
        for name, part in registry.items():
            yield ""
            yield f"### {name}"
            yield ""
            yield from _about(part)


def _about(part: type[Part]) -> Iterator[str]:
    yield (part.__doc__ or "").split("\n\n", maxsplit=1)[0]
    yield ""
    yield f"- formula: `{part.formula}`"
    derivative = getattr(part, "derivative", None)
    if derivative is not None:
        yield f"- derivative: `{derivative}`"
    yield f"- source: {part.source}"
    for setting in part.settings():
        yield f"- `{setting.name}`: {setting.meaning} {_bounds(setting)}"


def _bounds(setting: Setting) -> str:
    """In words: what it is by default, and what it may be."""
    said = [f"Default {_shown(setting.default)}"]
    if setting.choices:
        said.append("one of " + ", ".join(setting.choices))
    limits = (
        ("above", setting.above),
        ("at least", setting.least),
        ("below", setting.below),
        ("at most", setting.most),
    )
    said += [f"{word} {_shown(limit)}" for word, limit in limits if limit is not None]
    return ", ".join(said) + "."


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, int | float) else f"{value}"
