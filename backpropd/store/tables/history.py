"""History: every row exact in chunks, extremes in a pyramid above them, a summary above all.

Epochs and, where a job asked for them, batches are written alike, each in two tables of their own.
How to read them with a SQL client, and a chunk's payload by hand: docs/reference/history-tables.md.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Float, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, synonym

from backpropd.store.tables.base import Base, Owned


class _Chunk(Owned):
    """Up to 4,096 rows, evenly spaced: first, first + stride, ... last."""

    count: Mapped[int]
    attempt: Mapped[int]  # whose lease wrote it
    metrics: Mapped[list[str]]  # the columns of the payload, in order
    payload: Mapped[bytes]
    # When its first row was begun and its last one was through; of the rows between, evenly.
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class HistoryChunkRow(_Chunk, Base):
    """Rows of epochs."""

    __tablename__ = "history_chunk"
    __table_args__ = (
        # What a chunk holds, without its payload: SQLite reads it from here alone.
        Index("ix_history_chunk_rows", "job_id", "first_epoch", "last_epoch", "stride", "count"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    first: Mapped[int] = mapped_column("first_epoch", primary_key=True)
    last: Mapped[int] = mapped_column("last_epoch")
    stride: Mapped[int]


class BatchChunkRow(_Chunk, Base):
    """Rows of batches, by the number of the update that followed each."""

    __tablename__ = "batch_chunk"
    __table_args__ = (
        Index("ix_batch_chunk_rows", "job_id", "first_update", "last_update", "stride", "count"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    first: Mapped[int] = mapped_column("first_update", BigInteger, primary_key=True)
    last: Mapped[int] = mapped_column("last_update", BigInteger)
    stride: Mapped[int] = mapped_column(BigInteger)


class _Bucket(Owned):
    """The extremes of a metric in rows bucket * size + 1 ... (bucket + 1) * size."""

    count: Mapped[int]  # rows, those without a number too
    min: Mapped[float | None] = mapped_column(Float(53))  # NULL where no row is a number
    max: Mapped[float | None] = mapped_column(Float(53))


class HistoryBucketRow(_Bucket, Base):
    """Extremes of epochs."""

    __tablename__ = "history_bucket"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    min_at: Mapped[int | None] = mapped_column("min_epoch")
    max_at: Mapped[int | None] = mapped_column("max_epoch")


class BatchBucketRow(_Bucket, Base):
    """Extremes of batches."""

    __tablename__ = "batch_bucket"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    min_at: Mapped[int | None] = mapped_column("min_update", BigInteger)
    max_at: Mapped[int | None] = mapped_column("max_update", BigInteger)


class MetricSummaryRow(Owned, Base):
    """A metric over the whole job, for lists and searches."""

    __tablename__ = "metric_summary"
    __table_args__ = tuple(
        Index(None, "tenant_id", "metric", statistic, "job_id")
        for statistic in ("min", "max", "last")
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    nan_count: Mapped[int] = mapped_column(BigInteger)
    first: Mapped[float | None] = mapped_column(Float(53))  # NULL is not a number
    last: Mapped[float | None] = mapped_column(Float(53))
    min: Mapped[float | None] = mapped_column(Float(53))
    min_epoch: Mapped[int | None]
    max: Mapped[float | None] = mapped_column(Float(53))
    max_epoch: Mapped[int | None]
    min_at: Mapped[int | None] = synonym("min_epoch")  # as a bucket has them
    max_at: Mapped[int | None] = synonym("max_epoch")
