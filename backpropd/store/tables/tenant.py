"""Owners. Until there are keys, everything belongs to the local one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base

LOCAL_TENANT = "ten_local"


class TenantRow(Base):
    """Somebody whose rows nobody else sees."""

    __tablename__ = "tenant"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    max_running: Mapped[int]  # jobs at once, so that one owner can't take every worker
    created_at: Mapped[datetime]
