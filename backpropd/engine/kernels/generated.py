"""Puts a kernel's module together, keeps it on disk, and lets Numba compile it once for all.

A generated module is named by the hash of its own text, so that whatever changes, a definition, a
loop or a version, makes another module and never meets an old binary. Writing is atomic and what
is there is never written again: any number of processes may share the folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.abc import Loader
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
from llvmlite import binding
from numba.core.registry import cpu_target

from backpropd.engine.kernels.vectors import FAST, INTERPRETED, lanes_of

LOOPS = Path(__file__).parent / "loops"
FOLDER_VARIABLE = "BACKPROPD_KERNELS"  # where compiled kernels are kept

# What a generated module imports is part of what it is.
IMPORTED = ("generated.py", "vectors.py", "packing.py", "unrolled.py")

HEADER = '''"""A kernel of backpropd {versions}: generated, not to be edited."""
# {imported}
import math
import numpy as np
from {njit}
from backpropd.engine.kernels.packing import *
from backpropd.engine.kernels.vectors import vectors

LANES, IS_DOUBLE, INFINITY = {lanes}, {is_double}, math.inf
U64, I64, F64, REAL = np.uint64, np.int64, np.float64, np.{dtype}
(EPOCHS, BATCH, STEP, BAD, CAREFUL, BEST_OF, BEST_EPOCH, RATES_PER) = range(8)
(TOTAL, LAST_LOSS, BEST_VALUE, CLIP_MOST) = range(4)
{constants}
OPTIONS = {{"nogil": True, "error_model": "numpy", "boundscheck": {checked}, "_nrt": False}}
inlined = njit(**OPTIONS, forceinline={forced})
compiled = njit(**OPTIONS)


def entry(signature):
    """Called from Python: compiled at once, or taken from the disk. R is the kernel's type."""
    return njit(signature.replace("R", "{real}"), **OPTIONS, cache=True)


_of = vectors("{dtype}", "{build}", LANES)
{names}
'''

WORDS = [
    "load",
    "load_fixed",
    "fixed",
    "spread",
    "store",
    "splat",
    "first",
    "total",
    "largest",
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "fma",
    "maximum",
    "minimum",
    "absolute",
    "sqrt",
    "less",
    "less_equal",
    "equal",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_not",
    "where",
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "erf",
    "sin",
    "cos",
    "arctan",
    "power",
    "flush_tiny",
    "keep_tiny",
]


def folder() -> Path:
    """Where generated modules and what Numba makes of them lie, for this version and processor."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    base = Path(chosen) if chosen else _users_cache() / "backpropd" / "kernels"
    circumstances = (
        f"{numba.__version__} {sys.version} {_processor()} {os.environ.get('NUMBA_CPU_NAME')}"
    )
    return base / hashlib.sha256(circumstances.encode()).hexdigest()[:12]


@cache
def _processor() -> str:
    """Asking LLVM for it takes as long as training a small network for some epochs."""
    return f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"


def _users_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def source(
    functions: str,
    loops: Sequence[str],
    *,
    dtype: str,
    build: str,
    constants: dict[str, Any],
    lanes: int | None = None,
    last: str = "",
) -> str:
    """A module's text: words, the parts' functions, the named loops, and what comes last."""
    lanes = lanes_of(dtype, build) if lanes is None else lanes
    interpreted = "backpropd.engine.kernels.vectors import as_it_is as njit"
    header = HEADER.format(
        versions=version("backpropd"),
        imported=_digest_of_imported(),
        lanes=lanes,
        build=build,
        njit=interpreted if build == INTERPRETED else "numba import njit",
        is_double=dtype == "float64",
        dtype=dtype,
        real="f8" if dtype == "float64" else "f4",
        checked=build != FAST,
        forced=build == FAST,
        constants="\n".join(f"{name} = {value!r}" for name, value in constants.items()),
        names="\n".join(f"{word} = _of.{word}" for word in words(lanes)),
    )
    return "\n\n".join([header, functions, *(loop(name) for name in loops), last])


def words(lanes: int) -> list[str]:
    """All that a module's code says with vectors of so many lanes."""
    return WORDS + [f"lane_{k}" for k in range(lanes)]


def loop(name: str) -> str:
    """The text of one of the loops."""
    return (LOOPS / f"{name}.py").read_text()


@cache
def _digest_of_imported() -> str:
    texts = [(LOOPS.parent / name).read_bytes() for name in IMPORTED]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def is_compiled(text: str) -> bool:
    """Whether the module's machine code is on disk."""
    return any(folder().glob(f"__pycache__/{_name(text)}.*.nbi"))


def module(text: str, write: Callable[[], str] | None = None) -> ModuleType:
    """The module of this text; what is not compiled yet is compiled now, which takes seconds."""
    return load(written(text, write))


@cache
def load(path: Path) -> ModuleType:
    """The module in this file of the kernels' folder."""
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found  # before it runs: what Numba takes from the disk asks for it
    try:
        _execute(spec.loader, found)
    except BaseException:
        del sys.modules[name]
        raise
    return found


def _execute(loader: Loader, found: ModuleType) -> None:
    """Run a module; one whose machine code is on disk needs nothing that compiling needs."""
    if any(folder().glob(f"__pycache__/{found.__name__}.*.nbi")):
        with suppress(Exception), _untaught():  # what could not be loaded after all is compiled
            loader.exec_module(found)
            return
    loader.exec_module(found)


@contextmanager
def _untaught() -> Iterator[None]:
    """Keep Numba from learning of every function that it could compile.

    It does so before it loads what it compiled once, which takes a quarter of a second of a
    process's first training. It is not told that it knows them: for the next compilation it learns.
    """
    context = cpu_target.target_context
    context.load_additional_registries = lambda: None
    try:
        yield
    finally:
        del context.load_additional_registries


def written(text: str, write: Callable[[], str] | None = None) -> Path:
    """The module's file, which is written where it is not there.

    Where the text only names what `write` makes of it, that is what the file holds.
    """
    where = folder()
    path = where / f"{_name(text)}.py"
    if not path.exists():
        content = text if write is None else write()
        where.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=where, suffix=".part")
        with os.fdopen(handle, "w") as file:
            file.write(content)
        try:
            os.link(temporary, path)  # never over another one: Numba looks at a file's time
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    return path


def digest(text: str) -> str:
    """Names a text: equal digests are equal kernels."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _name(text: str) -> str:
    return f"backpropd_kernel_{digest(text)}"
