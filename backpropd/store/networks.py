"""Network definitions: made once, read often, deleted when no job needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import canonical_json, new_id, sha256_hex
from backpropd.spec.search import Key, Node
from backpropd.store.clock import now
from backpropd.store.errors import InUse, NotFound
from backpropd.store.ids import is_possible
from backpropd.store.listing import NEWEST_FIRST, search_page
from backpropd.store.paging import Page
from backpropd.store.searchable import NETWORKS
from backpropd.store.tables import JobRow, NetworkRow

MOST_JOBS_NAMED = 20


def create(
    session: Session, tenant_id: str, *, definition: dict[str, Any], parameter_count: int
) -> NetworkRow:
    """Store a definition that has every default filled in."""
    row = NetworkRow(
        id=new_id("net"),
        tenant_id=tenant_id,
        name=definition["name"],
        definition=definition,
        sha256=sha256_hex(canonical_json(definition)),
        parameter_count=parameter_count,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    return row


def find(
    session: Session, tenant_id: str, network_id: str, *, lock: bool = False, hold: bool = False
) -> NetworkRow:
    """The network with this id; raises NotFound, also for somebody else's.

    `lock`: the caller changes it. `hold`: nobody deletes it until the caller's transaction ends.
    """
    asked = {"tenant_id": tenant_id, "network_id": network_id}
    possible = is_possible(network_id)
    row: NetworkRow | None = (
        session.scalar(_find(lock=lock, hold=hold), asked) if possible else None
    )
    if row is None:
        raise NotFound("network", network_id)
    return row


@cache
def _find(*, lock: bool, hold: bool) -> Any:
    owned = NetworkRow.tenant_id == bindparam("tenant_id")
    query = select(NetworkRow).where(owned, NetworkRow.id == bindparam("network_id"))
    return query.with_for_update(read=not lock, key_share=not lock) if lock or hold else query


def definitions(session: Session, network_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The definitions of these networks, by id."""
    query = select(NetworkRow.id, NetworkRow.definition).where(NetworkRow.id.in_(set(network_ids)))
    return {row.id: row.definition for row in session.execute(query)}


def list_page(
    session: Session,
    tenant_id: str,
    *,
    limit: int,
    cursor: str | None,
    where: Node | None = None,
    order: Sequence[Key] = NEWEST_FIRST,
) -> Page[NetworkRow]:
    """The owner's networks that a filter finds, newest first where no order is given."""
    return search_page(
        session, NETWORKS, tenant_id, where=where, order=order, limit=limit, cursor=cursor
    )


def delete(session: Session, tenant_id: str, network_id: str) -> None:
    """Delete a network; raises InUse where jobs need it."""
    # Locked first: a job that is being submitted with it is waited for, and then seen.
    row = find(session, tenant_id, network_id, lock=True)
    jobs = session.scalars(
        select(JobRow.id).where(JobRow.network_id == network_id).limit(MOST_JOBS_NAMED)
    ).all()
    if jobs:
        raise InUse(jobs)
    session.delete(row)
