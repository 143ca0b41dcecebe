"""/v1/jobs/ID/predict and /evaluate: a trained network at work on new data."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.data.evaluation import classification, regression
from backpropd.data.incoming import Incoming, encoded, encoded_apart
from backpropd.data.matching import matched
from backpropd.data.predicting import Predictor
from backpropd.export.numbers import json_safe
from backpropd.spec.base import parse
from backpropd.spec.faults import Invalid
from backpropd.spec.limits import LIMITS
from backpropd.spec.predict import EvaluateSpec, PredictSpec
from backpropd.store import jobs
from backpropd.store.tables import SnapshotRow
from service.answers import answer
from service.auth import tenant
from service.context import database
from service.models import load_predictor
from service.openapi import BODY, CONFLICT
from service.parameters import JobPath, NoQuery, PredictQuery, read_query
from service.representations import EvaluationOut, PredictionOut
from service.submission import find_dataset
from service.uploads import READING, received_file

api = APIBlueprint("predictions", __name__, url_prefix="/v1", abp_tags=[Tag(name="Weights")])

# What a spreadsheet would take for a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@api.post(
    "/jobs/<job_id>/predict", summary="Predict", responses={200: PredictionOut, **BODY, **CONFLICT}
)
def predict(path: JobPath) -> Response:
    """Outputs for rows, through the very encoding that training used.

    Rows come in the request or in a file of any format that datasets may have; its columns are
    found by their names, and others are not looked at.
    """
    options = request.args.to_dict()
    if request.mimetype == "application/json":
        query = read_query(PredictQuery, options)
        spec = parse(PredictSpec, request.get_json())
        snapshot, predictor = _load(path.job_id, spec.snapshot)
        incoming = _of_rows(spec, predictor)
        return _answer(path.job_id, snapshot, predictor, incoming, query.format)
    asked = {name: options.pop(name) for name in PredictQuery.model_fields if name in options}
    query = read_query(PredictQuery, asked)
    with received_file(options, READING) as (folder, upload, named, _):
        snapshot, predictor = _load(path.job_id, query.which)
        incoming = encoded_apart(
            folder,
            predictor.columns,
            upload,
            named,
            fills=predictor.encoding.fill is not None,
            limits=LIMITS,
        )
    return _answer(path.job_id, snapshot, predictor, incoming, query.format)


@api.post(
    "/jobs/<job_id>/evaluate",
    summary="Evaluate",
    responses={200: EvaluationOut, **BODY, **CONFLICT},
)
def evaluate(path: JobPath, body: EvaluateSpec, query: NoQuery) -> Response:
    """How well a trained network does on a dataset.

    In a classification the confusion matrix (a row a true class), each class's figures and the
    calibration curve; in a regression each target's figures, predicted against actual values, and
    residuals (actual - predicted), all in the target's own units.
    """
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        snapshot, predictor = load_predictor(session, job, body.snapshot)
        dataset = find_dataset(session, tenant(), body.dataset)
    try:
        X, T = matched(dataset, predictor)
    except Invalid as invalid:
        raise Invalid([fault.under("/dataset") for fault in invalid.faults]) from None
    Y = predictor.outputs(X)
    about = {"object": "evaluation", "job": job.id, "epoch": snapshot.epoch}
    about |= {"dataset_sha256": dataset.sha256, "rows": len(X), "task": predictor.encoding.task}
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told as such
        return answer({**about, **json_safe(_figures(predictor, Y, T))})


def _figures(predictor: Predictor, Y: Any, T: Any) -> dict[str, Any]:
    if predictor.classes is None:
        return regression(T, Y, predictor.target_names)
    labels = T.argmax(axis=1) if T.shape[1] > 1 else (T[:, 0] > 0.5).astype(np.int64)
    return classification(labels, predictor.probabilities(Y), predictor.classes)


def _load(job_id: str, which: str | int) -> tuple[SnapshotRow, Predictor]:
    with database().read() as session:
        job = jobs.find(session, tenant(), job_id)
        return load_predictor(session, job, which)


def _of_rows(spec: PredictSpec, predictor: Predictor) -> Incoming:
    fills = predictor.encoding.fill is not None
    try:
        return encoded(spec.inputs, predictor.columns, fills=fills)
    except Invalid as invalid:
        raise Invalid([fault.under("/inputs") for fault in invalid.faults]) from None


def _answer(
    job_id: str, snapshot: SnapshotRow, predictor: Predictor, incoming: Incoming, form: str
) -> Response:
    Y = predictor.outputs(incoming.X)
    if form == "csv":
        return Response(_as_csv(predictor, Y), content_type="text/csv; charset=utf-8")
    classes, probabilities = None, None
    if predictor.classes is not None:
        classes = predictor.labels(Y)
        rows = json_safe(predictor.probabilities(Y))
        probabilities = [dict(zip(predictor.classes, row, strict=True)) for row in rows]
    about = {"object": "prediction", "job": job_id, "epoch": snapshot.epoch}
    meaning = {"targets": list(predictor.target_names), "outputs": json_safe(Y)}
    found = {"classes": classes, "probabilities": probabilities}
    return answer({**about, **meaning, **found, "warnings": list(incoming.warnings)})


def _as_csv(predictor: Predictor, Y: Any) -> str:
    """A row a sample: its class and the probabilities of all, or each target."""
    out = io.StringIO()
    writer = csv.writer(out)
    if predictor.classes is None:
        writer.writerow(map(_cell, predictor.target_names))
        writer.writerows(Y.tolist())
        return out.getvalue()
    writer.writerow(["class", *(_cell(f"probability of {name}") for name in predictor.classes)])
    rows = zip(predictor.labels(Y), predictor.probabilities(Y).tolist(), strict=True)
    writer.writerows([_cell(name), *row] for name, row in rows)
    return out.getvalue()


def _cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
