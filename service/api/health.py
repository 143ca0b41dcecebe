"""/healthz, /readyz and /v1/limits: for operators, and for clients who ask before they send."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.limits import LIMITS
from backpropd.store.errors import Busy
from backpropd.store.migrate import WrongSchema, check_schema
from service import metrics
from service.answers import answer, resource
from service.context import context, database
from service.parameters import NoQuery
from service.representations import HealthOut, LimitsOut, ReadyOut

api = APIBlueprint("health", __name__, abp_tags=[Tag(name="Operations")])


@api.get("/healthz", summary="The process lives", responses={200: HealthOut})
def healthz(query: NoQuery) -> Response:
    """Answers as long as the process does."""
    return answer({"status": "ok"})


@api.get("/readyz", summary="The parts answer", responses={200: ReadyOut, 503: ReadyOut})
def readyz(query: NoQuery) -> Response:
    """200 while database and broker answer; jobs are accepted as long as the database does."""
    checks = {
        "database": _database_check(),
        "broker": "ok" if context().bell.ping() else "no answer",
    }
    ready = set(checks.values()) == {"ok"}
    status = "ready" if ready else "unavailable"
    return answer({"status": status, "checks": checks}, 200 if ready else 503)


def _database_check() -> str:
    try:
        check_schema(database())
    except Busy:
        return "no answer"
    except WrongSchema:
        return "another schema: run `backpropd migrate`"
    return "ok"


@api.get("/metrics", summary="Read the metrics", responses={200: None})
def get_metrics(query: NoQuery) -> Response:
    """What an operator watches, as Prometheus reads it."""
    return metrics.page(database(), context().bell.ping)


@api.get("/v1/limits", summary="Read the limits", responses={200: LimitsOut})
def get_limits(query: NoQuery) -> Response:
    """Every limit in force."""
    return resource({"object": "limits", "limits": asdict(LIMITS)})
