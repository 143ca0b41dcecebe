"""History: every epoch exact in chunks, extremes in a pyramid above them, a summary above all.

A person with a SQL client reads `metric_summary` and `history_bucket` as they stand; the payload of
a chunk is described in chunks.py.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class HistoryChunkRow(Owned, Base):
    """Up to 4,096 rows of history; epochs first_epoch, first_epoch + stride, ... last_epoch."""

    __tablename__ = "history_chunk"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    first_epoch: Mapped[int] = mapped_column(primary_key=True)
    last_epoch: Mapped[int]
    stride: Mapped[int]
    count: Mapped[int]
    attempt: Mapped[int]  # whose lease wrote it
    metrics: Mapped[list[str]]  # the columns of the payload, in order
    payload: Mapped[bytes]


class HistoryBucketRow(Owned, Base):
    """The extremes of a metric in epochs bucket * size + 1 ... (bucket + 1) * size."""

    __tablename__ = "history_bucket"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]  # rows, those without a number too
    min: Mapped[float | None] = mapped_column(Float(53))  # NULL where no row is a number
    min_epoch: Mapped[int | None]
    max: Mapped[float | None] = mapped_column(Float(53))
    max_epoch: Mapped[int | None]


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
