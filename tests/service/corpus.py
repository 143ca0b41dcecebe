"""Bad requests, made from good ones: every value of a body replaced by each that may break it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.jobs import MAZUR, iris_job, mazur_job

ROWS = {"inputs": [[0.05, 0.10]], "targets": [[0.01, 0.99]]}
BAD_VALUES: list[Any] = [
    None,
    "",
    [],
    {},
    True,
    -1,
    0,
    0.5,
    2**31,
    2**63,
    10**400,
    1e308,
    5e-324,
    "x" * 10_000,
    "NaN",
    "\0",
    "\ud800",
    "~/",
    [[]],
    [None],
    {"name": None},
    {"name": "x", "\ud800": "\0"},
]
BAD_TEXTS = [
    "",
    " ",
    "x" * 5000,
    "%00",
    "%ff%fe",
    "%ED%A0%80",
    "-1",
    "0",
    "1e400",
    "NaN",
    "9" * 40,
    "../..",
    "%2e%2e%2f",
    "'; DROP TABLE job; --",
    "%D9%A3",
    "null",
    "all",
    "%F0%9F%A6%86",
    # Cursors that can be read, and name no place: a lone surrogate, an instant out of all time.
    "WyIyMDI0LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwiXHVkODAwIl0",
    "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwiYSJd",
    "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwiYSJd",
]


def bodies(job_id: str) -> dict[str, list[dict[str, Any]]]:
    """Address -> good bodies, for every operation that takes one."""
    whole_job = iris_job(
        stop={"patience": 5, "loss_below": 0.1}, metrics=["accuracy"], clip={"name": "norm"}
    )
    return {
        "/v1/networks": [MAZUR],
        "/v1/networks/validate": [MAZUR],
        "/v1/datasets": [{**ROWS, "name": "rows", "task": "regression", "scaling": "none"}],
        "/v1/jobs": [
            {**mazur_job(epochs=2), "name": "n", "tags": {"a": "b"}, "priority": 5},
            {**whole_job, "history": {"every": 2, "layers": True}, "webhook": None},
        ],
        "/v1/jobs/batch": [{"jobs": [mazur_job(epochs=2)]}],
        "/v1/history/compare": [{"jobs": [job_id], "metrics": ["loss"], "points": 10}],
        f"/v1/jobs/{job_id}/predict": [{"inputs": ROWS["inputs"], "snapshot": "final"}],
        f"/v1/jobs/{job_id}/evaluate": [
            {"dataset": {**ROWS, "groups": ["a"]}, "snapshot": "final"}
        ],
        "/v1/trace": [
            {
                "network": MAZUR,
                "inputs": [0.05, 0.10],
                "targets": [0.01, 0.99],
                "loss": "half_squared_error",
                "learning_rate": 0.5,
                "update_order": "layerwise",
                "seed": 1,
            },
            {"job": job_id, "snapshot": "final", "row": 0},
        ],
    }


def mutations(body: Any) -> Iterator[tuple[str, Any]]:
    """(what was done, the body) with one place of it changed; of a list, its first item alone."""
    for path in _places(body, ()):
        where = "/".join(map(str, path))
        if path and isinstance(path[-1], str):
            yield f"{where} left out", _changed(body, path, leave_out=True)
        for bad in BAD_VALUES:
            yield f"{where} = {ascii(bad)[:30]}", _changed(body, path, bad)


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*path, name))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _changed(
    body: Any, path: tuple[Any, ...], value: Any = None, *, leave_out: bool = False
) -> Any:
    changed = copy.deepcopy(body)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    if leave_out:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed
