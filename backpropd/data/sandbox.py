"""Reads a file that somebody sent in a process of its own, with limits on all it may take.

A reader that is made to take too much memory, time or disk is ended by the system; the process
that asked goes on, no larger than before, and says so. The process is forked from a small server
that has the readers loaded (multiprocessing's forkserver), so it begins at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.limits import Limits

AT_ONCE = 2  # readers of one process of the service
ANSWER = "answer.json"
OUT_OF_MEMORY = 3  # exit code

_turns = BoundedSemaphore(AT_ONCE)
_starting = Lock()
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["backpropd.data.reading"])


def run(work: Callable[..., Any], folder: Path, limits: Limits, *args: Any) -> Any:
    """What `work(folder, limits, *args)` returns, a JSON value, in a process with limits.

    `folder` is a folder for the files of this call. Raises Invalid with what `work` found wrong,
    or with the limit it ran into.
    """
    with _turns:
        process = _context.Process(target=_inside, args=(work, folder, limits, args), daemon=True)
        with _starting:
            process.start()
        try:
            process.join(limits.dataset_seconds + 5)  # it ends itself before
            if process.is_alive():
                process.kill()
                process.join()
            return _answer(folder / ANSWER, process.exitcode, limits)
        finally:
            process.close()


def _answer(file: Path, exit_code: int | None, limits: Limits) -> Any:
    if exit_code == 0:
        answer = json.loads(file.read_text())
        if "faults" in answer:
            raise Invalid([Fault(*fault) for fault in answer["faults"]])
        return answer["result"]
    ended_by = -(exit_code or 0)
    if ended_by in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL):
        detail = f"Reading the file takes longer than {limits.dataset_seconds} seconds."
    elif ended_by == signal.SIGXFSZ:
        detail = f"The file unpacks to more than {limits.dataset_unpacked_bytes:,} bytes."
    elif exit_code in (OUT_OF_MEMORY, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):
        detail = "Reading the file takes more memory than it may."
    else:  # what was not foreseen stands in the log
        raise Invalid([Fault("", "unreadable", "The file cannot be read.")])
    raise Invalid([Fault("", "too_large", detail)])


def _inside(work: Callable[..., Any], folder: Path, limits: Limits, args: Sequence[Any]) -> None:
    """The process: limit itself, work, and leave the answer in a file."""
    _limit(limits)
    try:
        answer: dict[str, Any] = {"result": work(folder, limits, *args)}
    except Invalid as invalid:
        answer = {"faults": [(f.pointer, f.code, f.detail) for f in invalid.faults]}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    (folder / ANSWER).write_text(json.dumps(answer))


def _limit(limits: Limits) -> None:
    for limit in (signal.SIGALRM, signal.SIGXFSZ):  # Python would ignore the latter
        signal.signal(limit, signal.SIG_DFL)
    signal.alarm(limits.dataset_seconds)
    _at_most(resource.RLIMIT_CPU, limits.dataset_seconds)
    _at_most(resource.RLIMIT_FSIZE, 2 * limits.dataset_unpacked_bytes)
    _at_most(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":  # the only one where it counts what is asked for
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _at_most(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.dataset_memory_bytes)


def _at_most(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))
