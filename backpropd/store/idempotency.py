"""The same request twice is one request: its first answer is kept and given again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backpropd.store.clock import now
from backpropd.store.errors import IdempotencyConflict, Raced
from backpropd.store.tables import IdempotencyRow

KEPT = timedelta(hours=24)


def replay(session: Session, tenant_id: str, key: str, body_sha256: str) -> dict[str, Any] | None:
    """The answer this request had before, or None; IdempotencyConflict for another body."""
    row = session.get(IdempotencyRow, (tenant_id, key))
    if row is None or row.created_at < now() - KEPT:
        if row is not None:
            session.delete(row)
            session.flush()
        return None
    if row.body_sha256 != body_sha256:
        raise IdempotencyConflict
    return row.answer


def remember(
    session: Session,
    tenant_id: str,
    key: str,
    *,
    body_sha256: str,
    status: int,
    answer: dict[str, Any],
) -> None:
    """Keep the answer, in the transaction of what it tells.

    Raises Raced where another request with this key was faster: asking again gives its answer.
    """
    row = IdempotencyRow(
        tenant_id=tenant_id,
        key=key,
        body_sha256=body_sha256,
        status=status,
        answer=answer,
        created_at=now(),
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Raced from error


def purge(session: Session) -> None:
    """Forget what is older than a day."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now() - KEPT))
