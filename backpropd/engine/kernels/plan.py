"""Chooses the code that trains a network, and says why that.

What no kernel covers takes the textbook's code; the list is `uncovered`, and it is short. The sizes
at which one kernel hands over to the next were measured: docs/reference/kernels.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from backpropd.engine.network import Layer, Network
from backpropd.engine.optimizers import Rule
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm
from backpropd.engine.state import TrainingState
from backpropd.engine.training import LAYERWISE, Course, Data, Training

if TYPE_CHECKING:  # needs Numba
    from backpropd.engine.kernels.course import Module

PLAIN, ONLINE, FUSED, BLAS = KERNELS = ("plain", "online", "fused", "blas")
SWARM = "swarm"  # of many networks at once, which `fit_many` trains
NARROW = 128  # widest layer of the online kernel
BLAS_PRODUCTS = 4_000_000  # multiplications of a batch from which BLAS is faster
WORTH_UPDATES = 10_000_000  # from which compiling for one shape saves what it takes


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel, and the reason. `module` is the code that it needs, None for the plain path.

    `own` is the same written out for one shape, where there is such a thing: other code, the same
    bits. It trains where it is compiled, or `insisted` on.
    """

    kernel: str
    reason: str
    module: Module | None = None
    own: Module | None = None
    insisted: bool = False
    updates: int = 0  # of the whole training

    def course(self, training: Training, data: Data, state: TrainingState) -> Course:
        """A run of `fit` by this kernel."""
        if self.module is None:
            return Course(training, data, state)
        if self.kernel == SWARM:
            raise ValueError("swarms are trained by fit_many")
        if self.kernel == BLAS:
            from backpropd.engine.kernels.blas import BlasCourse

            return BlasCourse(training, data, state, self.module)
        from backpropd.engine.kernels.course import CompiledCourse

        module = self.own if self.own is not None and self.takes_own else self.module
        return CompiledCourse(training, data, state, self.kernel, module)

    @property
    def takes_own(self) -> bool:
        """Whether the code for this shape alone trains."""
        return self.own is not None and (self.insisted or self.own.is_compiled)

    @property
    def ready(self) -> bool:
        """Whether nothing has to be compiled before training begins."""
        if self.module is None:
            return True
        return (self.module.is_compiled and not self.insisted) or (
            self.own is not None and self.own.is_compiled
        )

    def missing(self) -> list[Path]:
        """The files of modules that another process may compile for trainings such as this one.

        What is needed most comes first; a shape's own code is only there where it pays.
        """
        from backpropd.engine.kernels.symbols import Untraceable

        found = []
        if self.module is not None and not self.module.is_compiled:
            found.append(self.module.written())
        if self.own is not None and self.updates >= WORTH_UPDATES and not self.own.is_compiled:
            with suppress(Untraceable):
                found.append(self.own.written())
        return found

    @property
    def version(self) -> str:
        """Names the arithmetic: equal versions give equal bits."""
        if self.module is None:
            return PLAIN
        from backpropd.engine.kernels import generated

        return f"{self.kernel} {generated.digest(self.module.text)}"


def choose(
    training: Training,
    data: Data,
    *,
    kernel: str | None = None,
    build: str = "fast",
    unrolled: bool | None = None,
) -> Choice:
    """The kernel for this training, or the one that is asked for where it covers it.

    The online kernel can be `unrolled` for one shape: None does so where that is compiled already.
    Raises ValueError for a kernel that does not exist, and where True cannot be. The builds
    "checked" and "interpreted" have one lane and every index checked: tests run them.
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
    return _traced(training, data, chosen, reason, build=build, unrolled=unrolled)


def preload() -> bool:
    """Import now what the first kernel of a process needs; whether there can be one at all."""
    if find_spec("numba") is None:
        return False
    from backpropd.engine.kernels import blas, course  # noqa: F401 - for later

    return True


def uncovered(training: Training) -> Iterator[str]:
    """What no kernel covers, of all that this training asks for."""
    network = training.network
    if not isinstance(training.optimizer, Rule):
        yield f"the optimizer {training.optimizer.name}, which looks at the error in several places"
    if training.update_order == LAYERWISE:
        yield "the layerwise update order"
    if training.statistics:
        yield "statistics of every layer"
    if training.batch_losses:
        yield "the loss of every batch"
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
    if products < BLAS_PRODUCTS:
        return FUSED, sizes
    return BLAS, sizes


def _not_online(training: Training, data: Data) -> str | None:
    """What keeps a training from the online kernel."""
    if min(training.batch_size or len(data.inputs), len(data.inputs)) != 1:
        return "batches of more than one sample"
    if isinstance(training.clip, ClipNorm | ClipGlobalNorm):
        return "clipping by a norm"
    return None


def _traced(
    training: Training,
    data: Data,
    kernel: str,
    reason: str,
    *,
    build: str,
    unrolled: bool | None,
) -> Choice:
    from backpropd.engine.kernels import blas, course
    from backpropd.engine.kernels.symbols import Untraceable

    try:
        if kernel == BLAS:
            module = blas.module_of(training, data, build=build)
        else:
            module = course.module_of(training, data, kernel, build=build)
    except Untraceable as fault:
        return Choice(PLAIN, f"no kernel covers {fault}")
    own = None
    if kernel == ONLINE and unrolled is not False:
        own = course.unrolled_module(training, data, module, build=build)
    if unrolled:
        try:
            if own is None:
                raise Untraceable("batches of more than one sample")
            own.written()
        except Untraceable as fault:
            raise ValueError(f"nothing can be unrolled for {fault}") from fault
    updates = training.epochs * -(-len(data.inputs) // (training.batch_size or len(data.inputs)))
    return Choice(kernel, reason, module, own, bool(unrolled), updates)
