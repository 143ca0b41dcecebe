"""The engine: arithmetic on arrays, and nothing else.

It reads like the textbook and knows nothing of jobs, files, clocks or databases.
"""

from backpropd.engine.activations import ACTIVATIONS, Activation
from backpropd.engine.gradient_check import check_gradient, gradient_of
from backpropd.engine.initializers import INITIALIZERS, Initializer
from backpropd.engine.losses import LOSSES, Loss
from backpropd.engine.metrics import METRICS
from backpropd.engine.network import Layer, Network, evaluate
from backpropd.engine.optimizers import OPTIMIZERS, Optimizer
from backpropd.engine.schedules import SCHEDULES, Schedule
from backpropd.engine.state import TrainingState
from backpropd.engine.stopping import Stopping
from backpropd.engine.trace import Step, Trace, trace_step
from backpropd.engine.training import Block, Data, Training, fit

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Activation",
    "Block",
    "Data",
    "Initializer",
    "Layer",
    "Loss",
    "Network",
    "Optimizer",
    "Schedule",
    "Step",
    "Stopping",
    "Trace",
    "Training",
    "TrainingState",
    "check_gradient",
    "evaluate",
    "fit",
    "gradient_of",
    "trace_step",
]
