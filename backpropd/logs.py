"""One form of log for every process: lines for people, or JSON for programs.

What a library logs comes out in the same form. A key never does, whoever logs it.
"""

from __future__ import annotations

import logging
import logging.config
import re
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from backpropd.settings import Settings

KEY = re.compile(r"(bp_[0-9a-f]{12})_[0-9a-f]+")
PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")  # of a database or a broker

SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,  # request_id, job_id
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Settings) -> None:
    """Let this process log as the settings say."""
    logging.config.dictConfig(configuration(settings))


def configuration(settings: Settings) -> dict[str, Any]:
    """The same for a program that sets its logging up itself, as gunicorn does."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "ours": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED,
                "processors": _processors(settings.log_format),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "loggers": {"alembic": {"level": "WARNING"}},  # it tells of every look at the schema
        "root": {"level": settings.log_level, "handlers": ["stderr"]},
    }


def bind(**facts: str) -> None:
    """Let every line of this thread carry these facts."""
    structlog.contextvars.bind_contextvars(**facts)


def unbind() -> None:
    """Forget the facts of the request or job before."""
    structlog.contextvars.clear_contextvars()


def redact(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Take keys and passwords out of whatever is about to be written."""
    return {field: _redacted(value) for field, value in event.items()}


def _redacted(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return PASSWORD.sub(r"\1***@", KEY.sub(r"\1_***", value))


def _processors(form: str) -> list[Processor]:
    render: list[Processor]
    if form == "json":
        render = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
    else:
        # Line breaks and escape sequences in a message are shown, not done.
        render = [structlog.processors.format_exc_info, redact, _line]
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]


def _line(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """A line for people: when, how bad, who, what, and the facts around it."""
    shown = f"{event.pop('timestamp')} {event.pop('level').upper()} {event.pop('logger')}: "
    said, raised = str(event.pop("event")), event.pop("exception", None)
    facts = "".join(f" {name}={_visible(str(value))}" for name, value in sorted(event.items()))
    return shown + _visible(said) + facts + (f"\n{raised}" if raised else "")


def _visible(text: str) -> str:
    """The text with its control characters escaped, so that nobody forges a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
