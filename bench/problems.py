"""The problems of the classic texts, as jobs of the real service, over many seeds.

python -m bench.problems [--seeds 100] writes docs/reference/problems.md from what the
jobs' history says.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from backpropd.cli.demo import embedded_stack
from backpropd.client import Client

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "problems.md"
# Fahlman's 40-20-40 rule: below 0.4 is 0, above 0.6 is 1; and Rumelhart's 0.1 and 0.9.
FORTY, TENTH = 0.4, 0.1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem as one text has it, and what that text found."""

    title: str
    dataset: str
    layers: list[dict[str, Any]]
    inputs: int
    learning_rate: float
    momentum: float
    weights: float  # drawn from -weights to weights
    epochs: int  # where an attempt is given up
    published: str
    lands: tuple[int, int] | None  # the median that is of the published order; None without one
    batch_size: int | str = "all"
    loss: str = "half_squared_error"
    optimizer: str = "sgd"
    tolerance: float = TENTH
    settings: dict[str, Any] | None = None

    def job(self, seed: int) -> dict[str, Any]:
        """The job of one seed."""
        draw = {"name": "uniform", "low": -self.weights, "high": self.weights}
        layers = [{"init": draw, "bias_init": draw, **layer} for layer in self.layers]
        optimizer = {"name": self.optimizer, "learning_rate": self.learning_rate}
        if self.momentum:
            optimizer["momentum"] = self.momentum
        training = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "loss": self.loss,
            "optimizer": optimizer | (self.settings or {}),
            "metrics": [{"name": "accuracy_within", "tolerance": self.tolerance}],
            "stop": {"error_below": 1e-9, "error_of": "accuracy_within"},
            "seed": seed,
        }
        return {
            "network": {"inputs": self.inputs, "layers": layers},
            "dataset": f"builtin:{self.dataset}",
            "training": training,
            "name": self.title,
            "history": {"every": 1000},
        }


def logistic(*units: int, **last: Any) -> list[dict[str, Any]]:
    """Layers of logistic units, one after the other."""
    layers: list[dict[str, Any]] = [{"units": n, "activation": "logistic"} for n in units]
    layers[-1] |= last
    return layers


