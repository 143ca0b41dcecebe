"""What people with power did: never changed, deleted by nobody but the operator."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base


class AuditRow(Base):
    """One act, written in the transaction of the act itself."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    actor: Mapped[str]  # key_..., local where nobody needs a key, command_line
    tenant_id: Mapped[str | None]  # whose thing it was
    action: Mapped[str]  # key.created, key.revoked, job.deleted, ...
    subject: Mapped[str]  # the id of what it was done to
    detail: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]
