"""Keys as they are asked for: for which owner, for what, until when."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from backpropd.spec.base import Spec, Text

LONGEST_OVERLAP = 30 * 24 * 3600  # seconds


class Scope(StrEnum):
    """What a key allows. None of them contains another one."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


def _each_once(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in scopes)


Scopes = Annotated[
    tuple[Scope, ...], Field(min_length=1, max_length=16), AfterValidator(_each_once)
]
OwnerName = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="a-z, 0-9, and ._- inside.")
]


class KeySpec(Spec):
    """A key to be made."""

    owner: OwnerName
    scopes: Scopes = Field(default=(Scope.READ, Scope.WRITE), description="What it allows.")
    name: Text | None = Field(default=None, description="For people.")
    expires_at: AwareDatetime | None = Field(default=None, description="Default: never.")


class RotationSpec(Spec):
    """A key to be replaced."""

    overlap_seconds: int = Field(
        default=24 * 3600,
        ge=0,
        le=LONGEST_OVERLAP,
        description="For so long the old key goes on beside the new one.",
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="Of the new key; default: that of the old one."
    )
