"""Owners, by the names that an operator gives them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id
from backpropd.store.clock import now
from backpropd.store.once import added
from backpropd.store.tables import TenantRow
from backpropd.store.tables.tenant import MAX_RUNNING


def named(session: Session, name: str) -> TenantRow:
    """The owner with this name, who is made where there is none."""
    query = select(TenantRow).where(TenantRow.name == name)
    row = session.scalar(query)
    if row is not None:
        return row
    row = TenantRow(id=new_id("ten"), name=name, max_running=MAX_RUNNING, created_at=now())
    return added(session, row, query)


def names(session: Session, tenant_ids: Iterable[str]) -> dict[str, str]:
    """Of each id its owner's name."""
    query = select(TenantRow.id, TenantRow.name).where(TenantRow.id.in_(set(tenant_ids)))
    return {row.id: row.name for row in session.execute(query)}
