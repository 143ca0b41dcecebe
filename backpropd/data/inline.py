"""Rows that came in the request itself."""

from __future__ import annotations

import numpy as np

from backpropd.data.table import Dataset, from_numbers, is_binary, is_one_hot
from backpropd.spec.dataset import InlineDatasetSpec
from backpropd.spec.faults import Fault, Invalid


def from_inline(spec: InlineDatasetSpec) -> Dataset:
    """The dataset that these rows are.

    Raises Invalid where classification is asked for and the targets are no classes.
    """
    targets = np.array(spec.targets, dtype=np.float64)
    if spec.task == "classification" and not (is_binary(targets) or is_one_hot(targets)):
        detail = "For classification, targets are one column of 0 and 1, or one-hot rows."
        raise Invalid([Fault("/targets", "not_classes", detail)])
    inputs = np.array(spec.inputs, dtype=np.float64)
    groups = None if spec.groups is None else np.unique(spec.groups, return_inverse=True)[1]
    return from_numbers(
        inputs,
        targets,
        task=spec.task,
        scaling=spec.scaling,
        target_scaling=spec.target_scaling,
        groups=groups,
    )
