"""The engine: arithmetic on arrays, and nothing else.

It reads like the textbook and knows nothing of jobs, files, clocks or databases.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Imported for what they add to OPTIMIZERS.
from backpropd.engine import adaptive_rates as _adaptive_rates  # noqa: F401
from backpropd.engine import second_order as _second_order  # noqa: F401
from backpropd.engine.activations import ACTIVATIONS, Activation
from backpropd.engine.gradient_check import check_gradient, gradient_of
from backpropd.engine.initializers import INITIALIZERS, Initializer
from backpropd.engine.losses import LOSSES, Loss
from backpropd.engine.many import fit_many
from backpropd.engine.metrics import METRICS, Metric
from backpropd.engine.network import Layer, Network, Pass, evaluate
from backpropd.engine.normalizations import NORMALIZATIONS, Normalization
from backpropd.engine.optimizers import OPTIMIZERS, Method, Moment, Optimizer, Rule
from backpropd.engine.order import ORDERS
from backpropd.engine.parts import Part, Registry, Setting
from backpropd.engine.regularizers import CLIPS, Clip
from backpropd.engine.schedules import SCHEDULES, Schedule
from backpropd.engine.state import TrainingState
from backpropd.engine.statistics import STATISTICS
from backpropd.engine.stopping import Stopping
from backpropd.engine.trace import Step, Trace, fault_of_trace, trace_step
from backpropd.engine.training import Block, Data, Training, fit

# Every kind of part, under the name of the field that chooses one.
PARTS: Mapping[str, Registry[Any]] = MappingProxyType(
    {
        "activation": ACTIVATIONS,
        "loss": LOSSES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "init": INITIALIZERS,
        "normalization": NORMALIZATIONS,
        "clip": CLIPS,
        "metric": METRICS,
    }
)

__all__ = [
    "ACTIVATIONS",
    "CLIPS",
    "INITIALIZERS",
    "LOSSES",
    "METRICS",
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "ORDERS",
    "PARTS",
    "SCHEDULES",
    "STATISTICS",
    "Activation",
    "Block",
    "Clip",
    "Data",
    "Initializer",
    "Layer",
    "Loss",
    "Method",
    "Metric",
    "Moment",
    "Network",
    "Normalization",
    "Optimizer",
    "Part",
    "Pass",
    "Registry",
    "Rule",
    "Schedule",
    "Setting",
    "Step",
    "Stopping",
    "Trace",
    "Training",
    "TrainingState",
    "check_gradient",
    "evaluate",
    "fault_of_trace",
    "fit",
    "fit_many",
    "gradient_of",
    "trace_step",
]
