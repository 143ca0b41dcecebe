"""Chooses how each of many networks is trained, and says why so.

A choice looks at one network alone, never at how many there are: so no network's bits depend on the
company it is in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from backpropd.engine.kernels.plan import PLAIN, SWARM, Choice, choose, uncovered
from backpropd.engine.many import Alone, Crew, Member
from backpropd.engine.training import Data, Training

if TYPE_CHECKING:  # needs Numba
    from backpropd.engine.kernels.course import Module

WEIGHTS = 2000  # of a network: up to so many it has a lane of its own
VALUES = 20_000  # of a batch, over all layers: up to so many of each lane lie side by side


@dataclass(frozen=True, slots=True)
class Sweep:
    """Of each network the kernel that trains it, and why."""

    choices: tuple[Choice, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing has to be compiled before training begins."""
        different = {id(choice): choice for choice in self.choices}
        return all(choice.ready for choice in different.values())

    def of(self, members: Sequence[Member], data: Data) -> list[Crew]:
        """Crews of these networks: swarms of those of one kind, and each other one alone."""
        crews: list[Crew] = []
        kinds: dict[Hashable, list[Member]] = {}
        codes: dict[int, Hashable] = {}  # of each choice; whoever shares one has the same shape
        for member in members:
            choice, training = self.choices[member.place], member.training
            if choice.kernel != SWARM:
                course = choice.course(training, data, member.state)
                crews.append(Alone(member, course))
                continue
            if id(choice) not in codes:
                codes[id(choice)] = self._code(member)
            kind = (codes[id(choice)], training.batch_size, training.best, member.state.batch)
            kinds.setdefault(kind, []).append(member)
        for alike in kinds.values():
            crews += self._swarms(alike, data)
        return crews

    def _code(self, member: Member) -> Hashable:
        from backpropd.engine.kernels.lanes import Shape

        module = self._module(member)
        shape = Shape(member.training.network, module.traced.activations, module.lanes)
        return module.text, shape.key

    def _swarms(self, members: Sequence[Member], data: Data) -> list[Crew]:
        from backpropd.engine.kernels.swarm import Swarm

        modules = [self._module(member) for member in members]
        code, seats = modules[0].loaded(), modules[0].lanes
        return [
            Swarm(members[first : first + seats], data, modules[first : first + seats], code)
            for first in range(0, len(members), seats)
        ]

    def _module(self, member: Member) -> Module:
        module = self.choices[member.place].module
        assert module is not None
        return module


def choose_many(
    trainings: Sequence[Training], data: Data, *, kernel: str | None = None, build: str = "fast"
) -> Sweep:
    """How to train these networks on the same data, for `fit_many`; builds as those of `choose`.

    Small networks share the swarm kernel, one in each lane; larger ones and those that it does not
    cover are trained alone, as `choose` says. "swarm" or "plain" as `kernel` asks for that one
    where it covers a network.
    """
    if kernel not in (None, SWARM, PLAIN):
        raise ValueError(f"kernel is {kernel}; it may be {SWARM} or {PLAIN}")
    known: dict[Hashable, Choice] = {}
    choices = []
    for training in trainings:
        parts = _parts(training)
        if parts not in known:
            known[parts] = _choice(training, data, kernel, build)
        choices.append(known[parts])
    return Sweep(tuple(choices))


def _choice(training: Training, data: Data, kernel: str | None, build: str) -> Choice:
    if _not_in_swarms(training, data, kernel) is None:
        from backpropd.engine.kernels import swarm
        from backpropd.engine.kernels.symbols import Untraceable

        with suppress(Untraceable):
            size = f"{training.network.parameter_count} weights and biases"
            module = swarm.module_of(training, data, build=build)
            return Choice(SWARM, "it was asked for" if kernel else size, module)
    return choose(training, data, kernel=PLAIN if kernel == PLAIN else None, build=build)


def _not_in_swarms(training: Training, data: Data, kernel: str | None) -> str | None:
    """What keeps a network from a swarm."""
    if kernel == PLAIN or find_spec("numba") is None:
        return "the plain path alone is there"
    for fault in uncovered(training):
        return fault
    network = training.network
    batch = min(training.batch_size or len(data.inputs), len(data.inputs))
    width = network.inputs + sum(layer.units for layer in network.layers)
    if kernel is None and network.parameter_count > WEIGHTS:
        return f"more than {WEIGHTS} weights and biases"
    if kernel is None and batch * width > VALUES:
        return f"batches of more than {VALUES} values"
    return None


def _parts(training: Training) -> Hashable:
    """Equal for trainings between which `_choice` sees no difference."""
    optimizer: Any = training.optimizer
    if optimizer.scheduled:  # its rate comes with each update, and is no setting of a kernel's
        optimizer = dataclasses.replace(optimizer, learning_rate=1.0)
    network = training.network
    layers = tuple(
        (
            *(layer.name, layer.units, layer.activation, layer.sources, layer.use_bias),
            *(layer.share_bias, layer.train_weights, layer.train_biases, layer.ties is None),
            *(layer.normalization is None, layer.noise > 0, layer.dropout > 0),
            layer.max_norm is None,
        )
        for layer in network.layers
    )
    return (
        *(network.inputs, layers, network.dtype, network.input_noise > 0, network.penalty is None),
        *(training.loss, optimizer, training.batch_size, training.order, training.update_order),
        *(training.clip, bool(training.metrics), training.statistics),
    )
