"""What a key must allow for each operation: the whole list on one page.

An operation that is missing here keeps the service from starting, so none is open by accident.
"""

from __future__ import annotations

from flask import Flask

from backpropd.spec.keys import Scope

PUBLIC = None  # asked without any key
READ, WRITE, ADMIN = Scope.READ, Scope.WRITE, Scope.ADMIN

SCOPES: dict[str, Scope | None] = {
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /v1/openapi.json": PUBLIC,
    "GET /v1/docs": PUBLIC,
    "GET /v1/docs/start.js": PUBLIC,
    "GET /v1/docs/<any(css, js):kind>/<name>": PUBLIC,
    # The pages hold nothing; what they show they ask for with the visitor's key.
    "GET /": PUBLIC,
    "GET /step-by-step": PUBLIC,
    "GET /compare": PUBLIC,
    "GET /jobs/new": PUBLIC,
    "GET /jobs/<job_id>": PUBLIC,
    "GET /jobs/<job_id>/network": PUBLIC,
    "GET /assets/<digest>/<path:name>": PUBLIC,
    "GET /v1/limits": READ,
    "GET /v1/catalog": READ,
    "GET /v1/whoami": READ,
    "POST /v1/networks": WRITE,
    "POST /v1/networks/validate": READ,
    "GET /v1/networks": READ,
    "GET /v1/networks/<network_id>": READ,
    "DELETE /v1/networks/<network_id>": WRITE,
    "POST /v1/datasets": WRITE,
    "GET /v1/datasets": READ,
    "GET /v1/datasets/builtin": READ,
    "GET /v1/datasets/<dataset_id>": READ,
    "GET /v1/datasets/<dataset_id>/schema": READ,
    "GET /v1/datasets/<dataset_id>/rows": READ,
    "DELETE /v1/datasets/<dataset_id>": WRITE,
    "POST /v1/jobs": WRITE,
    "POST /v1/jobs/batch": WRITE,
    "GET /v1/jobs": READ,
    "GET /v1/jobs/<job_id>": READ,
    "DELETE /v1/jobs/<job_id>": WRITE,
    "POST /v1/jobs/<job_id>/cancel": WRITE,
    "POST /v1/jobs/<job_id>/pause": WRITE,
    "POST /v1/jobs/<job_id>/resume": WRITE,
    "POST /v1/jobs/<job_id>/retry": WRITE,
    "POST /v1/jobs/<job_id>/extend": WRITE,
    "POST /v1/jobs/<job_id>/clone": WRITE,
    "GET /v1/jobs/<job_id>/attempts": READ,
    "GET /v1/jobs/<job_id>/events": READ,
    "GET /v1/jobs/<job_id>/events/stream": READ,
    "GET /v1/jobs/<job_id>/history": READ,
    "GET /v1/jobs/<job_id>/batches": READ,
    "GET /v1/jobs/<job_id>/layers": READ,
    "GET /v1/jobs/<job_id>/confusion": READ,
    "POST /v1/history/compare": READ,
    "GET /v1/jobs/<job_id>/snapshots": READ,
    "GET /v1/jobs/<job_id>/snapshots/<snapshot>/weights": READ,
    "POST /v1/jobs/<job_id>/predict": READ,
    "POST /v1/jobs/<job_id>/evaluate": READ,
    "POST /v1/weights": WRITE,
    "GET /v1/weights": READ,
    "GET /v1/weights/<weights_id>": READ,
    "DELETE /v1/weights/<weights_id>": WRITE,
    "POST /v1/trace": READ,
    "POST /v1/keys": ADMIN,
    "GET /v1/keys": ADMIN,
    "POST /v1/keys/<key_id>/revoke": ADMIN,
    "POST /v1/keys/<key_id>/rotate": ADMIN,
    "GET /v1/audit": ADMIN,
    "GET /v1/workers": ADMIN,
    "POST /v1/workers/<worker_id>/drain": ADMIN,
    "POST /v1/workers/<worker_id>/resume": ADMIN,
    "GET /metrics": ADMIN,
}


class Undeclared(RuntimeError):
    """Operations without a declared scope; add them to service/scopes.py."""

    def __init__(self, operations: list[str]) -> None:
        super().__init__(f"{type(self).__doc__} {', '.join(operations)}")


def scope_of(method: str, rule: str) -> Scope | None:
    """What this operation needs; HEAD is a GET, and OPTIONS tells nothing that is secret."""
    if method == "OPTIONS":
        return PUBLIC
    return SCOPES[f"{'GET' if method == 'HEAD' else method} {rule}"]


def operations(app: Flask) -> list[str]:
    """Every operation of the app, as this page names it."""
    return sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def check(app: Flask) -> None:
    """Raise Undeclared where the app has an operation that this page does not."""
    if missing := [each for each in operations(app) if each not in SCOPES]:
        raise Undeclared(missing)
