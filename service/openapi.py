"""The OpenAPI document: made from the views' own models, so that the two cannot drift apart."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.trace import JobTraceSpec, NetworkTraceSpec
from service import problems, scopes

BEARER: dict[str, Any] = {"bearer": {"type": "http", "scheme": "bearer"}}
DESCRIPTION = (
    "A training service for feed-forward networks: defined over HTTP, trained durably, every "
    "epoch kept. Refusals are RFC 9457 problem documents that name every fault at once."
)
REFERENCE = "#/components/schemas/{model}"
ASKED = (NetworkSpec, JobSpec, NetworkTraceSpec, JobTraceSpec)
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
        history = paths["/v1/jobs/{job_id}/history"]["get"]["responses"]["200"]["content"]
        for kind in ("text/csv", "application/x-ndjson", "application/x-npz"):
            history[kind] = {"schema": {"type": "string", "format": "binary"}}
        weights = paths["/v1/jobs/{job_id}/snapshots/{snapshot}/weights"]["get"]
        weights["responses"]["200"]["content"]["application/x-npz"] = {
            "schema": {"type": "string", "format": "binary"}
        }
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
    text = {"type": "string"}
    fields = {
        "file": {"type": "string", "format": "binary", "description": "A CSV file, UTF-8."},
        "name": text | {"description": "For people."},
        "inputs": text | {"description": "Columns to learn from, with commas between them."},
        "targets": text | {"description": "Columns to predict; default: the last one."},
        "task": text | {"enum": ["classification", "regression"]},
        "scaling": text | {"enum": ["none", "standard", "minmax"]},
        "header": text | {"enum": ["true", "false"]},
    }
    validate_only: dict[str, Any] = {
        "name": "validate_only",
        "schema": {"type": "boolean", "default": False},
        "description": "Read and report, and store nothing.",
    }
    beside: list[dict[str, Any]] = [
        {"name": name, "schema": schema, "description": "Beside a raw body: as in the form."}
        for name, schema in fields.items()
        if name != "file"
    ]
    operation["parameters"] = [
        {"in": "query", "required": False, **each} for each in (validate_only, *beside)
    ]
    form = {"type": "object", "properties": fields, "required": ["file"]}
    inline = {"$ref": "#/components/schemas/InlineDatasetSpec"}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": inline},
        },
    }
