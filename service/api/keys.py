"""/v1/keys, /v1/audit and /v1/whoami: who may ask, and what those did who may do everything."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.keys import KeySpec, RotationSpec, Scope
from backpropd.store import audit, keys, owners
from backpropd.store.database import Session
from backpropd.store.tables import ApiKeyRow, AuditRow
from service.answers import answer, listed, resource, time
from service.auth import actor, principal
from service.context import database
from service.openapi import BODY
from service.parameters import KeyPath, NoQuery, PageQuery
from service.representations import AuditList, KeyList, KeyOut, NewKeyOut, WhoamiOut

api = APIBlueprint("keys", __name__, url_prefix="/v1", abp_tags=[Tag(name="Keys")])


@api.get("/whoami", summary="Who asks", responses={200: WhoamiOut})
def whoami(query: NoQuery) -> Response:
    """The owner on whose behalf this key acts, and what it allows."""
    asking = principal()
    with database().read() as session:
        owner = owners.names(session, [asking.tenant_id])[asking.tenant_id]
    allowed = [scope.value for scope in Scope if scope in asking.scopes]
    return resource(
        {"object": "principal", "owner": owner, "key": asking.key_id, "scopes": allowed}
    )


@api.post("/keys", summary="Create a key", responses={201: NewKeyOut, **BODY})
def create_key(body: KeySpec, query: NoQuery) -> Response:
    """Make a key. This answer shows it; no other one ever does."""
    with database().write() as session:
        row, key = keys.create(session, body, actor())
        made = _represent(row, body.owner)
    return answer({**made, "key": key}, 201, {"Cache-Control": "no-store"})


@api.get("/keys", summary="List keys", responses={200: KeyList})
def list_keys(query: PageQuery) -> Response:
    """The keys of all owners, newest first, without what makes them keys."""
    with database().read() as session:
        page = keys.list_page(session, limit=query.limit, cursor=query.cursor)
        names = owners.names(session, [row.tenant_id for row in page.rows])
    return listed(page, lambda row: _represent(row, names[row.tenant_id]))


@api.post("/keys/<key_id>/revoke", summary="Revoke a key", responses={200: KeyOut})
def revoke_key(path: KeyPath, query: NoQuery) -> Response:
    """End a key, everywhere within two seconds."""
    with database().write() as session:
        row = keys.revoke(session, path.key_id, actor())
        return answer(_represent(row, _owner(session, row)))


@api.post("/keys/<key_id>/rotate", summary="Replace a key", responses={201: NewKeyOut, **BODY})
def rotate_key(path: KeyPath, body: RotationSpec, query: NoQuery) -> Response:
    """Make a key like this one, which ends after the overlap."""
    with database().write() as session:
        row, key = keys.rotate(session, path.key_id, body, actor())
        made = _represent(row, _owner(session, row))
    return answer({**made, "key": key}, 201, {"Cache-Control": "no-store"})


@api.get("/audit", summary="Read the audit log", responses={200: AuditList})
def list_audit(query: PageQuery) -> Response:
    """What was done with power over others' things, newest first."""
    with database().read() as session:
        page = audit.list_page(session, limit=query.limit, cursor=query.cursor)
        owned = [row.tenant_id for row in page.rows if row.tenant_id is not None]
        names = owners.names(session, owned)
    return listed(page, lambda row: _represent_act(row, names))


def _owner(session: Session, row: ApiKeyRow) -> str:
    return owners.names(session, [row.tenant_id])[row.tenant_id]


def _represent(row: ApiKeyRow, owner: str) -> dict[str, Any]:
    return {
        "object": "key",
        "id": row.id,
        "created_at": time(row.created_at),
        "owner": owner,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "expires_at": time(row.expires_at),
        "revoked_at": time(row.revoked_at),
    }


def _represent_act(row: AuditRow, names: dict[str, str]) -> dict[str, Any]:
    return {
        "object": "act",
        "id": row.id,
        "created_at": time(row.created_at),
        "actor": row.actor,
        "owner": None if row.tenant_id is None else names[row.tenant_id],
        "action": row.action,
        "subject": row.subject,
        "detail": row.detail,
        "request_id": row.request_id,
    }
