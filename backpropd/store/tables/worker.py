"""Workers that were seen lately: for people, and for how many bells are worth ringing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, false
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class WorkerRow(Owned, Base):
    """One worker process with its slots. No lease depends on it."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(primary_key=True)  # random, new with every start
    host: Mapped[str]
    version: Mapped[str]
    queue: Mapped[str]
    slots: Mapped[int]
    seen_at: Mapped[datetime]
    # An operator's wish: take no job, and hand back what is held.
    draining: Mapped[bool] = mapped_column(server_default=false())
    # Writes that came after the lease was lost, and were not made.
    fenced: Mapped[int] = mapped_column(BigInteger, server_default="0")
