"""/v1/datasets: content, known by its hash; a file or rows in the request."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.data.builtin import builtin_list
from backpropd.data.inline import from_inline
from backpropd.data.reading import ReadFile, read_apart
from backpropd.data.table import Dataset, Floats
from backpropd.spec.base import parse
from backpropd.spec.dataset import InlineDatasetSpec
from backpropd.spec.limits import LIMITS
from backpropd.store import datasets
from backpropd.store.searchable import DATASET_FIELDS
from backpropd.store.tables import DatasetRow
from service.answers import answer, listed, resource, time
from service.auth import tenant
from service.context import database
from service.openapi import BODY, CONFLICT
from service.parameters import DatasetPath, NoQuery, RowsQuery, SearchQuery
from service.representations import BuiltinList, DatasetList, DatasetOut, RowsOut, SchemaOut
from service.search import searched
from service.uploads import flag, received_file, refuse_options

api = APIBlueprint("datasets", __name__, url_prefix="/v1", abp_tags=[Tag(name="Datasets")])


def represent(row: DatasetRow) -> dict[str, Any]:
    """A dataset as the contract shows it."""
    return {
        "object": "dataset",
        "id": row.id,
        "created_at": time(row.created_at),
        "name": row.name,
        "status": "ready",
        "sha256": row.sha256,
        "task": row.task,
        "rows": row.rows,
        **row.columns,
    }


@api.post(
    "/datasets", summary="Upload a dataset", responses={201: DatasetOut, 200: DatasetOut, **BODY}
)
def create_dataset() -> Response:
    """Store a dataset: 201 for a new one, 200 for content that is there already.

    With a file, the options are the form's fields, or the query's parameters beside a raw body;
    `validate_only=true` reads, reports and stores nothing.
    """
    options = request.args.to_dict()
    validate_only = flag("validate_only", options.pop("validate_only", None))
    found, name = _read(options)
    if validate_only:
        unstored = {"object": "dataset", "id": None, "created_at": None, "status": "ready"}
        known = {"name": name, **{k: found.facts[k] for k in ("sha256", "task", "rows")}}
        return answer({**unstored, **known, **found.facts["columns"]})
    with database().write() as session:
        row, new = datasets.keep(
            session, tenant(), content=found.content, name=name, builtin=False, **found.facts
        )
    headers = {"Location": f"/v1/datasets/{row.id}"}
    return answer(represent(row), 201 if new else 200, headers)


@api.get("/datasets", summary="List datasets", responses={200: DatasetList})
def list_datasets(query: SearchQuery) -> Response:
    """Your datasets that the filter finds, newest first where no order is given."""
    asked = searched(query, DATASET_FIELDS)
    with database().read() as session:
        page = datasets.list_page(session, tenant(), **asked)
    return listed(page, represent)


@api.get("/datasets/builtin", summary="List built-in datasets", responses={200: BuiltinList})
def list_builtin(query: NoQuery) -> Response:
    """What a job can name as builtin:NAME; parity-N and encoder-N-M-N are families."""
    data = []
    for each in builtin_list():
        dataset = each.load()
        shape = {"rows": dataset.rows, "inputs": dataset.inputs.shape[1]}
        about = {"name": f"builtin:{each.name}", "description": each.description}
        data.append(
            {
                "object": "builtin_dataset",
                **about,
                "source": each.source,
                "task": dataset.task,
                **shape,
                "targets": dataset.targets.shape[1],
            }
        )
    return answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})


@api.get("/datasets/<dataset_id>", summary="Read a dataset", responses={200: DatasetOut})
def get_dataset(path: DatasetPath, query: NoQuery) -> Response:
    """What a dataset is: its columns, kinds and ranges."""
    with database().read() as session:
        row = datasets.find(session, tenant(), path.dataset_id)
    return resource(represent(row))


@api.get("/datasets/<dataset_id>/schema", summary="Read the columns", responses={200: SchemaOut})
def get_schema(path: DatasetPath, query: NoQuery) -> Response:
    """Columns with kinds, counts and ranges, and what training makes of them."""
    with database().read() as session:
        row = datasets.find(session, tenant(), path.dataset_id)
    return resource({"object": "dataset_schema", **row.columns})


@api.get("/datasets/<dataset_id>/rows", summary="Read rows", responses={200: RowsOut})
def get_rows(path: DatasetPath, query: RowsQuery) -> Response:
    """The first rows as a network sees them, before scaling."""
    with database().read() as session:
        row = datasets.find(session, tenant(), path.dataset_id)
        dataset = Dataset.from_bytes(datasets.content(session, row.id))
    return resource(
        {
            "object": "dataset_rows",
            "total": dataset.rows,
            "inputs": _with_nulls(dataset.inputs[: query.limit]),
            "targets": dataset.targets[: query.limit].tolist(),
        }
    )


@api.delete("/datasets/<dataset_id>", summary="Delete a dataset", responses={204: None, **CONFLICT})
def delete_dataset(path: DatasetPath, query: NoQuery) -> Response:
    """Delete a dataset that no job needs."""
    with database().write() as session:
        datasets.delete(session, tenant(), path.dataset_id)
    return Response(status=204)


def _with_nulls(X: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(x) else x for x in row] for row in X.tolist()]


def _read(options: dict[str, str]) -> tuple[ReadFile, str | None]:
    """The dataset in the request, and its name."""
    if request.mimetype == "application/json":
        refuse_options(options)
        spec = parse(InlineDatasetSpec, request.get_json())
        dataset = from_inline(spec)
        return ReadFile(dataset.to_bytes(), dataset.facts()), spec.name
    with received_file(options) as (folder, upload, named, file_name):
        return read_apart(folder, upload, named, limits=LIMITS), upload.name or file_name
