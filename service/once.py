"""A request that is repeated with its Idempotency-Key creates once and is answered alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import request

from backpropd.failpoints import failpoint
from backpropd.spec.canonical import canonical_json, sha256_hex
from backpropd.store import idempotency
from backpropd.store.database import Session
from backpropd.store.errors import Raced
from service.auth import tenant
from service.context import database

MOST_RACES = 3
JOBS = "/v1/jobs"

Answer = dict[str, Any]


def created_once(create: Callable[[Session], Answer], key: str | None) -> tuple[Answer, bool]:
    """The answer of `create`, in one transaction with its key; and whether it is an earlier one."""
    sha256 = _sha256() if key else ""
    for _ in range(MOST_RACES):
        try:
            return _created(create, key, sha256)
        except Raced:
            continue  # another request with the key has just committed: replay its answer
    return _created(create, key, sha256)


def _created(
    create: Callable[[Session], Answer], key: str | None, sha256: str
) -> tuple[Answer, bool]:
    with database().write() as session:
        if key is not None:
            known = idempotency.replay(session, tenant(), key, sha256)
            if known is not None:
                return known, True
        answer = create(session)
        if key is not None:
            idempotency.remember(
                session, tenant(), key, body_sha256=sha256, status=202, answer=answer
            )
        failpoint("before_commit")
    failpoint("after_commit")  # and before the bell
    return answer, False


def _sha256() -> str:
    """Of what is asked: the body, and the address where it is not the usual one."""
    address = b"" if request.path == JOBS else request.path.encode()
    return sha256_hex(address + canonical_json(request.get_json()))
