"""What rows of history are numbered by, and the tables in which they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import aliased

from backpropd.store.tables import (
    BatchBucketRow,
    BatchChunkRow,
    HistoryBucketRow,
    HistoryChunkRow,
)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Rows numbered 1, 2, 3, ..., some of which may be left out."""

    name: str
    chunk: Any  # the table of its chunks
    other_chunk: Any  # the same under another name
    bucket: Any  # the table of its pyramid


EPOCHS = Axis("epoch", HistoryChunkRow, aliased(HistoryChunkRow), HistoryBucketRow)
BATCHES = Axis("update", BatchChunkRow, aliased(BatchChunkRow), BatchBucketRow)
