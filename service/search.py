"""The parameters filter and order_by of a list, read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from backpropd.spec.search import BadSearch, Vocabulary, read_filter, read_order
from service.parameters import SearchQuery
from service.problems import BadParameter

Read = TypeVar("Read")


def searched(query: SearchQuery, vocabulary: Vocabulary) -> dict[str, Any]:
    """What a store's list is asked; a refusal points at the character."""
    asked: dict[str, Any] = {"limit": query.limit, "cursor": query.cursor}
    if query.filter is not None:
        asked["where"] = _read(read_filter, "filter", query.filter, vocabulary)
    if query.order_by is not None:
        asked["order"] = _read(read_order, "order_by", query.order_by, vocabulary)
    return asked


def _read(
    reader: Callable[[str, Vocabulary], Read], name: str, text: str, vocabulary: Vocabulary
) -> Read:
    try:
        return reader(text, vocabulary)
    except BadSearch as error:
        raise BadParameter(name, error) from None
