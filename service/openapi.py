"""The OpenAPI document: made from the views' own models, so that the two cannot drift apart."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backpropd.data.files import MEDIA_TYPES
from backpropd.export.weights import FORMATS
from backpropd.spec.dataset import InlineDatasetSpec, UploadSpec
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.predict import PredictSpec
from backpropd.spec.trace import JobTraceSpec, NetworkTraceSpec
from service import history_files, problems, scopes
from service.parameters import PredictQuery
from service.uploads import READING

BEARER: dict[str, Any] = {"bearer": {"type": "http", "scheme": "bearer"}}
DESCRIPTION = (
    "A training service for feed-forward networks: defined over HTTP, trained durably, every "
    "epoch kept. Refusals are RFC 9457 problem documents that name every fault at once."
)
REFERENCE = "#/components/schemas/{model}"
ASKED = (
    NetworkSpec,
    JobSpec,
    NetworkTraceSpec,
    JobTraceSpec,
    InlineDatasetSpec,
    PredictSpec,
)
BINARY = {"schema": {"type": "string", "format": "binary"}}
PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}


def problem(description: str) -> dict[str, Any]:
    """A response that is a problem document."""
    return {"description": description, "content": {problems.CONTENT_TYPE: PROBLEM}}


# What any operation may answer.
REFUSALS: dict[str | int, Any] = {
    "400": problem("The request cannot be read."),
    "401": problem("The request has no key, or none that is known and alive."),
    "403": problem("The key's scopes do not allow this."),
    "404": problem("There is nothing with this id, or at this address."),
    "422": problem("The request can be read and means nothing that can be done."),
    "429": problem("Too often; Retry-After says when to ask again."),
    "500": problem("The server met an error that was not foreseen."),
    "503": problem("The database does not answer; Retry-After says when to ask again."),
}
CONFLICT: dict[str | int, Any] = {
    "409": problem("The state does not allow this; allowed_actions says what does.")
}
BODY: dict[str | int, Any] = {
    "413": problem("The body is larger than GET /v1/limits allows."),
    "415": problem("The body's type is not one of those described."),
}


class Document(OpenAPI):
    """The app, whose document says more than the framework can take from a signature."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            info=Info(title="backpropd", version=version("backpropd"), description=DESCRIPTION),
            security_schemes=BEARER,
            doc_ui=False,  # documents.py serves it
            static_folder=None,  # nothing is served by accident
            validation_error_model=problems.Problem,
            validation_error_callback=problems.of_validation,
        )

    def generate_spec_json(self) -> None:
        """Add the request bodies that no signature shows, and the answers that are not JSON."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        paths = self.spec_json["paths"]
        _upload_body(paths["/v1/datasets"]["post"])
        _weights_body(paths["/v1/weights"]["post"])
        _predict_body(paths["/v1/jobs/{job_id}/predict"]["post"])
        _whole_body(paths["/v1/networks/validate"]["post"], NetworkSpec)
        _whole_body(paths["/v1/jobs"]["post"], JobSpec)
        _trace_body(paths["/v1/trace"]["post"])
        _clone_body(paths["/v1/jobs/{job_id}/clone"]["post"])
        # The framework describes what is asked as it is answered, which says less of the parts.
        self.spec_json["components"]["schemas"] |= _schemas_of(ASKED)
        networks = paths["/v1/networks"]["post"]["requestBody"]["content"]
        networks["application/json"] |= _example_of(NetworkSpec)
        plain = {"text/plain": {"schema": {"type": "string"}}}
        paths["/metrics"]["get"]["responses"]["200"]["content"] = plain
        for rows in ("history", "batches", "layers"):
            content = paths[f"/v1/jobs/{{job_id}}/{rows}"]["get"]["responses"]["200"]["content"]
            for kind in history_files.CONTENT_TYPES.values():
                content[kind.partition(";")[0]] = {"schema": {"type": "string", "format": "binary"}}
        weights = paths["/v1/jobs/{job_id}/snapshots/{snapshot}/weights"]["get"]
        kinds = weights["responses"]["200"]["content"]
        for form in FORMATS.values():
            kinds.setdefault(form.content_type.partition(";")[0], BINARY)
        needed = {_address(each): scope for each, scope in scopes.SCOPES.items()}
        for path, item in paths.items():
            for method, operation in item.items():
                described = {k: v for k, v in operation["responses"].items() if k != "422"}
                operation["responses"] = {**REFUSALS, **described}
                scope = needed[f"{method.upper()} {path}"]
                # Without a key as long as there has never been one, on a server of one machine.
                operation["security"] = [{}, {"bearer": [scope.value]}] if scope else []


def _address(operation: str) -> str:
    """Flask's form of an address in that of the document."""
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", operation)


