"""Network definitions, immutable once made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class NetworkRow(Owned, Base):
    """A definition, with every default filled in."""

    __tablename__ = "network"
    __table_args__ = (Index(None, "tenant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    definition: Mapped[dict[str, Any]]
    sha256: Mapped[str]  # of the definition's canonical JSON
    parameter_count: Mapped[int]
    created_at: Mapped[datetime]
