"""Which ids can be looked for at all.

A database's driver refuses NUL and lone surrogates instead of finding nothing.
"""

from __future__ import annotations


def is_possible(id_: str) -> bool:
    """Whether a row could have this id, or is not there whatever the database holds."""
    return id_.isascii() and "\0" not in id_
