"""The server's refusals as exceptions: an RFC 9457 problem document that can be caught."""

from __future__ import annotations

from typing import Any

import httpx


class Problem(Exception):
    """The server refused the request; `document` is its problem document (RFC 9457)."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.status: int = document["status"]
        self.code: str = document["code"]
        self.errors: list[dict[str, str]] = document.get("errors", [])
        faults = [f"  {error['pointer'] or '/'}: {error['detail']}" for error in self.errors]
        super().__init__("\n".join([f"{self.status} {document['detail']}", *faults]))

    @classmethod
    def of(cls, response: httpx.Response) -> Problem:
        """The problem that a response carries, or one made from its status."""
        if response.headers.get("Content-Type", "").startswith("application/problem+json"):
            return cls(response.json())
        return cls(
            {
                "status": response.status_code,
                "code": "no_problem_document",
                "detail": f"The server answered {response.status_code} {response.reason_phrase}.",
            }
        )
