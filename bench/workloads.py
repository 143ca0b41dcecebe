"""What is raced: each workload's network, training, data and the ratios to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Contestants, by the names under which they are asked for and told.
OURS, PRODUCTS = "backpropd", "products"
FANN, JAX, SKLEARN, TORCH = "FANN", "JAX", "scikit-learn", "PyTorch"
TORCH_STACKED = "PyTorch stacked"
PEERS = (FANN, JAX, SKLEARN, TORCH, TORCH_STACKED)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One race: everybody trains this on the same data, from the same weights, in the same order.

    `goals` say how many times our seconds each contestant takes, at least; for the matrix products
    alone, which are a limit where they are most of the work, it is a share of our seconds.
    """

    name: str
    title: str
    data: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    loss: str
    batch: int
    epochs: int
    rate: float
    goals: Mapping[str, float]
    momentum: float = 0.0
    optimizer: str = "sgd"
    dtype: str = "float64"
    threads: int = 1
    train_biases: bool = True
    networks: int = 1
    rates: tuple[float, float] | None = None  # of a swarm: from, to
    error: float | None = None  # the loss in the last epoch that the text gives
    # Why a contestant's loss is not ours, where it cannot be.
    differs: Mapping[str, str] = field(default_factory=dict)

    @property
    def contestants(self) -> tuple[str, ...]:
        """Ours first."""
        return (OURS, *self.goals)


_CLIPS = {FANN: "takes outputs for 0.01 to 0.99 in its derivatives"}
_LINEAR = {**_CLIPS, SKLEARN: "squared error of linear outputs alone; shuffles by itself"}
_SHUFFLES = {SKLEARN: "shuffles by itself"}
_IRIS = {
    "data": "iris",
    "sizes": (4, 7, 3),
    "hidden": "logistic",
    "output": "softmax",
    "loss": "cross_entropy",
}
_LOGISTIC = {"hidden": "logistic", "output": "logistic", "loss": "half_squared_error"}
_WIDE = {
    "hidden": "relu",
    "output": "softmax",
    "loss": "cross_entropy",
    "dtype": "float32",
    "differs": _SHUFFLES,
}
_MNIST = {"data": "pixels", "sizes": (784, 128, 10), "batch": 128, "epochs": 1, "threads": 2}
_DEEP = {
    "data": "pixels-few",
    "sizes": (784, 1024, 1024, 10),
    "batch": 256,
    "epochs": 1,
    "rate": 0.005,
    "momentum": 0.9,
}
AHEAD = 1.0  # of a peer whom nothing more than being slower is expected of

WORKLOADS = (
    Workload(
        **_LOGISTIC,
        name="mazur",
        title="Mazur 2-2-2, 10,000 online updates",
        data="mazur",
        sizes=(2, 2, 2),
        batch=1,
        epochs=10_000,
        rate=0.5,
        train_biases=False,
        goals={FANN: 1.2, JAX: 1.5, SKLEARN: 1500, TORCH: 1500},
        error=3.510854812e-05,
        differs={
            FANN: "biases learn too; takes outputs for 0.01 to 0.99 in its derivatives",
            SKLEARN: "squared error of linear outputs alone, and biases learn too",
        },
    ),
    Workload(
        **_LOGISTIC,
        name="xor",
        title="XOR 2-4-1, online",
        data="xor",
        sizes=(2, 4, 1),
        batch=1,
        epochs=10_000,
        rate=0.5,
        goals={FANN: 1.4, JAX: 1.1, SKLEARN: 1300, TORCH: 2000},
        differs=_LINEAR,
    ),
    Workload(
        **_IRIS,
        name="iris-online",
        title="iris 4-7-3, online",
        batch=1,
        epochs=200,
        rate=0.05,
        goals={FANN: 1.9, JAX: 8, SKLEARN: 800, TORCH: 1000},
        differs={**_SHUFFLES, FANN: "no softmax: three logistic outputs, squared error"},
    ),
    Workload(
        **_IRIS,
        name="iris-batch",
        title="iris 4-7-3, batch 16",
        batch=16,
        epochs=1000,
        rate=0.2,
        goals={JAX: 2.5, SKLEARN: 60, TORCH: 80},
        differs=_SHUFFLES,
    ),
    Workload(
        **_LOGISTIC,
        name="encoder",
        title="encoder 8-3-8, online",
        data="encoder",
        sizes=(8, 3, 8),
        batch=1,
        epochs=5000,
        rate=0.5,
        goals={FANN: 2.8, JAX: 3, SKLEARN: 1000, TORCH: 1700},
        differs=_LINEAR,
    ),
    Workload(
        **_WIDE,
        name="digits",
        title="digits 64-64-10, batch 32",
        data="digits",
        sizes=(64, 64, 10),
        batch=32,
        epochs=40,
        rate=0.05,
        momentum=0.9,
        goals={PRODUCTS: 1.1, JAX: 1.9, SKLEARN: 15, TORCH: 19},
    ),
    Workload(
        **_WIDE,
        **_MNIST,
        name="mnist-sgd",
        title="784-128-10, batch 128, 60,000 rows, momentum",
        rate=0.005,
        momentum=0.9,
        goals={PRODUCTS: 0.72, JAX: AHEAD, SKLEARN: AHEAD, TORCH: AHEAD},
    ),
    Workload(
        **_WIDE,
        **_MNIST,
        name="mnist-adam",
        title="784-128-10, batch 128, 60,000 rows, Adam",
        optimizer="adam",
        rate=0.001,
        goals={PRODUCTS: 0.65, JAX: AHEAD, SKLEARN: AHEAD, TORCH: AHEAD},
    ),
    Workload(
        **_WIDE,
        **_DEEP,
        name="deep-1",
        title="784-1024-1024-10, batch 256, 1 thread",
        goals={PRODUCTS: 0.93, JAX: AHEAD, SKLEARN: AHEAD, TORCH: AHEAD},
    ),
    Workload(
        **_WIDE,
        **_DEEP,
        name="deep-2",
        title="784-1024-1024-10, batch 256, 2 threads",
        threads=2,
        goals={PRODUCTS: 0.83, JAX: AHEAD, SKLEARN: AHEAD, TORCH: AHEAD},
    ),
    Workload(
        **_IRIS,
        name="swarm-online",
        title="64 iris networks at once, online, own orders",
        batch=1,
        epochs=100,
        rate=0.05,
        rates=(0.02, 0.1),
        networks=64,
        threads=2,
        goals={SKLEARN: 5000, TORCH: 8000, TORCH_STACKED: 120, JAX: 4.5},
        differs=_SHUFFLES,
    ),
    Workload(
        **_IRIS,
        name="swarm-batch",
        title="256 iris networks at once, batch 16, own orders",
        batch=16,
        epochs=100,
        rate=0.2,
        rates=(0.06, 0.3),
        networks=256,
        threads=2,
        goals={SKLEARN: AHEAD, TORCH: AHEAD, TORCH_STACKED: 8, JAX: 8},
        differs=_SHUFFLES,
    ),
)
