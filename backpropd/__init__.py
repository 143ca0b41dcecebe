"""backpropd: what a person imports, found when it is asked for.

The engine needs NumPy alone, so nothing here is loaded before its name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpropd.client import Client as Client
    from backpropd.client import History as History
    from backpropd.client import Job as Job
    from backpropd.client import Problem as Problem
    from backpropd.client import Unsuccessful as Unsuccessful
    from backpropd.estimator import BackpropClassifier as BackpropClassifier
    from backpropd.estimator import BackpropRegressor as BackpropRegressor

_HOMES = {
    "BackpropClassifier": "backpropd.estimator",
    "BackpropRegressor": "backpropd.estimator",
    "Client": "backpropd.client",
    "History": "backpropd.client",
    "Job": "backpropd.client",
    "Problem": "backpropd.client",
    "Unsuccessful": "backpropd.client",
}

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "Client",
    "History",
    "Job",
    "Problem",
    "Unsuccessful",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
