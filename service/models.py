"""Trained networks out of the database: weights, and what their inputs and outputs mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.data.predicting import Predictor
from backpropd.export.model import Model
from backpropd.export.weights import theta_of
from backpropd.spec.base import parse
from backpropd.spec.network import NetworkSpec
from backpropd.store import datasets, networks, snapshots
from backpropd.store.database import Session
from backpropd.store.tables import JobRow, SnapshotRow

Theta = NDArray[np.floating[Any]]


def load(session: Session, job: JobRow, which: str | int) -> tuple[SnapshotRow, NetworkSpec, Theta]:
    """A snapshot of a job, its network's definition, and its weights theta (P,)."""
    snapshot = snapshots.find(session, job.id, which)
    definition = networks.find(session, job.tenant_id, job.network_id).definition
    content = snapshots.content(session, snapshot)
    theta = theta_of(content, job.spec["training"]["dtype"])
    return snapshot, parse(NetworkSpec, definition), theta


def load_model(session: Session, job: JobRow, which: str | int) -> tuple[SnapshotRow, Model]:
    """A snapshot of a job as it can be exported."""
    snapshot, network, theta = load(session, job, which)
    about = {"object": "weights", "job": job.id, "epoch": snapshot.epoch, "kind": snapshot.kind}
    assert job.encoding is not None  # written before the first snapshot
    return snapshot, Model(
        network=network,
        theta=theta,
        encoding=job.encoding,
        schema=datasets.find(session, job.tenant_id, job.dataset_id).columns,
        about={**about, "sha256": snapshot.sha256},
    )


def load_predictor(
    session: Session, job: JobRow, which: str | int
) -> tuple[SnapshotRow, Predictor]:
    """A snapshot of a job as what predicts, in the very encoding that training used."""
    snapshot, network, theta = load(session, job, which)
    schema = datasets.find(session, job.tenant_id, job.dataset_id).columns
    assert job.encoding is not None  # written before the first snapshot
    return snapshot, Predictor.of(network, theta, job.encoding, schema)
