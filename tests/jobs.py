"""Jobs for tests: definitions, and the ways to store and run one without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.store import jobs, leases
from backpropd.store.database import Database
from backpropd.store.leases import Lease
from backpropd.store.tables import LOCAL_TENANT, JobRow
from service import submission
from worker.runner import Runner

MAZUR: dict[str, Any] = {
    "name": "mazur",
    "inputs": 2,
    "layers": [
        {
            "name": "hidden",
            "units": 2,
            "activation": "logistic",
            "weights": [[0.15, 0.20], [0.25, 0.30]],
            "biases": [0.35, 0.35],
            "train_biases": False,
        },
        {
            "name": "output",
            "units": 2,
            "activation": "logistic",
            "weights": [[0.40, 0.45], [0.50, 0.55]],
            "biases": [0.60, 0.60],
            "train_biases": False,
        },
    ],
}


def mazur_job(**training: Any) -> dict[str, Any]:
    """The article's job."""
    return {
        "network": MAZUR,
        "dataset": {"inputs": [[0.05, 0.10]], "targets": [[0.01, 0.99]]},
        "training": {
            "epochs": 100,
            "batch_size": 1,
            "loss": "half_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 0.5},
            **training,
        },
    }


def iris_job(**training: Any) -> dict[str, Any]:
    """A job with everything that chance touches: drawn weights, a split, shuffled batches."""
    return {
        "network": {
            "inputs": 4,
            "layers": [{"units": 5, "activation": "tanh"}, {"units": 3, "activation": "softmax"}],
        },
        "dataset": "builtin:iris",
        "training": {
            "epochs": 30,
            "batch_size": 16,
            "loss": "cross_entropy",
            "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
            "validation": {"fraction": 0.2},
            "seed": 7,
            **training,
        },
        "snapshots": {"every": 10, "best": "val_loss"},
    }


def submit(database: Database, job: dict[str, Any]) -> str:
    """Store a job as the service does; its id."""
    with database.write() as session:
        checked = submission.check(session, LOCAL_TENANT, parse(JobSpec, job))
        return submission.store(session, LOCAL_TENANT, checked).id


def claim(database: Database, worker: str = "w") -> tuple[Lease, JobRow]:
    """The lease of the best waiting job, of which there must be one."""
    with database.write() as session:
        claimed = leases.claim(session, worker_id=worker, task_id=f"task-{worker}", queue="cpu")
    assert claimed is not None
    return claimed


def find(database: Database, job_id: str) -> JobRow:
    """A job as it stands."""
    with database.read() as session:
        return jobs.find(session, LOCAL_TENANT, job_id)


def settings(**changes: Any) -> Settings:
    """Settings under which a worker commits after every block."""
    given = {"beat_seconds": 1e-9, "checkpoint_seconds": 1e-9, "auto_kernels": False}
    return Settings(**given | changes)


class Fake:
    """A clock that moves by a step with every look: time, without waiting for it."""

    def __init__(self, step: float = 0.0) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def runner(
    database: Database,
    *,
    drained: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], None] = lambda seconds: None,
    **changes: Any,
) -> Runner:
    """A worker's runner; its clock ticks often enough that every batch ends a block."""
    return Runner(
        database,
        settings(**changes),
        drained=drained,
        clock=clock or Fake(1.0),
        sleep=sleep,
    )


def run(database: Database, job: dict[str, Any], **options: Any) -> JobRow:
    """Submit a job and run it to its end in this process, in long blocks."""
    job_id = submit(database, job)
    runner(database, clock=options.pop("clock", Fake(1e-6)), **options).run(*claim(database))
    return find(database, job_id)
