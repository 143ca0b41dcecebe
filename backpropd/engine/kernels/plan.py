"""Chooses the code that trains a network, and says why that.

What no kernel covers takes the textbook's code; the list is `uncovered`, and it is short. The sizes
at which one kernel hands over to the next were measured: docs/reference/kernels.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from backpropd.engine.network import Layer, Network
from backpropd.engine.optimizers import Rule
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm
from backpropd.engine.state import TrainingState
from backpropd.engine.training import LAYERWISE, Course, Data, Training

PLAIN, ONLINE, FUSED, BLAS = KERNELS = ("plain", "online", "fused", "blas")
NARROW = 128  # widest layer of the online kernel
BLAS_PRODUCTS = 1_000_000  # multiplications of a batch from which BLAS is faster
FEW_ROWS = 16  # batches of so few rows leave BLAS little to do


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel, and the reason; `text` is the module that it needs, empty for the plain path."""

    kernel: str
    reason: str
    text: str = ""
    build: str = "fast"

    def course(self, training: Training, data: Data, state: TrainingState) -> Course:
        """A run of `fit` by this kernel."""
        if self.kernel == PLAIN:
            return Course(training, data, state)
        if self.kernel == BLAS:
            from backpropd.engine.kernels.blas import BlasCourse

            return BlasCourse(training, data, state, build=self.build)
        from backpropd.engine.kernels.course import CompiledCourse

        return CompiledCourse(training, data, state, self.kernel, build=self.build)

    @property
    def ready(self) -> bool:
        """Whether nothing is left to compile."""
        if self.kernel == PLAIN:
            return True
        from backpropd.engine.kernels import generated

        return generated.is_compiled(self.text)

    def written(self) -> Path:
        """The module's file, from which another process may compile it."""
        from backpropd.engine.kernels import generated

        return generated.written(self.text)

    @property
    def version(self) -> str:
        """Names the machine code: equal versions give equal bits."""
        if self.kernel == PLAIN:
            return PLAIN
        from backpropd.engine.kernels import generated

        return f"{self.kernel} {generated.digest(self.text)}"


def choose(
    training: Training, data: Data, *, kernel: str | None = None, build: str = "fast"
) -> Choice:
    """The kernel for this training, or the one that is asked for where it covers it.

    Raises ValueError for a kernel that does not exist. The builds "checked" and
    "interpreted" have one lane and every index checked: tests run them.
    """
    if kernel is not None and kernel not in KERNELS:
        raise ValueError(f"there is no kernel {kernel}; there are {', '.join(KERNELS)}")
    if kernel == PLAIN:
        return Choice(PLAIN, "it was asked for")
    if find_spec("numba") is None:
        return Choice(PLAIN, "Numba is not installed: pip install 'backpropd[kernels]'")
    for fault in uncovered(training):
        return Choice(PLAIN, f"no kernel covers {fault}")
    chosen, reason = (kernel, "it was asked for") if kernel else _by_size(training, data)
    if chosen == ONLINE and (without := _not_online(training, data)):
        chosen, reason = FUSED, f"the online kernel does not cover {without}"
    return _traced(training, data, chosen, reason, build=build)


def uncovered(training: Training) -> Iterator[str]:
    """What no kernel covers, of all that this training asks for."""
    network = training.network
    if not isinstance(training.optimizer, Rule):
        yield f"the optimizer {training.optimizer.name}, which looks at the error in several places"
    if training.update_order == LAYERWISE:
        yield "the layerwise update order"
    if training.statistics:
        yield "statistics of every layer"
    if network.input_noise:
        yield "noise of inputs"
    for layer in network.layers:
        yield from _uncovered_of(layer)
    yield from _odd_graph(network)


def _uncovered_of(layer: Layer) -> Iterator[str]:
    if layer.normalization is not None:
        yield "normalization"
    if layer.activation.learned:
        yield f"what the activation {layer.activation.name} learns"
    if layer.noise:
        yield "noise of outputs"
    if layer.max_norm is not None:
        yield "max_norm"
    if layer.ties is not None:
        yield "tied or missing connections"
    if layer.share_bias and layer.use_bias and layer.train_biases:
        yield "a shared bias that is trained"


def _odd_graph(network: Network) -> Iterator[str]:
    read = {source for layer in network.layers for source in layer.sources}
    if network.output_layer.name in read:
        yield "an output layer that feeds another one"
    if any(layer.name not in read for layer in network.layers[:-1]):
        yield "a layer that feeds nobody"


def _by_size(training: Training, data: Data) -> tuple[str, str]:
    network, samples = training.network, len(data.inputs)
    batch = min(training.batch_size or samples, samples)
    widest = max(layer.units for layer in network.layers)
    products = batch * sum(layer.units * network.fan_in(layer.name) for layer in network.layers)
    sizes = f"batches of {batch}, layers of {widest} units at most"
    if batch == 1 and widest <= NARROW:
        return ONLINE, sizes
    if products < BLAS_PRODUCTS or batch <= FEW_ROWS:
        return FUSED, sizes
    return BLAS, sizes


def _not_online(training: Training, data: Data) -> str | None:
    """What keeps a training from the online kernel."""
    if min(training.batch_size or len(data.inputs), len(data.inputs)) != 1:
        return "batches of more than one sample"
    if isinstance(training.clip, ClipNorm | ClipGlobalNorm):
        return "clipping by a norm"
    return None


def _traced(training: Training, data: Data, kernel: str, reason: str, *, build: str) -> Choice:
    from backpropd.engine.kernels import blas, course
    from backpropd.engine.kernels.symbols import Untraceable

    try:
        if kernel == BLAS:
            text, _ = blas.text_of(training, data, build=build)
        else:
            text, _ = course.text_of(training, data, kernel, build=build)
    except Untraceable as fault:
        return Choice(PLAIN, f"no kernel covers {fault}")
    return Choice(kernel, reason, text, build)
