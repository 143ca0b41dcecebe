"""Jobs: the queue, the lease and the result in one row, and the events that led there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class JobRow(Owned, Base):
    """A training job. Only the moves of lifecycle.py change its status."""

    __tablename__ = "job"
    __table_args__ = (
        Index(None, "queue", "status", "priority", "created_at"),
        Index(
            "ix_job_running",
            "tenant_id",
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        Index("ix_job_task_id", "task_id"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "status", "created_at", "id"),
        Index(None, "tenant_id", "name"),
        Index(None, "network_id"),
        Index(None, "dataset_id"),
        Index(None, "parent_id"),
        # A beat changes no indexed column, so PostgreSQL can update the row in its own page.
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    network_id: Mapped[str] = mapped_column(ForeignKey("network.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id"))
    name: Mapped[str | None]
    tags: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any]]  # frozen, with every default filled in
    spec_sha256: Mapped[str]
    spec_version: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    queue: Mapped[str]
    priority: Mapped[int]

    status: Mapped[str]
    want: Mapped[str]  # the user's wish: run, pause, cancel
    version: Mapped[int]  # +1 with every change of the row
    attempt: Mapped[int]  # the fence: +1 with every claim, never back
    beat: Mapped[int]  # +1 with every commit of the lease holder
    crashes: Mapped[int]  # leases lost in a row without progress
    crash_epoch: Mapped[int]
    errors: Mapped[int]  # unknown errors in a row
    parent_id: Mapped[str | None]  # the job it was made of, which may have been deleted since
    derived: Mapped[str | None]  # how it came from its parent: extend, clone
    worker_id: Mapped[str | None]
    task_id: Mapped[str | None]
    run_after: Mapped[datetime | None]

    epoch: Mapped[int]
    epochs: Mapped[int]
    updates_per_epoch: Mapped[int | None]  # NULL until a worker has begun it
    run_seconds: Mapped[float]  # over all attempts
    samples_per_second: Mapped[float | None]
    stop_reason: Mapped[str | None]
    final: Mapped[dict[str, Any] | None]
    lineage: Mapped[dict[str, Any] | None]
    encoding: Mapped[dict[str, Any] | None]  # what predicting must do to inputs
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobTagRow(Owned, Base):
    """A tag of a job, as in its own column, where a search finds it."""

    __tablename__ = "job_tag"
    __table_args__ = (Index(None, "tenant_id", "key", "value", "job_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class JobDependencyRow(Owned, Base):
    """A job that another one waits for."""

    __tablename__ = "job_dependency"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    after_id: Mapped[str] = mapped_column(
        ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    on_failure: Mapped[str]  # where after_id fails: cancel this one too, or run it


class JobEventRow(Owned, Base):
    """Something that happened to a job; written in the transaction of the change itself."""

    __tablename__ = "job_event"
    __table_args__ = (
        Index(
            "ix_job_event_rescue",
            "at",
            sqlite_where=text("actor = 'reconciler'"),
            postgresql_where=text("actor = 'reconciler'"),
        ),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)  # 1, 2, 3, ... of the job
    kind: Mapped[str]  # moved, wanted, nondeterminism, resumed, ...
    from_status: Mapped[str | None]
    to_status: Mapped[str | None]
    attempt: Mapped[int]
    actor: Mapped[str]  # api, worker, reconciler
    reason: Mapped[str]
    detail: Mapped[dict[str, Any] | None]
    at: Mapped[datetime]
