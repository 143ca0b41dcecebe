"""Many trainings at once: the loop of `fit`, over crews of networks that are trained together.

As `fit` it is a generator of blocks that reads no clock and saves nothing. What a network becomes
depends on nothing but its own training, the data and its state: not on the others, nor on how many
threads there are, nor on where blocks begin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from typing import Protocol

import numpy as np

from backpropd.engine.state import TrainingState
from backpropd.engine.training import (
    Block,
    Columns,
    Course,
    Data,
    Training,
    block_of,
    columns_of,
    go_on,
    no_rows,
    restore_best,
)

CALLS = 8  # of a kernel, or batches of the textbook's code: a turn of a network that is alone
ASK_SECONDS = 0.001  # between two questions whether it is enough, while only helpers train

Asked = Callable[[], bool]
Mark = Callable[[int], bool] | None


@dataclass(slots=True, eq=False)
class Member:
    """One of the networks, and what there is to tell of it since the last block."""

    place: int  # among those that were given
    training: Training
    state: TrainingState
    pieces: list[Columns] = field(default_factory=list)
    samples: int = 0

    def tell(self, columns: Columns, samples: int) -> None:
        """What a turn has brought."""
        self.pieces.append(columns)
        self.samples += samples

    def block(self, columns: Sequence[str]) -> Block:
        """All of it, as one piece of news."""
        pieces, samples = [no_rows(columns), *self.pieces], self.samples
        self.pieces, self.samples = [], 0
        joined = {name: np.concatenate([each[name] for each in pieces]) for name in columns}
        return block_of(self.state, joined, samples)


class Crew(Protocol):
    """Networks that are trained together, turn by turn."""

    @property
    def members(self) -> Sequence[Member]:
        """Those that are not at their end and stay in this crew."""
        ...

    @property
    def seats(self) -> int:
        """How many there could be at the same cost."""
        ...

    @property
    def kind(self) -> Hashable:
        """Crews of one kind could be joined, as far as there are seats."""
        ...

    def turn(self, stop: Asked, mark: Mark) -> bool:
        """Train for some milliseconds, or until `stop`; whether they stand at a marked epoch."""
        ...

    def give_states(self) -> None:
        """Write into the states how all stand, those at their end too."""
        ...


class Crews(Protocol):
    """Says who is trained together: see kernels.choose_many."""

    def of(self, members: Sequence[Member], data: Data) -> list[Crew]:
        """Crews of all these networks."""
        ...


class Alone:
    """A network that `fit` trains."""

    seats = 1

    def __init__(self, member: Member, course: Course) -> None:
        self.member, self.course = member, course

    @property
    def members(self) -> Sequence[Member]:
        return [] if self.member.state.ended else [self.member]

    @property
    def kind(self) -> Hashable:
        return id(self)

    def turn(self, stop: Asked, mark: Mark) -> bool:
        asked = count(1)
        columns, samples = self.course.stretch(lambda: stop() or next(asked) >= CALLS, mark)
        self.member.tell(columns, samples)
        return bool(len(columns["loss"])) and stands_at(mark, self.member.state)

    def give_states(self) -> None:
        """They are given after every turn."""


class OneByOne:
    """Every network alone, by the textbook's code."""

    def of(self, members: Sequence[Member], data: Data) -> list[Crew]:
        return [Alone(each, Course(each.training, data, each.state)) for each in members]


def fit_many(
    trainings: Sequence[Training],
    data: Data,
    states: Sequence[TrainingState],
    *,
    enough: Asked,
    mark: Mark,
    plan: Crews | None = None,
    threads: int,
) -> Iterator[list[Block]]:
    """Train each network from its state to its end; every item holds a block of each of them.

    The blocks are as those of `fit`, without rows for networks that have come no further. `enough`
    is asked every few milliseconds, by the caller's thread alone, whether they shall end there.
    An epoch that `mark` names ends them too, once each network stands at its own next one. Without
    a plan the textbook's code trains one network after the other. So many `threads` train, the
    caller's included.

    Raises ValueError where there is not a state to each training, or no thread.
    """
    if len(trainings) != len(states):
        raise ValueError(f"{len(trainings)} trainings and {len(states)} states")
    if threads < 1:
        raise ValueError(f"threads is {threads}; 1 is the least")
    members = [Member(k, *each) for k, each in enumerate(zip(trainings, states, strict=True))]
    columns = [columns_of(training, data) for training in trainings]
    for member in members:
        go_on(member.training, member.state)
    crews: list[Crew] = []
    forms = OneByOne() if plan is None else plan
    over = not members
    while not over:
        living = [each for each in members if each.state.ended is None]
        if _thin(crews) or sum(len(crew.members) for crew in crews) != len(living):
            crews = forms.of(living, data)
        told = _Stretch(crews, enough, mark).train(threads)
        for crew in crews:
            crew.give_states()
        for member in living:
            restore_best(member.training, member.state)
        over = all(member.state.ended for member in members)
        if told or over:
            yield [each.block(names) for each, names in zip(members, columns, strict=True)]


class _Stretch:
    """All crews in turns, until it is enough, all stand at marked epochs, or all are at their end.

    Who holds a crew puts it back before taking the next one, so that a thread that finds none is
    not needed any more.
    """

    def __init__(self, crews: Sequence[Crew], enough: Asked, mark: Mark) -> None:
        self.crews, self.enough, self.mark = crews, enough, mark
        self.waiting = deque(crew for crew in crews if crew.members)
        self.stopped = self.thin = self.marked = False

    def train(self, threads: int) -> bool:
        """Whether there is something to tell; else the crews have become too thin to go on with."""
        helpers = min(threads, len(self.waiting)) - 1
        if helpers < 1:
            self._turns(self._asked)
            return not self.thin
        with ThreadPoolExecutor(helpers) as pool:
            try:
                tasks = [pool.submit(self._turns, lambda: self.stopped) for _ in range(helpers)]
                self._turns(self._asked)
                while wait(tasks, timeout=ASK_SECONDS).not_done:
                    self._asked()
            finally:
                self.stopped = True
        for task in tasks:
            task.result()
        return not self.thin

    def _turns(self, stop: Asked) -> None:
        """What one thread does."""
        while self.waiting and not self.stopped:
            try:
                crew = self.waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            if crew.turn(stop, self.mark):
                self.marked = True  # it waits for the others
            elif crew.members:
                self.waiting.append(crew)
            stop()

    def _asked(self) -> bool:
        """Ask the caller, and look whether half of the seats are empty."""
        if not self.stopped:
            if self.enough():
                self.stopped = True
            elif not self.marked and _thin(self.crews):
                self.stopped = self.thin = True
        return self.stopped


def _thin(crews: Sequence[Crew]) -> bool:
    """Whether half as many crews could hold everyone."""
    living: dict[Hashable, list[tuple[int, int]]] = {}
    for crew in crews:
        if crew.members:
            living.setdefault(crew.kind, []).append((len(crew.members), crew.seats))
    needed = sum(ceil(sum(n for n, _ in each) / each[0][1]) for each in living.values())
    return 2 * needed <= sum(len(each) for each in living.values()) and bool(living)


def stands_at(mark: Mark, state: TrainingState) -> bool:
    return mark is not None and state.batch == 0 and mark(state.epoch)
