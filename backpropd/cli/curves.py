"""Curves drawn with the signs of a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotext

MARKERS = ("dot", "braille", "x", "star")
WIDTH, HEIGHT = 96, 20  # characters

Curve = tuple[str, Sequence[float], Sequence[float]]  # its label, where, and how much


def drawn(curves: Sequence[Curve], *, title: str) -> str:
    """Curves in one frame, as lines of text; what is not finite is left out."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(WIDTH, HEIGHT)
    for number, (label, x, y) in enumerate(curves):
        points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
        if points:
            plotext.plot(*zip(*points, strict=True), label=label, marker=MARKERS[number % 4])
    plotext.title(title)
    # The theme has no colours, but escape sequences all the same, which a log would keep.
    text: str = plotext.uncolorize(plotext.build())
    return text


def curves_of(history: Mapping[str, Any], prefix: str = "") -> list[Curve]:
    """The series of a history of the contract, each as a curve."""
    return [
        (f"{prefix}{metric}", history["epoch"], [float(value) for value in values])
        for metric, values in history["series"].items()
    ]