def t_c_layers() -> list[dict[str, Any]]:
    """Sixteen hidden units that share one 3 x 3 receptive field, each at its own place."""
    side = 6
    tied = []
    for row in range(side - 2):
        for column in range(side - 2):
            field = [[0] * side for _ in range(side)]
            for number in range(9):
                field[row + number // 3][column + number % 3] = number + 1
            tied.append([tie for line in field for tie in line])
    hidden = {"units": len(tied), "activation": "logistic", "tied": tied, "share_bias": True}
    return [hidden, {"units": 1, "activation": "logistic"}]


def shortcuts(*units: int) -> list[dict[str, Any]]:
    """Every layer fed by the inputs and all layers before it."""
    names = [f"hidden{index}" for index in range(1, len(units))] + ["output"]
    return [
        {"name": name, "units": n, "activation": "logistic", "from": ["inputs", *names[:index]]}
        for index, (name, n) in enumerate(zip(names, units, strict=True))
    ]


OFFSET = {"name": "logistic", "prime_offset": 0.1}
PROBLEMS = (
    Problem(
        title="XOR, 2-2-1",
        dataset="xor",
        inputs=2,
        layers=logistic(2, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="about 558 sweeps (r), with local minima (r): PDP vol. 1, ch. 8",
        lands=(56, 5580),
    ),
    Problem(
        title="XOR, 2-1-1 with shortcut",
        dataset="xor",
        inputs=2,
        layers=shortcuts(1, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="solved; no count: PDP vol. 1, ch. 8",
        lands=None,
    ),
    Problem(
        title="parity-4, 4-4-1",
        dataset="parity-4",
        inputs=4,
        layers=logistic(4, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=10_000,
        published="about 2,825 sweeps, rate 0.5 (r): PDP vol. 1, ch. 8",
        lands=(283, 10_000),
    ),
    Problem(
        title="encoder 8-3-8",
        dataset="encoder-8-3-8",
        inputs=8,
        layers=logistic(3, 8),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="solved; no count: PDP vol. 1, ch. 8",
        lands=None,
    ),
    Problem(
        title="encoder 10-5-10, backpropagation",
        dataset="encoder-10-5-10",
        inputs=10,
        layers=[{"units": 5, "activation": OFFSET}, {"units": 10, "activation": OFFSET}],
        learning_rate=10.0,
        momentum=0.0,
        weights=1.0,
        loss="half_squared_error",
        tolerance=FORTY,
        epochs=2000,
        published="about 129 epochs on average, by the 40-20-40 rule (r): Fahlman 1988",
        lands=(13, 1290),
    ),
    Problem(
        title="encoder 10-5-10, Quickprop",
        dataset="encoder-10-5-10",
        inputs=10,
        layers=[{"units": 5, "activation": OFFSET}, {"units": 10, "activation": OFFSET}],
        learning_rate=15.0,
        momentum=0.0,
        weights=1.0,
        optimizer="quickprop",
        tolerance=FORTY,
        epochs=2000,
        published="about 22 epochs on average, by the 40-20-40 rule (r): Fahlman 1988",
        lands=(3, 220),
    ),
    Problem(
        title="symmetry, 6-2-1",
        dataset="symmetry",
        inputs=6,
        layers=logistic(2, 1),
        learning_rate=0.1 * 64,  # the text sums over the patterns, a batch here is a mean
        momentum=0.9,
        weights=0.3,
        epochs=20_000,
        published="1,425 sweeps, rate 0.1, momentum 0.9, weights from -0.3 to 0.3 (r): Nature 323",
        lands=(143, 14_250),
    ),
    Problem(
        title="binary addition, 4-3-3, hidden units in a chain",
        dataset="addition",
        inputs=4,
        layers=[
            {"name": "h1", "units": 1, "activation": "logistic"},
            {"name": "h2", "units": 1, "activation": "logistic", "from": ["inputs", "h1"]},
            {"name": "h3", "units": 1, "activation": "logistic", "from": ["inputs", "h1", "h2"]},
            {"units": 3, "activation": "logistic", "from": ["inputs", "h1", "h2", "h3"]},
        ],
        learning_rate=0.25 * 16,
        momentum=0.5,
        weights=1.0,
        epochs=10_000,
        published="thousands of sweeps (r): PDP vol. 1, ch. 8",
        lands=(100, 10_000),
    ),
    Problem(
        title="negation, 4-6-3",
        dataset="negation",
        inputs=4,
        layers=logistic(6, 3),
        learning_rate=0.25,
        momentum=0.0,
        weights=0.5,
        batch_size=1,
        epochs=20_000,
        published="about 5,000 sweeps, rate 0.25 (r): PDP vol. 1, ch. 8",
        lands=(500, 20_000),
    ),
    Problem(
        title="T-C, one shared 3 x 3 receptive field",
        dataset="t-c",
        inputs=36,
        layers=t_c_layers(),
        learning_rate=0.5,
        momentum=0.5,
        weights=1.0,
        batch_size=1,
        tolerance=FORTY,
        epochs=300,
        published="5,000 to 10,000 presentations (r), here 128 a sweep: PDP vol. 1, ch. 8",
        lands=(4, 780),
    ),
    Problem(
        title="two spirals, 2-5-5-5-1 with all shortcuts",
        dataset="two_spirals",
        inputs=2,
        layers=[
            *({**each, "activation": "bipolar_logistic"} for each in shortcuts(5, 5, 5, 1)[:-1]),
            shortcuts(5, 5, 5, 1)[-1],
        ],
        learning_rate=0.01,
        momentum=0.0,
        weights=1.0,
        loss="binary_cross_entropy",
        optimizer="irprop_plus",
        tolerance=FORTY,
        epochs=20_000,
        published="about 20,000 epochs backpropagation, 8,000 Quickprop (r): Lang & Witbrock 1988; "
        "here by iRprop+ and cross-entropy",
        lands=(500, 20_000),
    ),
)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A set that is judged by how many held-back rows, a fifth, are classified rightly."""

    title: str
    dataset: str
    hidden: int
    inputs: int
    batch_size: int | str
    learning_rate: float
    epochs: int
    published: str

    def job(self, seed: int) -> dict[str, Any]:
        """The job of one seed."""
        training = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "loss": "cross_entropy",
            "optimizer": {"name": "sgd", "learning_rate": self.learning_rate},
            "validation": {"fraction": 0.2},
            "seed": seed,
        }
        layers = [
            {"units": self.hidden, "activation": "tanh"},
            {"units": 3, "activation": "softmax"},
        ]
        return {
            "network": {"inputs": self.inputs, "layers": layers},
            "dataset": f"builtin:{self.dataset}",
            "training": training,
            "name": self.title,
        }


PARTY = {"dataset": "party", "hidden": 5, "inputs": 4}
TOLD = "online, mini-batch and batch compared, no figure: McCaffrey 2015"
HELD_OUT = (
    HeldOut(
        title="iris, 4-7-3",
        dataset="iris",
        hidden=7,
        inputs=4,
        batch_size=16,
        learning_rate=0.05,
        epochs=200,
        published="95-100 % test accuracy: McCaffrey's usual demo",
    ),
    HeldOut(
        **PARTY, title="party, online", batch_size=1, learning_rate=0.05, epochs=100, published=TOLD
    ),
    HeldOut(
        **PARTY,
        title="party, mini-batches of 40",
        batch_size=40,
        learning_rate=0.5,
        epochs=100,
        published=TOLD,
    ),
    HeldOut(
        **PARTY,
        title="party, batch",
        batch_size="all",
        learning_rate=0.5,
        epochs=100,
        published=TOLD,
    ),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one problem's jobs."""

    problem: Problem
    solved: list[int]  # epochs of those that were solved, ascending
    jobs: int

    @property
    def median(self) -> float:
        """Of the solved ones."""
        return statistics.median(self.solved) if self.solved else float("nan")

    @property
    def lands(self) -> str:
        """Whether the median is of the published order."""
        if self.problem.lands is None:
            return "-"
        low, high = self.problem.lands
        return "yes" if low <= self.median <= high else "no"


def run(client: Client, problem: Problem, seeds: int) -> Result:
    """One job a seed; which were solved, and when."""
    jobs = finished(client, problem, seeds)
    solved = [job["progress"]["epoch"] for job in jobs if job["stop_reason"] == "error_below"]
    return Result(problem, sorted(solved), len(jobs))


def run_held_out(client: Client, held_out: HeldOut, seeds: int) -> str:
    """One job a seed; the row of how well the held-back rows are classified."""
    shares = [job["final"]["val_accuracy"] for job in finished(client, held_out, seeds)]
    low, median, high = (100 * each for each in statistics.quantiles(shares, n=4))
    quartiles = f"{low:.1f} - {high:.1f} %"
    cells = (held_out.title, f"{median:.1f} %", quartiles, f"{held_out.epochs}", held_out.published)
    return f"| {' | '.join(cells)} |"


def finished(client: Client, work: Problem | HeldOut, seeds: int) -> list[dict[str, Any]]:
    """One job a seed, submitted together and waited for."""
    answers = client.submit_batch([work.job(seed) for seed in range(1, seeds + 1)])
    jobs = [client.wait(answer["job"]["id"]) for answer in answers]
    for job in jobs:
        if job["status"] != "succeeded":
            raise RuntimeError(f"{work.title}: {job['id']} is {job['status']}: {job['error']}")
    return jobs


def page(results: list[Result], held_out: list[str], seeds: int) -> str:
    """The page, in Markdown."""
    return "".join(line + "\n" for line in _lines(results, held_out, seeds))


def _lines(results: list[Result], held_out: list[str], seeds: int) -> Iterator[str]:
    yield "# The problems of the classic texts"
    yield ""
    yield (
        f"Each was run as {seeds} jobs of the service, with seeds 1 to {seeds}; the figures are "
        "from their answers."
    )
    yield (
        "An epoch is a sweep through all patterns. A job counts as solved in the epoch in which "
        "every output of every pattern is near its target: by 0.1 (Rumelhart's 0.9 and 0.1), or by "
        "0.4 where the 40-20-40 rule is named. Others gave up at the limit, mostly in a local "
        "minimum."
    )
    yield (
        "Published figures marked (r) are told from memory of the source: an order of magnitude to "
        "land in, not an expectation. Texts that sum over the patterns have here their rate times "
        "the number of patterns, since a batch's gradient is a mean."
    )
    yield ""
    yield "| problem | solved | median | quartiles | limit | published | of that order |"
    yield "|---|---|---|---|---|---|---|"
    for each in results:
        yield _row(each)
    yield ""
    yield "Sets that are judged by a fifth of their rows, held back:"
    yield ""
    yield "| set | median of right answers | quartiles | epochs | published |"
    yield "|---|---|---|---|---|"
    yield from held_out
    yield ""
    yield "Made by `python -m bench.problems`, where every network, rate and rule stands."


def _row(result: Result) -> str:
    problem, few = result.problem, len(result.solved) < 2
    low, _, high = (0, 0, 0) if few else statistics.quantiles(result.solved, n=4)
    cells = (
        problem.title,
        f"{len(result.solved)} of {result.jobs}",
        f"{result.median:,.0f}",
        f"{low:,.0f} - {high:,.0f}",
        f"{problem.epochs:,}",
        problem.published,
        result.lands,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Start a stack, run everything, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--page", type=Path, default=PAGE)
    said = parser.parse_args()
    results = []
    with embedded_stack(Console()) as address, Client(address) as client:
        for problem in PROBLEMS:
            began = time.monotonic()
            results.append(run(client, problem, said.seeds))
            print(_row(results[-1]), f"{time.monotonic() - began:.0f} s", flush=True)
        held_out = []
        for each in HELD_OUT:
            held_out.append(run_held_out(client, each, said.seeds))
            print(held_out[-1], flush=True)
    said.page.write_text(page(results, held_out, said.seeds))


if __name__ == "__main__":
    main()
