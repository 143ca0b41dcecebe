"""Whose request it is, and what it may do: the key becomes a principal, before any view runs.

As long as there has never been a key, a server that only its own machine can reach needs none, and
everything belongs to the local owner.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime

from cachetools import TTLCache
from flask import Flask, g, request

from backpropd.spec.canonical import sha256_hex
from backpropd.spec.keys import Scope
from backpropd.store import keys
from backpropd.store.audit import LOCAL, Actor
from backpropd.store.clock import now
from backpropd.store.tables import LOCAL_TENANT
from service import scopes
from service.context import context, database
from service.problems import Refusal
from service.rates import Rates

KNOWN_SECONDS = 2.0  # for so long a key that was good is taken for good; revoking waits for it
MOST_KNOWN = 10_000
BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the owner on whose behalf, the key's id, and what the key allows."""

    tenant_id: str
    key_id: str | None
    scopes: frozenset[Scope]
    expires_at: datetime | None = None


EVERYBODY = Principal(LOCAL_TENANT, None, frozenset(Scope))


class KnownKeys:
    """The keys that were good a moment ago, by their hash; and whether there are keys at all."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._principals: TTLCache[str, Principal] = TTLCache(MOST_KNOWN, KNOWN_SECONDS)
        self._lock = threading.Lock()
        self._needed_until = 0.0
        self._needed = False

    def principal(self, presented: str) -> Principal | None:
        """Who presented this key, or None where it is no living one."""
        sha256 = sha256_hex(presented.encode())
        with self._lock:
            known = self._principals.get(sha256)
        if known is not None:
            return known if known.expires_at is None or known.expires_at > now() else None
        self._rates.check_guesses()
        with database().read() as session:
            row = keys.verify(session, presented)
        if row is None:
            self._rates.count_guess()
            return None
        allowed = frozenset(Scope(scope) for scope in row.scopes)
        principal = Principal(row.tenant_id, row.id, allowed, row.expires_at)
        with self._lock:
            self._principals[sha256] = principal
        self._needed = True  # there is one
        return principal

    def needed(self) -> bool:
        """Whether a request without a key is refused; keys are never deleted, so for good."""
        if self._needed or context().settings.keys_required:
            return True
        if time.monotonic() >= self._needed_until:
            with database().read() as session:
                self._needed = keys.any_exist(session)
            self._needed_until = time.monotonic() + KNOWN_SECONDS
        return self._needed


def principal() -> Principal:
    """Who makes the current request."""
    found: Principal = g.principal
    return found


def tenant() -> str:
    """The owner on whose behalf the current request acts."""
    return principal().tenant_id


def actor() -> Actor:
    """Who makes the current request, for the audit log."""
    return Actor(principal().key_id or LOCAL, g.request_id)


def install(app: Flask, rates: Rates) -> None:
    """Let no request of the app reach a view that its key does not allow."""
    scopes.check(app)
    known = KnownKeys(rates)

    @app.before_request
    def authenticate() -> None:
        if request.url_rule is None:
            return  # there is nothing at this address, for nobody
        needed = scopes.scope_of(request.method, request.url_rule.rule)
        if needed is scopes.PUBLIC:
            return
        g.principal = _principal(known)
        if needed not in g.principal.scopes:
            detail = f"This needs a key with the scope {needed.value}."
            raise Refusal(403, "missing_scope", detail)
        if g.principal.key_id is not None:
            rates.take(g.principal.key_id)


def _principal(known: KnownKeys) -> Principal:
    presented = request.headers.get("Authorization")
    if presented is None:
        if known.needed():
            raise Refusal(401, "no_key", "Send a key: Authorization: Bearer bp_...")
        return EVERYBODY
    if not presented.startswith(BEARER):
        raise Refusal(401, "bad_key", "Authorization is Bearer, a space, and a key: bp_...")
    found = known.principal(presented.removeprefix(BEARER).strip())
    if found is None:
        raise Refusal(401, "bad_key", "This key is unknown, revoked or expired.")
    return found
