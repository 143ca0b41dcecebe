"""What is wrong between a network, data and a way to train that are each right by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from backpropd.spec.faults import Fault, pointer_to, unknown_name
from backpropd.spec.job import SnapshotsSpec
from backpropd.spec.limits import LIMITS
from backpropd.spec.network import INPUTS, LayerSpec, NetworkSpec
from backpropd.spec.parts import PartSpec
from backpropd.spec.training import FoldSpec, FractionSpec, RowsSpec, TrainingSpec


def check_job(
    network: NetworkSpec,
    training: TrainingSpec,
    snapshots: SnapshotsSpec,
    *,
    rows: int,
    inputs: int,
    outputs: int,
    task: str,
    groups: int | None = None,
) -> Iterator[Fault]:
    """What is wrong between a network, a dataset of this shape, and the way to train.

    `groups`: how many groups of rows the dataset has, where it has any.
    """
    yield from check_shapes(network, inputs=inputs, outputs=outputs)
    yield from check_loss(network, training.loss, "/training/loss")
    yield from _validation_faults(training, rows)
    yield from _method_faults(training, task, groups)
    yield from _metric_faults(network, training, snapshots, task)
    yield from _step_faults(network)
    yield from _optimizer_faults(network, training, rows)
    yield from _weight_faults(training, rows, outputs, task)
    if training.batch_size == 1:
        for index, layer in enumerate(network.layers):
            if layer.normalization is not None and layer.normalization.name == "batch_norm":
                detail = "batch_norm needs batches of two samples or more."
                pointer = pointer_to("network", "layers", index, "normalization")
                yield Fault(pointer, "contradiction", detail)


def check_shapes(network: NetworkSpec, *, inputs: int, outputs: int) -> Iterator[Fault]:
    """Whether a dataset of so many input and target columns fits a network."""
    if inputs != network.inputs:
        detail = f"The dataset has {inputs} input columns; the network takes {network.inputs}."
        yield Fault("/dataset", "shape_mismatch", detail)
    if outputs != network.outputs:
        detail = f"The dataset has {outputs} target columns; the network has {network.outputs}"
        yield Fault("/dataset", "shape_mismatch", f"{detail} outputs.")


def check_loss(network: NetworkSpec, loss: PartSpec, pointer: str) -> Iterator[Fault]:
    """Whether the loss goes with what the output layer gives."""
    named, (least, most) = loss.part.outputs, loss.part.outputs_within
    activation = network.layers[-1].activation
    low, high = activation.part.range
    if named is not None and activation.name not in named:
        detail = f"{loss.name} goes with {' or '.join(named)} outputs; yours are {activation.name}."
        yield Fault(pointer, "loss_mismatch", detail)
    elif not (least <= low and high <= most):
        detail = f"{loss.name} takes outputs from {least:g} to {most:g}; {activation.name} gives "
        yield Fault(pointer, "loss_mismatch", f"{detail}others.")


def columns_of(network: NetworkSpec, training: TrainingSpec, task: str) -> dict[str, bool]:
    """The columns of the history -> whether more of it is better."""
    columns = {"loss": False}
    for metric in training.metrics_for(task):
        columns |= metric.part.best_first(network.outputs)
    if training.validation is not None:
        columns |= {f"val_{name}": grows for name, grows in columns.items()}
    return columns


def _validation_faults(training: TrainingSpec, rows: int) -> Iterator[Fault]:
    validation = training.validation
    if validation is None:
        return
    if rows < 2:
        detail = f"Of {rows} row nothing can be held back."
        yield Fault("/training/validation", "out_of_range", detail)
    elif isinstance(validation, FoldSpec) and validation.folds > rows:
        detail = f"{rows} rows make no {validation.folds} folds."
        yield Fault("/training/validation/folds", "out_of_range", detail)
    elif isinstance(validation, RowsSpec):
        for index, row in enumerate(validation.rows):
            if row >= rows:
                detail = f"The dataset has {rows} rows, counted from 0."
                pointer = pointer_to("training", "validation", "rows", index)
                yield Fault(pointer, "out_of_range", detail)
                return
        if len(validation.rows) >= rows:
            detail = "Some row must be left to learn from."
            yield Fault("/training/validation/rows", "out_of_range", detail)


def _method_faults(training: TrainingSpec, task: str, groups: int | None) -> Iterator[Fault]:
    validation = training.validation
    if not isinstance(validation, FractionSpec | FoldSpec):
        return
    pointer = "/training/validation/method"
    if validation.method == "stratified" and task != "classification":
        detail = f"There are no classes; this dataset's task is {task}."
        yield Fault(pointer, "contradiction", detail)
    if validation.method == "grouped" and groups is None:
        detail = "This dataset has no groups: upload it with `groups`, the name of a column."
        yield Fault(pointer, "contradiction", detail)
    elif groups is not None and validation.method in ("grouped", None):
        needed = validation.folds if isinstance(validation, FoldSpec) else 2
        if groups < needed:
            detail = f"The dataset has {groups} groups of rows; {needed} are needed."
            yield Fault(pointer, "out_of_range", detail)


def _metric_faults(
    network: NetworkSpec, training: TrainingSpec, snapshots: SnapshotsSpec, task: str
) -> Iterator[Fault]:
    for index, metric in enumerate(training.metrics or ()):
        if metric.part.classification and task != "classification":
            detail = f"{metric.name} needs classes; this dataset's task is {task}."
            yield Fault(pointer_to("training", "metrics", index), "contradiction", detail)
    columns = columns_of(network, training, task)
    if len(columns) > LIMITS.history_columns:
        detail = f"{len(columns)} columns; at most {LIMITS.history_columns}."
        yield Fault("/training/metrics", "too_large", detail)
    for pointer, column in (
        ("/training/stop/monitor", training.stop.monitor),
        ("/snapshots/best", snapshots.best),
    ):
        if column is None or column in columns:
            continue
        if column.endswith("accuracy") and task != "classification":
            detail = f"{column} is measured in classification; this dataset's task is {task}."
            yield Fault(pointer, "contradiction", detail)
        else:
            detail = (
                f"This job does not measure it. {unknown_name('column', column, list(columns))}"
            )
            yield Fault(pointer, "unknown_name", detail)
    if training.stop.error_below is not None and training.stop.error_of not in columns:
        detail = f"error_below needs the metric {training.stop.error_of}."
        yield Fault("/training/stop/error_below", "contradiction", detail)


def _step_faults(network: NetworkSpec) -> Iterator[Fault]:
    """Layers that would learn nothing, since a step stands between them and the error."""
    for index, layer in enumerate(network.layers):
        if layer.activation.part.learns:
            continue
        for below in _at_and_below(network, layer):
            if below.train_weights or (below.use_bias and below.train_biases):
                detail = (
                    f"Through {layer.activation.name} nothing is learned, and {below.name} is "
                    "trained: train with another activation, or freeze it."
                )
                pointer = pointer_to("network", "layers", index, "activation")
                yield Fault(pointer, "contradiction", detail)
                break


def _at_and_below(network: NetworkSpec, layer: LayerSpec) -> Iterator[LayerSpec]:
    named = {each.name: each for each in network.layers}
    seen, waiting = set[str](), [layer.name]
    while waiting:
        name = waiting.pop()
        if name == INPUTS or name in seen:
            continue
        seen.add(name)
        yield named[name]
        waiting += named[name].sources


def _optimizer_faults(network: NetworkSpec, training: TrainingSpec, rows: int) -> Iterator[Fault]:
    optimizer, name = training.optimizer.part, training.optimizer.name
    slots = network.parameter_count * optimizer.slots
    if slots > LIMITS.optimizer_numbers:
        detail = f"{name} would keep {slots:,} numbers; at most {LIMITS.optimizer_numbers:,}."
        yield Fault("/training/optimizer", "too_large", detail)
    if not optimizer.looks_around:
        return
    disturbed = "dropout, noise and batch_norm make its error another one each time"
    for index, layer in enumerate(network.layers):
        batch_norm = layer.normalization is not None and layer.normalization.name == "batch_norm"
        if layer.dropout or layer.noise or batch_norm:
            detail = f"{name} looks at the error more than once; {disturbed}."
            yield Fault(pointer_to("network", "layers", index), "contradiction", detail)
        elif optimizer.needs_squared and (
            layer.normalization is not None or layer.activation.part.learned or layer.l1
        ):
            detail = f"{name} takes no normalization, learned activation or l1."
            yield Fault(pointer_to("network", "layers", index), "contradiction", detail)
    if network.input_noise:
        detail = f"{name} looks at the error more than once; {disturbed}."
        yield Fault("/network/input_noise", "contradiction", detail)
    entries = rows * network.outputs * network.parameter_count
    if optimizer.needs_squared and entries > LIMITS.optimizer_numbers:
        detail = f"{name}'s matrix would have {entries:,} entries; at most "
        detail += f"{LIMITS.optimizer_numbers:,}: samples x outputs x parameters."
        yield Fault("/training/optimizer", "too_large", detail)


def _weight_faults(training: TrainingSpec, rows: int, outputs: int, task: str) -> Iterator[Fault]:
    if training.sample_weights is not None and len(training.sample_weights) != rows:
        detail = f"{len(training.sample_weights)} are given for {rows} rows."
        yield Fault("/training/sample_weights", "shape_mismatch", detail)
    weights = training.class_weights
    if weights is None:
        return
    if task != "classification":
        detail = f"There are no classes; this dataset's task is {task}."
        yield Fault("/training/class_weights", "contradiction", detail)
    elif weights != "balanced" and len(weights) != max(outputs, 2):
        detail = f"{len(weights)} are given for {max(outputs, 2)} classes."
        yield Fault("/training/class_weights", "shape_mismatch", detail)
