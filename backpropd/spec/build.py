"""From what was asked to what computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backpropd.engine import Layer, Network, Stopping, Training, TrainingState
from backpropd.spec.job import HistorySpec, SnapshotsSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.parts import PartSpec
from backpropd.spec.rules import columns_of
from backpropd.spec.training import SeedsSpec, TrainingSpec


@dataclass(frozen=True, slots=True)
class Generators:
    """Streams of chance that do not disturb each other."""

    weights: np.random.Generator  # initial weights and biases
    split: np.random.Generator  # which rows are held back
    order: np.random.Generator  # the order of each epoch
    noise: np.random.Generator  # noise and dropout


STREAMS = ("weights", "split", "order", "noise")


def generators(seed: int, seeds: SeedsSpec | None = None) -> Generators:
    """The streams of a job; the same seed always gives the same four.

    A component whose seed is given has its stream from that one instead.
    """
    own = SeedsSpec() if seeds is None else seeds
    streams = {}
    for stream, name in enumerate(STREAMS):
        given = getattr(own, name)
        sequence = np.random.SeedSequence(seed if given is None else given, spawn_key=(stream,))
        streams[name] = np.random.Generator(np.random.PCG64(sequence))
    return Generators(**streams)


def build_network(spec: NetworkSpec, *, dtype: str) -> Network:
    """The network that a definition describes."""
    layers = [
        Layer(
            name=layer.name,
            units=layer.units,
            activation=layer.activation.part,
            sources=layer.sources,
            use_bias=layer.use_bias,
            share_bias=layer.share_bias,
            train_weights=layer.train_weights,
            train_biases=layer.train_biases,
            ties=None if layer.ties is None else np.array(layer.ties, np.int64),
            normalization=None if layer.normalization is None else layer.normalization.part,
            noise=layer.noise,
            dropout=layer.dropout,
            l1=layer.l1,
            l2=layer.l2,
            max_norm=layer.max_norm,
        )
        for layer in spec.layers
    ]
    return Network(inputs=spec.inputs, layers=layers, dtype=dtype, input_noise=spec.input_noise)


def initial_theta(
    spec: NetworkSpec, network: Network, *, rng: np.random.Generator
) -> NDArray[np.floating]:
    """The weights and biases before training: given ones as given, the others drawn."""
    given = {}
    draw = {}
    for layer in spec.layers:
        draw[f"{layer.name}.weight"] = layer.init.part
        draw[f"{layer.name}.bias"] = layer.bias_init.part
        if layer.weights is not None:
            given[f"{layer.name}.weight"] = np.array(layer.weights)
        if layer.biases is not None:
            given[f"{layer.name}.bias"] = np.array(layer.biases)
    return network.initial(given=given, draw=draw, rng=rng)


def build_training(
    network: Network,
    definition: NetworkSpec,
    spec: TrainingSpec,
    history: HistorySpec,
    snapshots: SnapshotsSpec,
    *,
    task: str,
) -> Training:
    """The engine's side of `training`."""
    grows = columns_of(definition, spec, task)
    monitor = spec.stop.monitor or "loss"
    return Training(
        network=network,
        loss=spec.loss.part,
        optimizer=spec.optimizer.part,
        schedule=spec.schedule.part,
        epochs=spec.epochs,
        batch_size=None if spec.batch_size == "all" else spec.batch_size,
        order=spec.order,
        update_order=spec.update_order,
        clip=None if spec.clip is None else spec.clip.part,
        metrics=tuple(metric.part for metric in spec.metrics_for(task)),
        statistics=history.layers,
        batch_losses=history.batches,
        stopping=Stopping(
            loss_below=spec.stop.loss_below,
            error_below=spec.stop.error_below,
            error_of=spec.stop.error_of,
            updates=spec.stop.updates,
            patience=spec.stop.patience,
            min_delta=spec.stop.min_delta,
            monitor=monitor,
            monitor_grows=grows[monitor],
        ),
        best=snapshots.best,
        best_grows=grows[snapshots.best or "loss"],
        restore_best=spec.stop.restore_best,
    )


def start(
    spec: NetworkSpec,
    training: Training,
    streams: Generators,
    theta: NDArray[np.floating] | None = None,
) -> TrainingState:
    """The state before the first update, from this theta (P,) where it is given."""
    if theta is None:
        theta = initial_theta(spec, training.network, rng=streams.weights)
    slots = training.optimizer.slots
    return TrainingState.start(theta, slots=slots, order=streams.order, noise=streams.noise)


def fault_of_targets(loss: PartSpec, targets: NDArray[np.floating]) -> str | None:
    """Why these targets (N, O) can't serve this loss, as a sentence, or None."""
    fault: str | None = loss.part.fault_of(targets)
    return fault
