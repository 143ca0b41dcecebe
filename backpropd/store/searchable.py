"""What can be searched: the fields of jobs, networks and datasets, and where each of them lies.

A field has the name of its path in the answer of GET.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, cast, select

from backpropd.spec.job import HistorySpec, SnapshotsSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.search import Kind, Vocabulary
from backpropd.spec.training import TrainingSpec
from backpropd.store.search import Table
from backpropd.store.tables import DatasetRow, JobRow, NetworkRow

Columns = dict[str, tuple[Kind, Any]]

_JOB: Columns = {
    "id": (Kind.TEXT, JobRow.id),
    "name": (Kind.TEXT, JobRow.name),
    "status": (Kind.TEXT, JobRow.status),
    "want": (Kind.TEXT, JobRow.want),
    "priority": (Kind.NUMBER, JobRow.priority),
    "attempt": (Kind.NUMBER, JobRow.attempt),
    "created_at": (Kind.TIME, JobRow.created_at),
    "started_at": (Kind.TIME, JobRow.started_at),
    "finished_at": (Kind.TIME, JobRow.finished_at),
    "network_id": (Kind.TEXT, JobRow.network_id),
    "dataset_id": (Kind.TEXT, JobRow.dataset_id),
    "dataset": (Kind.TEXT, JobRow.spec["dataset"].as_string()),
    "parent": (Kind.TEXT, JobRow.parent_id),
    "derived": (Kind.TEXT, JobRow.derived),
    "stop_reason": (Kind.TEXT, JobRow.stop_reason),
    "progress.epoch": (Kind.NUMBER, JobRow.epoch),
    "progress.epochs": (Kind.NUMBER, JobRow.epochs),
    "progress.fraction": (Kind.NUMBER, cast(JobRow.epoch, Float(53)) / JobRow.epochs),
    "progress.samples_per_second": (Kind.NUMBER, JobRow.samples_per_second),
}
_NETWORK: Columns = {
    "id": (Kind.TEXT, NetworkRow.id),
    "name": (Kind.TEXT, NetworkRow.name),
    "created_at": (Kind.TIME, NetworkRow.created_at),
    "sha256": (Kind.TEXT, NetworkRow.sha256),
    "parameter_count": (Kind.NUMBER, NetworkRow.parameter_count),
}
_DATASET: Columns = {
    "id": (Kind.TEXT, DatasetRow.id),
    "name": (Kind.TEXT, DatasetRow.name),
    "created_at": (Kind.TIME, DatasetRow.created_at),
    "sha256": (Kind.TEXT, DatasetRow.sha256),
    "task": (Kind.TEXT, DatasetRow.task),
    "rows": (Kind.NUMBER, DatasetRow.rows),
}
_DEFINITION = (
    select(NetworkRow.definition).where(NetworkRow.id == JobRow.network_id).scalar_subquery()
)


def _fields(columns: Columns) -> dict[str, Kind]:
    return {name: kind for name, (kind, _) in columns.items()}


def _places(columns: Columns) -> dict[str, Any]:
    return {name: column for name, (_, column) in columns.items()}


JOB_FIELDS = Vocabulary(
    _fields(_JOB),
    {
        "tags": None,
        "metrics": None,
        "training": list(TrainingSpec.model_fields),
        "network": list(NetworkSpec.model_fields),
        "history": list(HistorySpec.model_fields),
        "snapshots": list(SnapshotsSpec.model_fields),
        "final": None,
        "error": None,
        "lineage": None,
    },
)
JOBS = Table(
    JobRow,
    _places(_JOB),
    {
        "training": (JobRow.spec, ("training",)),
        "history": (JobRow.spec, ("history",)),
        "snapshots": (JobRow.spec, ("snapshots",)),
        "network": (_DEFINITION, ()),
        "final": (JobRow.final, ()),
        "error": (JobRow.error, ()),
        "lineage": (JobRow.lineage, ()),
    },
    leading=frozenset({"id", "name", "status", "network_id", "dataset_id", "parent"}),
)
NETWORK_FIELDS = Vocabulary(_fields(_NETWORK), {"definition": list(NetworkSpec.model_fields)})
NETWORKS = Table(NetworkRow, _places(_NETWORK), {"definition": (NetworkRow.definition, ())})
DATASET_FIELDS = Vocabulary(_fields(_DATASET), {})
DATASETS = Table(DatasetRow, _places(_DATASET), {}, shown=DatasetRow.builtin.is_(False))
