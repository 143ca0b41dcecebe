"""Weights that were uploaded: content known by its hash, kept apart from its description."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class WeightsRow(Owned, Base):
    """Which arrays there are. The same content of one owner is one row."""

    __tablename__ = "weights"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sha256"),
        Index(None, "tenant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    sha256: Mapped[str]  # of the content
    arrays: Mapped[dict[str, Any]]  # name -> shape
    size: Mapped[int]  # bytes of the content
    created_at: Mapped[datetime]


class WeightsContentRow(Owned, Base):
    """The arrays, as an .npz archive."""

    __tablename__ = "weights_content"

    weights_id: Mapped[str] = mapped_column(
        ForeignKey("weights.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[bytes]