def _example_of(spec: type[BaseModel]) -> dict[str, Any]:
    """A body to begin with, from the definition of what may be asked."""
    extra = spec.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return {"example": examples[0]}


def _whole_body(operation: dict[str, Any], spec: type[BaseModel]) -> None:
    """A definition that the view reads itself, because it has more to say of its faults."""
    content = {"schema": {"$ref": REFERENCE.format(model=spec.__name__)}, **_example_of(spec)}
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def _schemas_of(specs: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """The schemas of what may be asked, and of all that it holds, by name."""
    asked = [(spec, "validation") for spec in specs]
    _, made = models_json_schema(asked, ref_template=REFERENCE)  # type: ignore[arg-type]
    schemas: dict[str, Any] = made["$defs"]
    return schemas


def _trace_body(operation: dict[str, Any]) -> None:
    """One of two forms; the view chooses, so that faults are told of the one that was meant."""
    specs = (NetworkTraceSpec, JobTraceSpec)
    forms = [{"$ref": REFERENCE.format(model=spec.__name__)} for spec in specs]
    step = {"inputs": [0.05, 0.10], "targets": [0.01], "learning_rate": 0.5}
    content = {
        "schema": {"anyOf": forms},
        "example": {"network": _example_of(NetworkSpec)["example"], **step},
    }
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def _clone_body(operation: dict[str, Any]) -> None:
    """Any part of a job, so none of its fields is required."""
    schema = {"type": "object", "description": "Fields of a job (JobSpec) that shall be others."}
    content = {"schema": schema, "example": {"training": {"seed": 8}}}
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def _upload_body(operation: dict[str, Any]) -> None:
    fields = _upload_fields()
    validate_only: dict[str, Any] = {
        "name": "validate_only",
        "schema": {"type": "boolean", "default": False},
        "description": "Read and report, and store nothing.",
    }
    beside: list[dict[str, Any]] = [
        {"name": name, "schema": schema, "description": "Beside a raw body: as in the form."}
        for name, schema in fields.items()
    ]
    operation["parameters"] = [
        {"in": "query", "required": False, **each} for each in (validate_only, *beside)
    ]
    inline = {"$ref": REFERENCE.format(model=InlineDatasetSpec.__name__)}
    content = {"application/json": {"schema": inline}, **_file_content(fields)}
    operation["requestBody"] = {"required": True, "content": content}


def _weights_body(operation: dict[str, Any]) -> None:
    kinds = ("application/x-npz", "application/vnd.safetensors", "application/octet-stream")
    operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, BINARY)}


def _predict_body(operation: dict[str, Any]) -> None:
    rows = {
        "schema": {"$ref": REFERENCE.format(model=PredictSpec.__name__)},
        "example": {"inputs": [[5.1, 3.5, 1.4, 0.2]]},
    }
    fields = {k: v for k, v in _upload_fields().items() if k in READING}
    query: dict[str, Any] = PredictQuery.model_json_schema()["properties"]
    operation["parameters"] += [
        {
            "in": "query",
            "required": False,
            "name": name,
            "schema": schema,
            "description": schema["description"],
        }
        for name, schema in (*query.items(), *fields.items())
    ]
    content = {"application/json": rows, **_file_content(fields)}
    operation["requestBody"] = {"required": True, "content": content}
    operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}


def _upload_fields() -> dict[str, Any]:
    """The options of an upload as a form has them: as text, lists with commas."""
    fields = {}
    for name, schema in UploadSpec.model_json_schema()["properties"].items():
        forms = schema.get("anyOf", [schema])
        values = next((form["enum"] for form in forms if "enum" in form), None)
        kind = forms[0].get("type")
        detail = schema["description"]
        if kind == "array":
            detail += " With commas between them."
        if kind == "boolean":
            values = ["true", "false"]
        field = {"type": "string", "description": detail}
        fields[name] = field if values is None else field | {"enum": values}
    return fields


def _file_content(fields: dict[str, Any]) -> dict[str, Any]:
    """A file as a form's field, or as the body itself."""
    file = {"type": "string", "format": "binary", "description": "In any of the formats."}
    form = {"type": "object", "properties": {"file": file, **fields}, "required": ["file"]}
    return {"multipart/form-data": {"schema": form}, **dict.fromkeys(MEDIA_TYPES, BINARY)}
