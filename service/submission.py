"""From a JobSpec to a row: what it names is found or made, and all its faults are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from backpropd.bell import QUEUE
from backpropd.data.builtin import PREFIX, builtin
from backpropd.data.inline import from_inline
from backpropd.data.prepare import default_method
from backpropd.data.scaling import Scaling
from backpropd.data.table import Dataset
from backpropd.export.weights import Weights, theta_bytes
from backpropd.spec.base import parse
from backpropd.spec.build import fault_of_targets
from backpropd.spec.canonical import draw_seed
from backpropd.spec.dataset import InlineDatasetSpec
from backpropd.spec.faults import Fault, Invalid, pointer_to
from backpropd.spec.job import DatasetPart, JobSpec, NetworkPart, TrainingPart
from backpropd.spec.network import NetworkSpec
from backpropd.spec.rules import check_job, check_loss, check_shapes
from backpropd.store import datasets, jobs, networks, snapshots
from backpropd.store.database import Session
from backpropd.store.errors import NotFound
from backpropd.store.lifecycle import ENDED, JobStatus
from backpropd.store.tables import JobRow
from service.initial import initial_theta_of, initial_weights


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that can be stored: everything it names exists and fits together."""

    spec: JobSpec
    network: NetworkSpec
    network_id: str | None  # None where the definition came with the job
    dataset: Dataset
    dataset_id: str | None  # None where the rows came with the job, or are built in
    initial: Weights | None = None  # arrays to begin with, where they were asked for

    @property
    def training(self) -> dict[str, Any]:
        """How to train, with the seed drawn, the metrics and the way to split named."""
        out = self.spec.training.model_dump(mode="json")
        out["metrics"] = [each.short for each in self.spec.training.metrics_for(self.dataset.task)]
        if out["seed"] is None:
            out["seed"] = draw_seed()
        if (out["validation"] or {}).get("method", "") is None:
            out["validation"]["method"] = default_method(self.dataset)
        return out

    def resolved(self, training: dict[str, Any], network: Any, dataset: str) -> dict[str, Any]:
        """The spec with every default filled in."""
        rest = self.spec.model_dump(mode="json", exclude={"network", "dataset", "training"})
        return {"network": network, "dataset": dataset, "training": training, **rest}


def read(session: Session, tenant_id: str, raw: dict[str, Any], *, hold: bool = True) -> Submission:
    """The job that a request's body says; raises Invalid with all faults.

    Where one part is wrong, the others are compared all the same.
    """
    try:
        spec = parse(JobSpec, raw)
    except Invalid as invalid:
        told = {fault.pointer for fault in invalid.faults}
        between = _faults_between(session, tenant_id, raw)
        more = [fault for fault in between if fault.pointer not in told]
        raise Invalid([*invalid.faults, *more]) from None
    return check(session, tenant_id, spec, hold=hold)


def _faults_between(session: Session, tenant_id: str, raw: dict[str, Any]) -> list[Fault]:
    """What is wrong between those parts of a faulty job that are right by themselves."""
    faults: list[Fault] = []
    network, dataset, training = None, None, None
    with suppress(Invalid):
        part = parse(NetworkPart, {"network": raw.get("network")})
        network, _ = _network(session, tenant_id, part, faults, hold=False)
    with suppress(Invalid):
        whole = parse(DatasetPart, {"dataset": raw.get("dataset")})
        dataset, _ = _dataset(session, tenant_id, whole, faults, hold=False)
    with suppress(Invalid):
        training = parse(TrainingPart, {k: raw[k] for k in ("training", "snapshots") if k in raw})
    if network is not None and dataset is not None:
        inputs, outputs = dataset.inputs.shape[1], dataset.targets.shape[1]
        if training is None:
            return [*faults, *check_shapes(network, inputs=inputs, outputs=outputs)]
        shape = dataset.shape
        return [*faults, *check_job(network, training.training, training.snapshots, **shape)]
    if network is not None and training is not None:
        faults += check_loss(network, training.training.loss, "/training/loss")
    return faults


