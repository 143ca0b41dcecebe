"""How often one may ask: so many requests a key, so many wrong keys an address.

Each process of the API counts for itself, in memory: the broker may be lost at any time.
"""

from __future__ import annotations

import math
import time

from flask import Flask, Response, g, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from service.problems import Refusal

# Guessing 256 bits is hopeless; this keeps the attempt from costing the database anything.
WRONG_KEYS = parse("20/minute")


class Rates:
    """The buckets of one process; `of_a_key` None lets a key ask as often as it likes."""

    def __init__(self, of_a_key: str | None) -> None:
        """Raises ValueError for a rate that nobody can read; one is "200/second"."""
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._of_a_key = parse(of_a_key) if of_a_key else None

    def take(self, key_id: str) -> None:
        """Count a request of this key, or refuse it with 429."""
        if self._of_a_key is None:
            return
        taken = self._limiter.hit(self._of_a_key, "key", key_id)
        reset, remaining = self._limiter.get_window_stats(self._of_a_key, "key", key_id)
        g.rate = (self._of_a_key.amount, max(remaining, 0), _seconds_until(reset))
        if not taken:
            raise _too_many(f"This key may ask {_in_words(self._of_a_key)}.", reset)

    def check_guesses(self) -> None:
        """Refuse an address that has presented too many wrong keys."""
        if not self._limiter.test(WRONG_KEYS, "address", _address()):
            reset, _ = self._limiter.get_window_stats(WRONG_KEYS, "address", _address())
            raise _too_many("Too many wrong keys came from this address.", reset)

    def count_guess(self) -> None:
        """Count a wrong key of the current request's address."""
        self._limiter.hit(WRONG_KEYS, "address", _address())


def install(app: Flask) -> None:
    """Tell every client how much of its rate is left."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        if "rate" in g:
            limit, remaining, reset = g.rate
            response.headers["RateLimit-Limit"] = str(limit)
            response.headers["RateLimit-Remaining"] = str(remaining)
            response.headers["RateLimit-Reset"] = str(reset)
        return response


def _address() -> str:
    return request.remote_addr or "unknown"


def _too_many(detail: str, reset: float) -> Refusal:
    seconds = str(_seconds_until(reset))
    return Refusal(429, "too_many_requests", detail, {"Retry-After": seconds})


def _seconds_until(reset: float) -> int:
    return max(1, math.ceil(reset - time.time()))


def _in_words(item: RateLimitItem) -> str:
    return f"{item.amount} times in {item.multiples} {item.GRANULARITY.name}"
