"""/v1/jobs/ID/confusion: which classes a trained network takes for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.data.prepare import prepare
from backpropd.data.table import Dataset
from backpropd.engine.metrics import confusion, f1_of, precision_of, recall_of
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, generators
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.training import TrainingSpec
from backpropd.store import datasets, jobs
from service.answers import resource
from service.auth import tenant
from service.context import database
from service.models import load
from service.openapi import CONFLICT
from service.parameters import ConfusionQuery, JobPath
from service.representations import ConfusionOut

api = APIBlueprint("evaluation", __name__, url_prefix="/v1", abp_tags=[Tag(name="Weights")])


@api.get(
    "/jobs/<job_id>/confusion",
    summary="Read the confusion matrix",
    responses={200: ConfusionOut, **CONFLICT},
)
def get_confusion(path: JobPath, query: ConfusionQuery) -> Response:
    """matrix[i][j]: samples of class i that were taken for class j; and each class's figures."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        snapshot, spec, theta = load(session, job, query.which)
        dataset = Dataset.from_bytes(datasets.content(session, job.dataset_id))
    if dataset.task != "classification" or dataset.classes is None:
        detail = f"There are no classes; the dataset's task is {dataset.task}."
        raise Invalid([Fault("/job_id", "contradiction", detail)])
    training = parse(TrainingSpec, job.spec["training"])
    split = generators(job.seed, training.seeds).split
    prepared = prepare(dataset, training, rng=split)
    X, T = prepared.inputs, prepared.targets
    if query.split == "validation":
        if prepared.validation_inputs is None or prepared.validation_targets is None:
            detail = "This job held nothing back: ask for training."
            raise Invalid([Fault("/split", "contradiction", detail)])
        X, T = prepared.validation_inputs, prepared.validation_targets
    with np.errstate(over="ignore", invalid="ignore"):
        Y = build_network(spec, dtype=training.dtype).predict(theta, X)
    about = {"object": "confusion", "job": job.id, "epoch": snapshot.epoch, "split": query.split}
    return resource({**about, **_figures(confusion(Y, T), list(dataset.classes))})


def _figures(C: Any, classes: list[str]) -> dict[str, Any]:
    columns = (precision_of(C), recall_of(C), f1_of(C), C.sum(axis=1))
    rows = zip(classes, *(each.tolist() for each in columns), strict=True)
    return {
        "classes": classes,
        "matrix": C.astype(int).tolist(),
        "per_class": {
            name: {"precision": p, "recall": r, "f1": f, "support": int(n)}
            for name, p, r, f, n in rows
        },
        "accuracy": float(np.trace(C) / C.sum()),
    }
