"""/metrics: true numbers, and a dashboard and alerts that ask for nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backpropd.store import workers
from tests.jobs import claim, mazur_job
from tests.service.conftest import Service, key_of
from tests.service.test_workers import appear

DEPLOY = Path(__file__).parents[2] / "deploy"


def samples(service: Service, **headers: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every number, by its name and the values of its labels."""
    text = service.client.get("/metrics", headers=headers).get_data(as_text=True)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_queue_is_counted(service_on_both: Service) -> None:
    for _ in range(3):
        service_on_both.submit(mazur_job())
    _, job = claim(service_on_both.database)
    appear(service_on_both, job.worker_id or "", slots=4)
    with service_on_both.database.write() as session:
        workers.count_fenced(session, job.worker_id or "")
    found = samples(service_on_both)

    assert (2, 1) == tuple(found["backpropd_jobs", (each,)] for each in ("queued", "running"))
    assert 2 == found["backpropd_queue_depth", ()]
    assert found["backpropd_queue_oldest_seconds", ()] > 0
    assert 4 == found["backpropd_slots", ()]
    assert 1 == found["backpropd_fenced_writes_total", (job.worker_id,)]
    assert 1 == found["backpropd_broker_up", ()]


def test_requests_are_counted_by_route_and_status(service: Service) -> None:
    name = "backpropd_http_requests_total"
    before = samples(service)
    for path in ("/v1/jobs/job_x", "/v1/jobs/job_y", "/nothing/here"):
        service.client.get(path)
    after = samples(service)

    for labels, more in (
        (("GET", "/v1/jobs/<job_id>", "404"), 2),
        (("GET", "unknown", "404"), 1),
    ):
        assert more == after[name, labels] - before.get((name, labels), 0)
    assert not [labels for _, labels in after if "job_x" in labels]


def test_only_an_administrator_sees_them(service: Service) -> None:
    reader = key_of(service, "reader", "read")[1]
    admin = key_of(service, "boss", "admin")[1]

    assert 403 == service.client.get("/metrics", headers=reader).status_code
    assert samples(service, **admin)


def expressions() -> list[str]:
    """What the dashboard and the alerts ask Prometheus for."""
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
    alerts: dict[str, Any] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    asked = [each["expr"] for panel in dashboard["panels"] for each in panel["targets"]]
    return asked + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_there(service: Service, expression: str) -> None:
    appear(service, "w")
    service.client.get("/v1/jobs/job_x")
    known = {name for name, _ in samples(service)}

    asked = set(re.findall(r"backpropd_\w+", expression))
    assert asked <= known
    assert asked or "up{" in expression


def test_labels_that_are_asked_for_are_there(service: Service) -> None:
    routes = {labels[0] for name, labels in samples(service) if name.endswith("_seconds_count")}
    service.client.get("/v1/jobs/job_x")
    routes |= {labels[0] for name, labels in samples(service) if name.endswith("_seconds_count")}

    asked = {route for each in expressions() for route in re.findall(r'route="([^"]+)"', each)}
    assert asked <= routes
