"""Columns of float64 as bytes and back, exactly: NaN, infinities and signs of zero included.

The bytes of all numbers are sorted by their place (all first bytes, then all second ones, ...), so
that the slowly changing ones stand together, and then compressed with zlib.
docs/reference/history-tables.md does it by hand.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Level 1: the higher ones take several times as long for a few percent (bench/history.py).
LEVEL = 1


def pack(columns: Sequence[Floats]) -> bytes:
    """Columns of equal length (n,) as bytes."""
    values = np.stack(columns).astype("<f8", copy=False)
    places = values.view(np.uint8).reshape(values.size, 8).T
    return zlib.compress(np.ascontiguousarray(places).tobytes(), LEVEL)


def unpack(payload: bytes, columns: int, wanted: Sequence[int] | None = None) -> list[Floats]:
    """Of the columns that `pack` was given those with these indices; all of them without any."""
    places = np.frombuffer(zlib.decompress(payload), np.uint8).reshape(8, columns, -1)
    return [
        np.ascontiguousarray(places[:, column].T).view("<f8").reshape(-1)
        for column in (range(columns) if wanted is None else wanted)
    ]
