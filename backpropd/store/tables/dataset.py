"""Datasets: content known by its hash, kept apart from its description."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class DatasetRow(Owned, Base):
    """What a dataset is. The same content of one owner is one dataset."""

    __tablename__ = "dataset"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sha256", "builtin"),
        Index(None, "tenant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    builtin: Mapped[bool]  # kept because a job used builtin:NAME; not listed
    sha256: Mapped[str]
    task: Mapped[str]
    rows: Mapped[int]
    inputs: Mapped[int]
    targets: Mapped[int]
    columns: Mapped[dict[str, Any]]  # kinds, ranges, classes, warnings
    size: Mapped[int]  # bytes of the content
    created_at: Mapped[datetime]


class DatasetContentRow(Owned, Base):
    """The arrays, as a compressed .npz archive."""

    __tablename__ = "dataset_content"

    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[bytes]