def check(session: Session, tenant_id: str, spec: JobSpec, *, hold: bool = True) -> Submission:
    """Find what the job names and compare its parts; raises Invalid with all faults.

    `hold`: nobody deletes what was found until the caller's transaction, which may write, ends.
    """
    faults: list[Fault] = []
    network, network_id = _network(session, tenant_id, spec, faults, hold=hold)
    dataset, dataset_id = _dataset(session, tenant_id, spec, faults, hold=hold)
    if network is not None and dataset is not None:
        faults += check_job(network, spec.training, spec.snapshots, **dataset.shape)
    if dataset is not None:
        scaled = Scaling.fit(dataset.targets, dataset.target_scaling).apply(dataset.targets)
        fault = fault_of_targets(spec.training.loss, scaled)
        if fault is not None:
            detail = f"For {spec.training.loss.name}, {fault}."
            faults.append(Fault("/training/loss", "loss_mismatch", detail))
    faults += _faults_of_dependencies(session, tenant_id, spec, hold=hold)
    initial = None
    if spec.initial is not None and network is not None:
        initial = initial_weights(session, tenant_id, spec.initial, network, faults)
    if faults or network is None or dataset is None:
        raise Invalid(faults)
    return Submission(spec, network, network_id, dataset, dataset_id, initial)


def _faults_of_dependencies(
    session: Session, tenant_id: str, spec: JobSpec, *, hold: bool
) -> Iterator[Fault]:
    for index, job_id in enumerate(spec.after):
        try:
            before = jobs.find(session, tenant_id, job_id, hold=hold)
        except NotFound as error:
            yield Fault(pointer_to("after", index), "not_found", str(error))
            continue
        if spec.on_failure == "cancel" and before.status in ENDED - {JobStatus.SUCCEEDED}:
            detail = f"{job_id} is {before.status} already, so this job would be cancelled."
            yield Fault(pointer_to("after", index), "contradiction", detail)


def store(
    session: Session,
    tenant_id: str,
    submission: Submission,
    *,
    parent: JobRow | None = None,
    derived: str | None = None,
) -> JobRow:
    """Write the job, and what came with it, in the caller's transaction."""
    network_id = submission.network_id
    if network_id is None:
        network_id = networks.create(
            session,
            tenant_id,
            definition=submission.network.definition(),
            parameter_count=submission.network.parameter_count,
        ).id
    asked = submission.spec.dataset
    dataset_id = submission.dataset_id
    if dataset_id is None:
        row, _ = datasets.keep(
            session,
            tenant_id,
            content=submission.dataset.to_bytes(),
            name=asked if isinstance(asked, str) else asked.name,
            builtin=isinstance(asked, str),
            **submission.dataset.facts(),
        )
        dataset_id = row.id
    named = asked if isinstance(asked, str) else dataset_id
    training = submission.training
    job = jobs.submit(
        session,
        tenant_id,
        spec=submission.resolved(training, network_id, named),
        network_id=network_id,
        dataset_id=dataset_id,
        queue=QUEUE,
        parent=parent,
        derived=derived,
    )
    if submission.initial is not None:
        theta = initial_theta_of(submission.network, training, submission.initial)
        snapshots.keep_given(session, job, theta_bytes(theta))
    return job


def _network(
    session: Session,
    tenant_id: str,
    spec: JobSpec | NetworkPart,
    faults: list[Fault],
    *,
    hold: bool,
) -> tuple[NetworkSpec | None, str | None]:
    if isinstance(spec.network, NetworkSpec):
        return spec.network, None
    try:
        row = networks.find(session, tenant_id, spec.network, hold=hold)
    except NotFound as error:
        faults.append(Fault("/network", "not_found", str(error)))
        return None, None
    return parse(NetworkSpec, row.definition), row.id


def find_dataset(session: Session, tenant_id: str, asked: str | InlineDatasetSpec) -> Dataset:
    """What a request names as its dataset; raises Invalid, pointing to /dataset."""
    faults: list[Fault] = []
    part = DatasetPart(dataset=asked)
    dataset, _ = _dataset(session, tenant_id, part, faults, hold=False)
    if dataset is None:
        raise Invalid(faults)
    return dataset


def _dataset(
    session: Session,
    tenant_id: str,
    spec: JobSpec | DatasetPart,
    faults: list[Fault],
    *,
    hold: bool,
) -> tuple[Dataset | None, str | None]:
    try:
        if not isinstance(spec.dataset, str):
            return from_inline(spec.dataset), None
        if spec.dataset.startswith(PREFIX):
            return builtin(spec.dataset), None
        row = datasets.find(session, tenant_id, spec.dataset, hold=hold)
    except NotFound as error:
        faults.append(Fault("/dataset", "not_found", str(error)))
        return None, None
    except Invalid as invalid:
        inline = not isinstance(spec.dataset, str)
        faults += [fault.under("/dataset") if inline else fault for fault in invalid.faults]
        return None, None
    return Dataset.from_bytes(datasets.content(session, row.id)), row.id
