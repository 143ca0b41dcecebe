"""/v1/datasets: content, known by its hash; a CSV file or rows in the request."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from werkzeug.datastructures import FileStorage

from backpropd.data.builtin import builtin_list
from backpropd.data.inline import from_inline
from backpropd.data.readers import read_csv
from backpropd.data.table import Dataset
from backpropd.spec.base import parse
from backpropd.spec.dataset import InlineDatasetSpec, UploadSpec
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import LIMITS
from backpropd.store import datasets
from backpropd.store.searchable import DATASET_FIELDS
from backpropd.store.tables import DatasetRow
from service.answers import answer, listed, resource, time
from service.auth import tenant
from service.context import database
from service.openapi import BODY, CONFLICT
from service.parameters import DatasetPath, NoQuery, RowsQuery, SearchQuery
from service.problems import Refusal
from service.representations import BuiltinList, DatasetList, DatasetOut, RowsOut, SchemaOut
from service.search import searched

api = APIBlueprint("datasets", __name__, url_prefix="/v1", abp_tags=[Tag(name="Datasets")])

ACCEPTED = "multipart/form-data with a file, text/csv, or application/json"


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
    validate_only = _flag("validate_only", options.pop("validate_only", None))
    dataset, name = _read(options)
    if validate_only:
        unstored = {"object": "dataset", "id": None, "created_at": None, "status": "ready"}
        facts = dataset.facts()
        known = {"name": name, **{k: facts[k] for k in ("sha256", "task", "rows")}}
        return answer({**unstored, **known, **facts["columns"]})
    content, facts = dataset.to_bytes(), dataset.facts()
    with database().write() as session:
        row, new = datasets.keep(
            session, tenant(), content=content, name=name, builtin=False, **facts
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
            "inputs": dataset.inputs[: query.limit].tolist(),
            "targets": dataset.targets[: query.limit].tolist(),
        }
    )


@api.delete("/datasets/<dataset_id>", summary="Delete a dataset", responses={204: None, **CONFLICT})
def delete_dataset(path: DatasetPath, query: NoQuery) -> Response:
    """Delete a dataset that no job needs."""
    with database().write() as session:
        datasets.delete(session, tenant(), path.dataset_id)
    return Response(status=204)


def _read(options: dict[str, str]) -> tuple[Dataset, str | None]:
    """The dataset in the request, and its name."""
    if request.mimetype == "application/json":
        _refuse_options(options)
        spec = parse(InlineDatasetSpec, request.get_json())
        return from_inline(spec), spec.name
    if request.mimetype == "multipart/form-data":
        _refuse_options(options)
        file = request.files.get("file")
        if file is None:
            raise Invalid([Fault("/file", "missing", "Send the file in the form's field `file`.")])
        options, content = request.form.to_dict(), file.read()
    elif request.mimetype == "text/csv":
        file, content = None, request.get_data()
    else:
        detail = f"Send {ACCEPTED}; this is {request.mimetype or 'without a type'}."
        raise Refusal(415, "unsupported_media_type", detail)
    if len(content) > LIMITS.dataset_bytes:
        raise Refusal(413, "too_large", f"A dataset has at most {LIMITS.dataset_bytes} bytes.")
    upload = _upload_spec(options)
    return read_csv(content, upload, limits=LIMITS), upload.name or _name_of(file)


def _name_of(file: FileStorage | None) -> str | None:
    """A file's name as far as it can be shown and stored."""
    name = "" if file is None else (file.filename or "")
    return "".join(filter(str.isprintable, name))[: LIMITS.name_length] or None


def _upload_spec(options: dict[str, str]) -> UploadSpec:
    """The options as a form or query has them, where everything is text."""
    raw: dict[str, Any] = dict(options)
    for name in ("inputs", "targets"):
        if name in raw:
            raw[name] = [column.strip() for column in raw[name].split(",")]
    if "header" in raw:
        raw["header"] = _flag("header", raw["header"])
    return parse(UploadSpec, raw)


def _flag(name: str, text: str | None) -> bool:
    if text is None or text.lower() in ("false", "0"):
        return False
    if text.lower() in ("true", "1"):
        return True
    raise Invalid([Fault(f"/{name}", "wrong_type", f"{name} is true or false.")])


def _refuse_options(options: dict[str, str]) -> None:
    if options:
        faults = [
            Fault(f"/{name}", "unknown_field", f"{name[:80]!r} belongs into the body, if anywhere.")
            for name in options
        ]
        raise Invalid(faults)
