"""One training step to be shown in full: of a network and a sample, or of a job and a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from backpropd.spec.base import Spec, Text, Vector
from backpropd.spec.faults import Fault
from backpropd.spec.job import Epoch, NetworkRef, SnapshotRef
from backpropd.spec.names import UpdateOrder
from backpropd.spec.network import NetworkSpec
from backpropd.spec.parts import LossChoice, standard
from backpropd.spec.rules import check_loss
from backpropd.spec.training import Positive, Seed


class NetworkTraceSpec(Spec):
    """A step of a network on a sample that is given."""

    network: NetworkRef = Field(description="An id or a definition.")
    inputs: Vector = Field(description="One sample.")
    targets: Vector = Field(description="What it should give.")
    loss: LossChoice = Field(
        default=standard("loss", "half_squared_error"), description="What is made small."
    )
    learning_rate: Positive = Field(default=0.5, description="How far the step goes.")
    update_order: UpdateOrder = Field(default="simultaneous", description="As in training.")
    seed: Seed = Field(default=0, description="For weights that are drawn.")

    @classmethod
    def filled(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """A sample may be given as a matrix of one row, as in a dataset."""
        for name in ("inputs", "targets"):
            rows = raw.get(name)
            if isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], list):
                raw[name] = rows[0]
        return raw

    def faults_with(self, network: NetworkSpec) -> Iterable[Fault]:
        """What is wrong between the sample, the loss and this network."""
        if len(self.inputs) != network.inputs:
            detail = f"{len(self.inputs)} values are given; the network takes {network.inputs}."
            yield Fault("/inputs", "shape_mismatch", detail)
        if len(self.targets) != network.outputs:
            detail = f"{len(self.targets)} are given; the network has {network.outputs} outputs."
            yield Fault("/targets", "shape_mismatch", detail)
        yield from check_loss(network, self.loss, "/loss")


class JobTraceSpec(Spec):
    """A step from a snapshot of a job, on a row of its dataset."""

    job: Text = Field(description="An id (job_...).")
    snapshot: SnapshotRef = Field(default="final", description="final, best, initial or an epoch.")
    row: Epoch = Field(default=0, description="Of the dataset, counted from 0.")


def trace_form(raw: Any) -> str:
    """Which of the two forms a body means."""
    return "job" if isinstance(raw, Mapping) and "job" in raw else "network"
