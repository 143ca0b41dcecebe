"""Logs that a program can read, that hold no key, and in which nobody forges a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from backpropd import logs
from backpropd.settings import Settings

KEY = "bp_0123456789ab_" + "f" * 64


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards as it was."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    logs.unbind()  # what a request of another test bound
    yield root
    root.handlers[:] = kept
    root.setLevel(level)
    logs.unbind()


def said(root: logging.Logger, form: str, message: str, *args: object, **facts: str) -> str:
    """What a process with this form of log writes of one message."""
    logs.configure(Settings(log_format=form))  # type: ignore[arg-type]
    written = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    logging.getLogger("some.library").warning(message, *args, extra=facts)
    return written.getvalue()


def test_a_line_of_json_has_what_was_said_and_around_it(root: logging.Logger) -> None:
    logs.bind(request_id="r1")
    line = json.loads(said(root, "json", "job %s begins", "job_1", attempt="2"))

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "job job_1 begins",
        "level": "warning",
        "logger": "some.library",
        "request_id": "r1",
        "attempt": "2",
    }


def test_a_line_for_people_has_the_same(root: logging.Logger) -> None:
    line = said(root, "text", "job %s begins", "job_1", attempt="2")

    assert line.endswith("WARNING some.library: job job_1 begins attempt=2\n")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_key_and_no_password_is_written(root: logging.Logger, form: str) -> None:
    url = "postgresql://me:hunter2@db/x"
    line = said(root, form, "Bearer %s for %s", KEY, url, header=f"Bearer {KEY}")

    assert "f" * 64 not in line
    assert "hunter2" not in line
    assert "bp_0123456789ab_***" in line


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("evil", ["a\nERROR forged", "a\r\n\x1b[31mred", "\u2028next"])
def test_nobody_forges_a_line(root: logging.Logger, form: str, evil: str) -> None:
    line = said(root, form, "name %s", evil, name_given=evil)

    assert 1 == len(line.splitlines())
    assert "\x1b" not in line


def test_what_is_raised_is_told(root: logging.Logger) -> None:
    logs.configure(Settings(log_format="json"))
    written = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("x").exception("unforeseen")

    line = json.loads(written.getvalue())
    assert "ValueError: bp_0123456789ab_***" in line["exception"]
