"""Keys: who may ask, on whose behalf, and for what. A key itself is nowhere in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class ApiKeyRow(Owned, Base):
    """A key as the service knows it: by its prefix, and by the hash of the whole."""

    __tablename__ = "api_key"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    prefix: Mapped[str] = mapped_column(unique=True)  # public: it is looked up by it
    sha256: Mapped[str]  # of the whole key
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
