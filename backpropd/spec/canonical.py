"""One form for one meaning: canonical JSON, hashes, seeds and ids."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

import uuid_utils

_SEED_BITS = 53  # every JSON reader keeps such an integer exactly
# RFC 4648's extended hex alphabet keeps the order of what it encodes.
_ALPHABET = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUV", "0123456789abcdefghijklmnopqrstuv")


def canonical_json(value: Any) -> bytes:
    """The value as JSON with sorted keys and no spaces; equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_hex(content: bytes) -> str:
    """The SHA-256 of the content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def draw_seed() -> int:
    """A seed for a job that names none."""
    return secrets.randbits(_SEED_BITS)


def new_id(prefix: str) -> str:
    """A new id: the prefix, and 26 characters that sort by the time they were made (UUIDv7)."""
    text = base64.b32hexencode(uuid_utils.uuid7().bytes).decode().rstrip("=")
    return f"{prefix}_{text.translate(_ALPHABET)}"
