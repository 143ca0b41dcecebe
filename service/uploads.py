"""Files in requests: a form's field or the body itself, written to disk as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flask import Request, request
from werkzeug.datastructures import FileStorage

from backpropd.data.files import MEDIA_TYPES, named_format
from backpropd.data.reading import TooLarge, received
from backpropd.spec.base import parse
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import LIMITS
from service.problems import Refusal

FORM = "multipart/form-data"
ACCEPTED = f"{FORM} with a file, application/json, {', '.join(MEDIA_TYPES)}"
# What may be said of a file whose columns are known.
READING = ("file_format", "header", "separator", "quote", "decimal", "encoding")
LISTS = ("inputs", "targets", "ignore", "classes")

Received = tuple[Path, UploadSpec, str | None, str | None]


@contextmanager
def received_file(options: dict[str, str], allowed: Sequence[str] = ()) -> Iterator[Received]:
    """(its folder, the options, its format as named, its name) of the file in the request.

    With a form the options are the form's fields, else these, the query's parameters. `allowed`
    names the options that mean something here, where not all of them do.
    """
    file: FileStorage | None = None
    if request.mimetype == FORM:
        refuse_options(options)
        file = request.files.get("file")
        if file is None:
            raise Invalid([Fault("/file", "missing", "Send the file in the form's field `file`.")])
        options, media_type = request.form.to_dict(), file.mimetype
        stream: IO[bytes] = file.stream
    elif request.mimetype in MEDIA_TYPES:
        media_type, stream = request.mimetype, request.stream
    else:
        detail = f"Send {ACCEPTED}; this is {request.mimetype or 'without a type'}."
        raise Refusal(415, "unsupported_media_type", detail)
    if allowed:
        refuse_options({k: v for k, v in options.items() if k not in allowed})
    upload = upload_spec(options)
    file_name = None if file is None else file.filename
    try:
        with received(stream, LIMITS) as folder:
            yield folder, upload, named_format(file_name, media_type), _shown(file_name)
    except TooLarge:
        detail = f"A dataset has at most {LIMITS.dataset_bytes:,} bytes."
        raise Refusal(413, "too_large", detail) from None


@contextmanager
def received_body(incoming: Request, media_types: Sequence[str]) -> Iterator[Path]:
    """A folder with the request's body, which has one of these types, in the file `upload`."""
    if incoming.mimetype not in media_types:
        given = incoming.mimetype or "without a type"
        detail = f"Send {', '.join(media_types)}; this is {given}."
        raise Refusal(415, "unsupported_media_type", detail)
    try:
        with received(incoming.stream, LIMITS) as folder:
            yield folder
    except TooLarge:
        raise Refusal(413, "too_large", f"At most {LIMITS.dataset_bytes:,} bytes.") from None


def upload_spec(options: dict[str, str]) -> UploadSpec:
    """The options as a form or query has them, where everything is text."""
    raw: dict[str, Any] = dict(options)
    for name in LISTS:
        if name in raw:
            raw[name] = [column.strip() for column in raw[name].split(",")]
    if "header" in raw:
        raw["header"] = flag("header", raw["header"])
    if raw.get("separator") in ("tab", "\\t"):
        raw["separator"] = "\t"
    return parse(UploadSpec, raw)


def flag(name: str, text: str | None) -> bool:
    """A truth value as a query says it; false where it says nothing."""
    if text is None or text.lower() in ("false", "0"):
        return False
    if text.lower() in ("true", "1"):
        return True
    raise Invalid([Fault(f"/{name}", "wrong_type", f"{name} is true or false.")])


def refuse_options(options: dict[str, str]) -> None:
    """Refuse parameters of the query where the body has their place."""
    if options:
        faults = [
            Fault(f"/{name}", "unknown_field", f"{name[:80]!r} means nothing here.")
            for name in options
        ]
        raise Invalid(faults)


def _shown(file_name: str | None) -> str | None:
    """A file's name as far as it can be shown and stored."""
    return "".join(filter(str.isprintable, file_name or ""))[: LIMITS.name_length] or None
