"""Whose request it is. Until there are keys, everything belongs to the local owner."""

from __future__ import annotations

from backpropd.store.tables import LOCAL_TENANT


def tenant() -> str:
    """The owner on whose behalf the current request acts."""
    return LOCAL_TENANT
