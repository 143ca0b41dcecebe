"""The one place where the store asks what time it is.

Times are for people and for `run_after`; no lease depends on a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)
