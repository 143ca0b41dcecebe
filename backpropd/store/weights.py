"""Weights that were uploaded to begin trainings from; a job takes a copy when it is submitted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id, sha256_hex
from backpropd.store.clock import now
from backpropd.store.errors import Corrupt, NotFound
from backpropd.store.ids import is_possible
from backpropd.store.once import added
from backpropd.store.paging import Page, page
from backpropd.store.tables import WeightsContentRow, WeightsRow


def keep(
    session: Session, tenant_id: str, *, content: bytes, arrays: dict[str, Any], name: str | None
) -> tuple[WeightsRow, bool]:
    """The weights with this content, and whether they are new."""
    sha256 = sha256_hex(content)
    same = select(WeightsRow).where(WeightsRow.tenant_id == tenant_id, WeightsRow.sha256 == sha256)
    known = session.scalar(same)
    if known is not None:
        return known, False
    row = WeightsRow(
        id=new_id("wts"),
        tenant_id=tenant_id,
        name=name,
        sha256=sha256,
        arrays=arrays,
        size=len(content),
        created_at=now(),
    )
    kept = added(session, row, same)
    if kept is not row:
        return kept, False
    session.add(WeightsContentRow(tenant_id=tenant_id, weights_id=row.id, content=content))
    session.flush()
    return row, True


def find(session: Session, tenant_id: str, weights_id: str, *, lock: bool = False) -> WeightsRow:
    """The weights with this id; raises NotFound, also for somebody else's.

    `lock`: the caller changes them.
    """
    query = select(WeightsRow).where(WeightsRow.tenant_id == tenant_id, WeightsRow.id == weights_id)
    if lock:
        query = query.with_for_update()
    row = session.scalar(query) if is_possible(weights_id) else None
    if row is None:
        raise NotFound("weights", weights_id)
    return row


def content(session: Session, row: WeightsRow) -> bytes:
    """The archive; raises Corrupt where it is not what was written, NotFound where it went."""
    kept = session.get(WeightsContentRow, row.id)
    if kept is None:
        raise NotFound("weights", row.id)
    if sha256_hex(kept.content) != row.sha256:
        raise Corrupt
    return kept.content


def list_page(
    session: Session, tenant_id: str, *, limit: int, cursor: str | None
) -> Page[WeightsRow]:
    """The owner's uploaded weights, newest first."""
    query = select(WeightsRow).where(WeightsRow.tenant_id == tenant_id)
    return page(session, query, WeightsRow, limit=limit, cursor=cursor)


def delete(session: Session, tenant_id: str, weights_id: str) -> None:
    """Delete uploaded weights; jobs that began from them have a copy."""
    row = find(session, tenant_id, weights_id, lock=True)
    kept = session.get(WeightsContentRow, row.id)
    if kept is not None:
        session.delete(kept)
    session.flush()
    session.delete(row)
