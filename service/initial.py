"""The `initial` of a job: weights of another job, or uploaded ones, that a training begins with."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.export.initial import begun_with, chosen, faults_of
from backpropd.export.model import Floats, Weights, named_weights
from backpropd.export.weights import from_npz
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, generators, initial_theta
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.job import InitialFromJobSpec, InitialSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.training import TrainingSpec
from backpropd.store import jobs, weights
from backpropd.store.database import Session
from backpropd.store.errors import NotFound
from service.models import load


def initial_weights(
    session: Session,
    tenant_id: str,
    asked: InitialSpec,
    network: NetworkSpec,
    faults: list[Fault],
) -> Weights | None:
    """The arrays that are asked for, where they fit the network; else None, and why in `faults`."""
    from_job = isinstance(asked, InitialFromJobSpec)
    pointer = "/initial/job" if from_job else "/initial/weights"
    try:
        if isinstance(asked, InitialFromJobSpec):
            job = jobs.find(session, tenant_id, asked.job)
            _, definition, theta = load(session, job, asked.snapshot)
            arrays = named_weights(definition, theta)
        else:
            row = weights.find(session, tenant_id, asked.weights)
            arrays = from_npz(weights.content(session, row))
    except NotFound as error:
        at = "/initial/snapshot" if error.kind == "snapshot" else pointer
        faults.append(Fault(at, "not_found", str(error)))
        return None
    arrays = chosen(arrays, asked.layers)
    shapes = {name: array.shape for name, array in arrays.items()}
    found = faults_of(network, shapes, asked.layers)
    if not found:
        found = _faults_of_values(network, arrays)
    faults += [each.under("/initial" if each.pointer else pointer) for each in found]
    return None if found else arrays


def initial_theta_of(network: NetworkSpec, training: dict[str, Any], arrays: Weights) -> Floats:
    """theta (P,) to begin with: these arrays, and what they leave open drawn by the job's seed."""
    spec = parse(TrainingSpec, training)
    assert spec.seed is not None  # it was drawn
    built = build_network(network, dtype=spec.dtype)
    streams = generators(spec.seed, spec.seeds)
    return begun_with(network, initial_theta(network, built, rng=streams.weights), arrays)


def _faults_of_values(network: NetworkSpec, arrays: Weights) -> list[Fault]:
    try:
        begun_with(network, np.zeros(network.parameter_count), arrays)
    except Invalid as invalid:
        return list(invalid.faults)
    return []
