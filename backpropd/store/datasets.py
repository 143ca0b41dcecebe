"""Datasets: the same content of one owner is one dataset, and nothing changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id
from backpropd.spec.search import Key, Node
from backpropd.store.clock import now
from backpropd.store.errors import InUse, NotFound
from backpropd.store.ids import is_possible
from backpropd.store.listing import NEWEST_FIRST, search_page
from backpropd.store.networks import MOST_JOBS_NAMED
from backpropd.store.once import added
from backpropd.store.paging import Page
from backpropd.store.searchable import DATASETS
from backpropd.store.tables import DatasetContentRow, DatasetRow, JobRow


def keep(
    session: Session,
    tenant_id: str,
    *,
    sha256: str,
    content: bytes,
    name: str | None,
    builtin: bool,
    task: str,
    rows: int,
    inputs: int,
    targets: int,
    columns: dict[str, Any],
) -> tuple[DatasetRow, bool]:
    """The dataset with this content, and whether it is new.

    Nobody deletes it until the caller's transaction ends.
    """
    same = (
        select(DatasetRow)
        .where(
            DatasetRow.tenant_id == tenant_id,
            DatasetRow.sha256 == sha256,
            DatasetRow.builtin == builtin,
        )
        .with_for_update(read=True, key_share=True)
    )
    known = session.scalar(same)
    if known is not None:
        return known, False
    row = DatasetRow(
        id=new_id("ds"),
        tenant_id=tenant_id,
        name=name,
        builtin=builtin,
        sha256=sha256,
        task=task,
        rows=rows,
        inputs=inputs,
        targets=targets,
        columns=columns,
        size=len(content),
        created_at=now(),
    )
    kept = added(session, row, same)
    if kept is not row:
        return kept, False
    session.add(DatasetContentRow(tenant_id=tenant_id, dataset_id=row.id, content=content))
    session.flush()
    return row, True


def find(
    session: Session, tenant_id: str, dataset_id: str, *, lock: bool = False, hold: bool = False
) -> DatasetRow:
    """The dataset with this id; raises NotFound, also for somebody else's.

    `lock`: the caller changes it. `hold`: nobody deletes it until the caller's transaction ends.
    """
    query = select(DatasetRow).where(DatasetRow.tenant_id == tenant_id, DatasetRow.id == dataset_id)
    if lock or hold:
        query = query.with_for_update(read=not lock, key_share=not lock)
    row = session.scalar(query) if is_possible(dataset_id) else None
    if row is None:
        raise NotFound("dataset", dataset_id)
    return row


def content(session: Session, dataset_id: str) -> bytes:
    """The arrays of a dataset that was found."""
    row = session.get_one(DatasetContentRow, dataset_id)
    return row.content


def list_page(
    session: Session,
    tenant_id: str,
    *,
    limit: int,
    cursor: str | None,
    where: Node | None = None,
    order: Sequence[Key] = NEWEST_FIRST,
) -> Page[DatasetRow]:
    """The owner's own datasets that a filter finds, newest first where no order is given."""
    return search_page(
        session, DATASETS, tenant_id, where=where, order=order, limit=limit, cursor=cursor
    )


def delete(session: Session, tenant_id: str, dataset_id: str) -> None:
    """Delete a dataset with its content; raises InUse where jobs need it."""
    # Locked first: a job that is being submitted with it is waited for, and then seen.
    row = find(session, tenant_id, dataset_id, lock=True)
    jobs = session.scalars(
        select(JobRow.id).where(JobRow.dataset_id == dataset_id).limit(MOST_JOBS_NAMED)
    ).all()
    if jobs:
        raise InUse(jobs)
    session.delete(session.get_one(DatasetContentRow, dataset_id))
    session.flush()
    session.delete(row)
