"""Refusals of the store. The docstring of each is the sentence a client reads."""

from __future__ import annotations

from collections.abc import Sequence


class StoreError(Exception):
    """The store refused."""

    def __str__(self) -> str:
        return type(self).__doc__ or ""


class NotFound(StoreError):
    """There is nothing with this id."""

    def __init__(self, kind: str, id_: str) -> None:
        self.kind, self.id = kind, id_

    def __str__(self) -> str:
        return f"There is no {self.kind} {self.id[:80]!r}."


class WrongState(StoreError):
    """The job's state does not allow this."""

    def __init__(self, action: str, status: str, allowed_actions: Sequence[str]) -> None:
        self.action, self.status, self.allowed_actions = action, status, list(allowed_actions)

    def __str__(self) -> str:
        return f"A job that is {self.status} can't be asked to {self.action}."


class InUse(StoreError):
    """Jobs need it."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self.jobs = list(jobs)

    def __str__(self) -> str:
        return f"Jobs need it: {', '.join(self.jobs)}."


class IdempotencyConflict(StoreError):
    """This Idempotency-Key came before with another body."""


class Unusable(StoreError):
    """There can be no database at this address."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return self.why


class Fenced(StoreError):
    """The lease is lost: another attempt or another state is in force, and nothing was written."""


class Busy(StoreError):
    """The database can't answer now; try again in a moment."""


class Corrupt(StoreError):
    """What was read is not what was written: its checksum differs."""


class Raced(Busy):
    """Another request with this Idempotency-Key was faster; asking again gives its answer."""
