"""/v1/trace: one training step in full, every number under its textbook name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.data.encoding import Encoding
from backpropd.data.table import Dataset
from backpropd.engine import Network, Trace, fault_of_trace, trace_step
from backpropd.export.numbers import json_safe
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, fault_of_targets, generators, initial_theta
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import LIMITS
from backpropd.spec.network import NetworkSpec
from backpropd.spec.trace import JobTraceSpec, NetworkTraceSpec, trace_form
from backpropd.spec.training import TrainingSpec
from backpropd.store import datasets, jobs, networks
from backpropd.store.errors import NotFound
from service.answers import answer
from service.auth import tenant
from service.context import database
from service.models import load
from service.openapi import BODY
from service.parameters import NoQuery
from service.representations import TraceOut

api = APIBlueprint("trace", __name__, url_prefix="/v1", abp_tags=[Tag(name="Trace")])


@api.post("/trace", summary="Trace one training step", responses={200: TraceOut, **BODY})
def trace(query: NoQuery) -> Response:
    """Net inputs, outputs, errors, every factor of the chain rule, deltas, gradients, new weights.

    Of a network and a sample, or of a snapshot of a job and a row of its dataset.
    """
    raw = request.get_json()
    if trace_form(raw) == "job":
        return _of_job(parse(JobTraceSpec, raw))
    return _of_network(parse(NetworkTraceSpec, raw))


def _of_network(spec: NetworkTraceSpec) -> Response:
    network_spec = _network(spec)
    faults = [*spec.faults_with(network_spec), *_size_faults(network_spec)]
    targets = np.array(spec.targets)
    if (fault := fault_of_targets(spec.loss, targets[None])) is not None:
        faults.append(Fault("/targets", "loss_mismatch", f"For {spec.loss.name}, {fault}."))
    if faults:
        raise Invalid(faults)
    network = _traceable(network_spec, "/network")
    theta = initial_theta(network_spec, network, rng=generators(spec.seed).weights)
    step = {
        "loss": spec.loss,
        "learning_rate": spec.learning_rate,
        "update_order": spec.update_order,
    }
    return _answer(network, theta, np.array(spec.inputs), targets, step)


def _of_job(spec: JobTraceSpec) -> Response:
    with database().read() as session:
        job = jobs.find(session, tenant(), spec.job)
        _, network_spec, theta = load(session, job, spec.snapshot)
        dataset = Dataset.from_bytes(datasets.content(session, job.dataset_id))
    faults = list(_size_faults(network_spec))
    if spec.row >= dataset.rows:
        detail = f"The dataset has {dataset.rows} rows, counted from 0."
        faults.append(Fault("/row", "out_of_range", detail))
    if faults:
        raise Invalid(faults)
    assert job.encoding is not None  # written before the first snapshot
    training = parse(TrainingSpec, job.spec["training"])
    with np.errstate(over="ignore", invalid="ignore"):
        encoding = Encoding.from_json(job.encoding)
        x = encoding.inputs(dataset.inputs[[spec.row]])[0]
        t = encoding.targets(dataset.targets[[spec.row]])[0]
    step = {
        "loss": training.loss,
        "learning_rate": training.optimizer.part.learning_rate,
        "update_order": training.update_order,
    }
    network = _traceable(network_spec, "/job")
    theta = theta.astype(np.float64)
    return _answer(network, theta, x, t, step)


def _answer(network: Network, theta: Any, x: Any, t: Any, step: dict[str, Any]) -> Response:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        traced: Trace = trace_step(network, theta, x, t, **(step | {"loss": step["loss"].part}))
    values = traced.values
    body = {
        "object": "trace",
        **(step | {"loss": step["loss"].short}),
        "inputs": x.tolist(),
        "targets": t.tolist(),
        "outputs": traced.outputs,
        "outputs_after": traced.outputs_after,
        "error_before": values["E_total"],
        "error_after": values["E_total+"],
        "values": values,
        "gradient": traced.gradient,
        "bias_gradient": traced.bias_gradient,
        "updated_weights": traced.updated_weights,
        "updated_biases": traced.updated_biases,
        "steps": [asdict(line) for line in traced.steps],
    }
    return answer(json_safe(body))


def _traceable(spec: NetworkSpec, pointer: str) -> Network:
    """The network; raises Invalid where a step of it can't be written down."""
    network = build_network(spec, dtype="float64")
    fault = fault_of_trace(network)
    if fault is not None:
        raise Invalid([Fault(pointer, "not_traceable", f"{fault[0].upper()}{fault[1:]}.")])
    return network


def _network(spec: NetworkTraceSpec) -> NetworkSpec:
    if isinstance(spec.network, NetworkSpec):
        return spec.network
    try:
        with database().read() as session:
            row = networks.find(session, tenant(), spec.network)
    except NotFound as error:
        raise Invalid([Fault("/network", "not_found", str(error))]) from None
    return parse(NetworkSpec, row.definition)


def _size_faults(network: NetworkSpec) -> list[Fault]:
    count, most = network.parameter_count, LIMITS.trace_parameters
    if count <= most:
        return []
    detail = f"{count:,} parameters; a step is written down for at most {most:,}."
    return [Fault("/network", "too_large", detail)]
