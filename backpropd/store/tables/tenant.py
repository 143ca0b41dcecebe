"""Owners. Where nobody needs a key, everything belongs to the local one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base

LOCAL_TENANT = "ten_local"
LOCAL_NAME = "local"
MAX_RUNNING = 10_000  # of an owner for whom nothing else was said


class TenantRow(Base):
    """Somebody whose rows nobody else sees."""

    __tablename__ = "tenant"
    __table_args__ = (Index("uq_tenant_name", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    max_running: Mapped[int]  # jobs at once, so that one owner can't take every worker
    created_at: Mapped[datetime]
