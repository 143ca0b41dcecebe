"""Reading requests: strict JSON, and nothing that a parser would let through by accident."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from flask import Request

from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import LIMITS
from service.problems import Refusal

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class StrictRequest(Request):
    """A request whose JSON is read strictly: see `get_json`."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body, an object; refused with 400, 415 or 422 where it is none."""
        if self.mimetype != "application/json":
            detail = f"Send application/json; this is {self.mimetype or 'without a type'}."
            raise Refusal(415, "unsupported_media_type", detail)
        body = read_json(self.get_data(cache=cache))
        if not isinstance(body, dict):
            raise Invalid([Fault("", "wrong_type", "The body is a JSON object.")])
        return body


def read_json(content: bytes) -> Any:
    """The JSON value in this text; whoever would read it in two ways is refused.

    That is NaN, deep nesting, doubled names, and halves of surrogate pairs.
    """
    _check_depth(content)
    try:
        text = content.decode()
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
        if SURROGATE.search(text):  # of a pair, or alone
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise Refusal(
            400, "bad_json", "A lone surrogate (\\uD800 to \\uDFFF) is no text."
        ) from None
    except UnicodeDecodeError:
        raise Refusal(400, "bad_json", "The body is not UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "bad_json", f"The body is no JSON: {str(error)[:200]}.") from None


def _check_depth(content: bytes) -> None:
    """Count brackets without parsing: cheap, and no recursion can be provoked."""
    depth, inside, escaped = 0, False, False
    if content.count(b"[") + content.count(b"{") <= LIMITS.json_depth:
        return
    for byte in content:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            if depth > LIMITS.json_depth:
                detail = f"The body is nested deeper than {LIMITS.json_depth}."
                raise Refusal(400, "too_deep", detail)
        elif byte in b"]}":
            depth -= 1


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return out
