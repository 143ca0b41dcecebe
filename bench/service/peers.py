"""MLflow and FastTrackML, which speak the same REST, each a server of its own on SQLite."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.service.http import Call, Server, until_ready

BIN = Path(".venv-bench-service/bin")
API = "/api/2.0/mlflow"
STARTED = 1_700_000_000_000  # FastTrackML takes no time of 0
BATCH = 1000  # metrics of one log-batch: the most that MLflow takes


def command(name: str, folder: Path, port: int) -> list[str]:
    """What starts it."""
    if name == "MLflow":
        store = f"sqlite:///{folder / 'mlflow.db'}"
        place = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
        return [str(BIN / "mlflow"), "server", "--port", str(port), "--workers", "2", *place]
    database = f"sqlite://{folder / 'fasttrackml.db'}"
    listen = f"127.0.0.1:{port}"
    return [str(BIN / "fml"), "server", "--listen-address", listen, "--database-uri", database]


@contextmanager
def served(name: str, folder: Path, port: int) -> Iterator[Server]:
    """The peer, with nothing in it."""
    log = (folder / f"{name}.log").open("w")
    process = subprocess.Popen(command(name, folder, port), stdout=log, stderr=log)
    try:
        server = Server(port)
        until_ready(server, "/health")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def new_run() -> Call:
    """Create a run, which is what submitting is to a tracker."""
    return ("POST", f"{API}/runs/create", {"experiment_id": "0", "start_time": 1})


def logged(server: Server, losses: list[float]) -> tuple[str, float]:
    """A run with this curve, and how many points a second it took."""
    run: str = server.json(new_run())["run"]["info"]["run_id"]
    began = time.perf_counter()
    for start in range(0, len(losses), BATCH):
        metrics = [
            {"key": "loss", "value": loss, "timestamp": STARTED + step, "step": step}
            for step, loss in enumerate(losses[start : start + BATCH], start)
        ]
        server.send(("POST", f"{API}/runs/log-batch", {"run_id": run, "metrics": metrics}))
    return run, len(losses) / (time.perf_counter() - began)


def get_run(run: str) -> Call:
    """Read one run."""
    return ("GET", f"{API}/runs/get?run_id={run}", None)


def sampled(runs: list[str], points: int) -> Call:
    """So many points of each run, as MLflow's own pages ask for them."""
    named = "&".join(f"run_ids={run}" for run in runs)
    path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{named}"
    return ("GET", f"{path}&metric_key=loss&max_results={points}", None)


def page(run: str, rows: int) -> Call:
    """The first so many rows, or all of them."""
    return (
        "GET",
        f"{API}/metrics/get-history?run_id={run}&metric_key=loss&max_results={rows}",
        None,
    )


def has_spike(answer: bytes, value: float) -> bool:
    """Whether the planted value is among the points."""
    return any(point["value"] == value for point in json.loads(answer)["metrics"])
