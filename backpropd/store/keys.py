"""Keys: made once and shown once, looked up by their prefix, replaced and revoked.

A key is `bp_PREFIX_SECRET`: 48 random bits that name it, and 256 that nobody guesses. The database
has the SHA-256 of the whole; a fast hash is right for what has so much entropy.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id, sha256_hex
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.keys import KeySpec, RotationSpec, Scope
from backpropd.store import audit, owners
from backpropd.store.audit import Actor
from backpropd.store.clock import now
from backpropd.store.errors import NotFound
from backpropd.store.ids import is_possible
from backpropd.store.paging import Page, page
from backpropd.store.tables import ApiKeyRow

FORM = re.compile(r"bp_([0-9a-f]{12})_[0-9a-f]{64}")
NO_KEY = sha256_hex(b"")  # what an unknown prefix is compared to, so that it takes as long


def create(session: Session, spec: KeySpec, actor: Actor) -> tuple[ApiKeyRow, str]:
    """A new key for this owner, who is made where there is none; and the key itself.

    Raises Invalid where it would have expired already.
    """
    tenant_id = owners.named(session, spec.owner).id
    return _create(session, tenant_id, spec.scopes, spec.name, spec.expires_at, actor)


def rotate(
    session: Session, key_id: str, spec: RotationSpec, actor: Actor
) -> tuple[ApiKeyRow, str]:
    """A new key in the place of this one, which goes on for the overlap, and the key itself.

    Raises NotFound, and Invalid where the old key is dead already or the new one would be.
    """
    old = find(session, key_id, lock=True)
    if not is_alive(old):
        detail = f"{key_id} is revoked or has expired; create a new key."
        raise Invalid([Fault("/key_id", "dead_key", detail)])
    expires_at = spec.expires_at or old.expires_at
    new, key = _create(session, old.tenant_id, old.scopes, old.name, expires_at, actor)
    end = now() + timedelta(seconds=spec.overlap_seconds)
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    audit.record(session, actor, "key.rotated", old.id, tenant_id=old.tenant_id, replaced_by=new.id)
    return new, key


def revoke(session: Session, key_id: str, actor: Actor) -> ApiKeyRow:
    """End a key now; repeating it changes nothing. Raises NotFound."""
    row = find(session, key_id, lock=True)
    if row.revoked_at is None:
        row.revoked_at = now()
        audit.record(session, actor, "key.revoked", row.id, tenant_id=row.tenant_id)
    return row


def find(session: Session, key_id: str, *, lock: bool = False) -> ApiKeyRow:
    """The key with this id, whoever owns it; raises NotFound."""
    query = select(ApiKeyRow).where(ApiKeyRow.id == key_id)
    if lock:
        query = query.with_for_update()
    row = session.scalar(query) if is_possible(key_id) else None
    if row is None:
        raise NotFound("key", key_id)
    return row


def list_page(session: Session, *, limit: int, cursor: str | None) -> Page[ApiKeyRow]:
    """All keys of all owners, newest first."""
    return page(session, select(ApiKeyRow), ApiKeyRow, limit=limit, cursor=cursor)


def verify(session: Session, presented: str) -> ApiKeyRow | None:
    """The living key that was presented, or None."""
    form = FORM.fullmatch(presented)
    if form is None:
        return None
    row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.prefix == form[1]))
    kept = NO_KEY if row is None else row.sha256
    same = hmac.compare_digest(sha256_hex(presented.encode()), kept)
    return row if row is not None and same and is_alive(row) else None


def is_alive(row: ApiKeyRow) -> bool:
    """Whether the key is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now())


def any_exist(session: Session) -> bool:
    """Whether there has ever been a key. From then on everybody needs one."""
    return bool(session.scalar(select(exists().where(ApiKeyRow.id.is_not(None)))))


def any_alive(session: Session) -> bool:
    """Whether there is a key that opens something."""
    unrevoked = ApiKeyRow.revoked_at.is_(None)
    unexpired = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now())
    return bool(session.scalar(select(exists().where(unrevoked, unexpired))))


def _create(
    session: Session,
    tenant_id: str,
    scopes: Sequence[str],
    name: str | None,
    expires_at: datetime | None,
    actor: Actor,
) -> tuple[ApiKeyRow, str]:
    if expires_at is not None and expires_at <= now():
        raise Invalid([Fault("/expires_at", "out_of_range", "This instant is past.")])
    prefix = secrets.token_hex(6)
    key = f"bp_{prefix}_{secrets.token_hex(32)}"
    row = ApiKeyRow(
        id=new_id("key"),
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        sha256=sha256_hex(key.encode()),
        scopes=[Scope(scope).value for scope in scopes],
        created_at=now(),
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "key.created", row.id, tenant_id=tenant_id, scopes=row.scopes)
    return row, key
