"""The audit log: what people with power did, written with the act itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id
from backpropd.store.clock import now
from backpropd.store.paging import Page, page
from backpropd.store.tables import AuditRow

COMMAND_LINE = "command_line"
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a key's id, LOCAL where nobody needs one, or COMMAND_LINE; and in which request."""

    name: str
    request_id: str | None = None


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    *,
    tenant_id: str | None = None,
    **detail: Any,
) -> None:
    """Write down, in the act's own transaction, who did what to what."""
    session.add(
        AuditRow(
            id=new_id("aud"),
            created_at=now(),
            actor=actor.name,
            tenant_id=tenant_id,
            action=action,
            subject=subject,
            detail=detail,
            request_id=actor.request_id,
        )
    )


def list_page(session: Session, *, limit: int, cursor: str | None) -> Page[AuditRow]:
    """Everything that was done, newest first."""
    return page(session, select(AuditRow), AuditRow, limit=limit, cursor=cursor)
