"""What is wrong with a request, said so that a person can mend it.

A `Fault` names the place by JSON pointer; `Invalid` carries all faults of one request at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request."""

    pointer: str  # RFC 6901, into the body; "" is the whole of it
    code: str  # for programs: "unknown_name", "shape_mismatch", ...
    detail: str  # for people: what was given and what is allowed

    def under(self, prefix: str) -> Fault:
        """The same fault in a document that holds this one at `prefix`."""
        return Fault(prefix + self.pointer, self.code, self.detail)


class Invalid(ValueError):
    """The request is well formed but means nothing that can be done."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in self.faults)
        )


def pointer_to(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) to a place given by its keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def unknown_name(kind: str, given: str, known: Sequence[str]) -> str:
    """A sentence for a name nobody knows, with the closest known one."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"There is no {kind} '{given[:80]}'.{hint} Known: {', '.join(known)}."
