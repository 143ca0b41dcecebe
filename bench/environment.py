"""The peers' own environment: made, and made anew when what it is made from changes.

Whatever cannot be had is told by its name, with the reason; the others race without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.workloads import FANN, JAX, SKLEARN, TORCH

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
REQUIREMENTS = PEERS / "requirements.txt"
FOLDER = ROOT / ".venv-bench"
PYTHON = FOLDER / "bin" / "python"
FANN_PROGRAM = FOLDER / "bin" / "bench-fann"
PACKAGES = {SKLEARN: "scikit-learn", JAX: "jax", TORCH: "torch"}
DEBIAN = ("libfann-dev", "libfann2")


class Missing(RuntimeError):
    """A peer that cannot be had here; the message says why."""


def prepared(tell: Callable[[str], None]) -> dict[str, str]:
    """Make what is not there; the peers that are missing, each with the reason."""
    stamp = FOLDER / ".made-from"
    made_from = hashlib.sha256(
        b"".join(each.read_bytes() for each in (REQUIREMENTS, PEERS / "fann.c"))
    ).hexdigest()
    if not stamp.exists() or stamp.read_text().split("\n")[0] != made_from:
        tell(f"installing those whom we race into {FOLDER.name}")
        shutil.rmtree(FOLDER, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(FOLDER)])
        missing = _install()
        if not missing:  # what failed is tried again next time
            stamp.write_text(made_from)
        return missing
    return {}


def _install() -> dict[str, str]:
    missing = {}
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    for peer, package in PACKAGES.items():
        wanted = FOLDER / f"{package}.txt"  # markers are read in files alone
        wanted.write_text("\n".join(line for line in lines if line.startswith(package)) + "\n")
        try:
            _run([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(wanted)])
        except Missing as fault:
            missing[peer] = str(fault)
    try:
        _build_fann()
    except Missing as fault:
        missing[FANN] = str(fault)
    return missing


def _build_fann() -> None:
    """Against Debian's package, unpacked here so that nobody need be root, else the system's."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Missing("no C compiler")
    root = FOLDER / "fann"
    root.mkdir(exist_ok=True)
    command = [compiler, "-O3", "-march=native", str(PEERS / "fann.c"), "-o", str(FANN_PROGRAM)]
    library = ["-ldoublefann", "-lm"]
    if shutil.which("apt-get"):
        with contextlib.suppress(Missing):  # maybe the system has it all the same
            _run(["apt-get", "download", *DEBIAN], cwd=root)
            for package in root.glob("*.deb"):
                _run(["dpkg", "-x", str(package), str(root)])
            command += [f"-I{root / 'usr/include'}"]
            for found in root.rglob("libdoublefann.so"):
                command += [f"-L{found.parent}", f"-Wl,-rpath,{found.parent}"]
    try:
        _run([*command, *library])
    except Missing as fault:
        raise Missing(f"no library, neither {DEBIAN[0]} of apt-get nor the system's") from fault


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(last[-1] if last else f"{command[0]} ended with {done.returncode}")


def threads_environment(threads: int) -> dict[str, str]:
    """So many threads for everybody, whoever reads which variable."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM")
    found = {**os.environ, "BENCH_FANN": str(FANN_PROGRAM)}
    found |= {f"{name}_NUM_THREADS": str(threads) for name in names}
    if threads == 1:
        found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return found
