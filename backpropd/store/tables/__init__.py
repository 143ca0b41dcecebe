"""The tables, one file an aggregate."""

from backpropd.store.tables.audit import AuditRow
from backpropd.store.tables.base import Base
from backpropd.store.tables.dataset import DatasetContentRow, DatasetRow
from backpropd.store.tables.history import (
    BatchBucketRow,
    BatchChunkRow,
    HistoryBucketRow,
    HistoryChunkRow,
    MetricSummaryRow,
)
from backpropd.store.tables.idempotency import IdempotencyRow
from backpropd.store.tables.job import JobDependencyRow, JobEventRow, JobRow, JobTagRow
from backpropd.store.tables.key import ApiKeyRow
from backpropd.store.tables.network import NetworkRow
from backpropd.store.tables.snapshot import SnapshotContentRow, SnapshotRow
from backpropd.store.tables.tenant import LOCAL_TENANT, TenantRow
from backpropd.store.tables.weights import WeightsContentRow, WeightsRow
from backpropd.store.tables.worker import WorkerRow

__all__ = [
    "LOCAL_TENANT",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "BatchBucketRow",
    "BatchChunkRow",
    "DatasetContentRow",
    "DatasetRow",
    "HistoryBucketRow",
    "HistoryChunkRow",
    "IdempotencyRow",
    "JobDependencyRow",
    "JobEventRow",
    "JobRow",
    "JobTagRow",
    "MetricSummaryRow",
    "NetworkRow",
    "SnapshotContentRow",
    "SnapshotRow",
    "TenantRow",
    "WeightsContentRow",
    "WeightsRow",
    "WorkerRow",
]
