"""The Python client: the HTTP contract, one method an operation, and jobs in the hand."""

from backpropd.client.client import Client
from backpropd.client.history import History
from backpropd.client.job import Job, Unsuccessful
from backpropd.client.prediction import Prediction
from backpropd.client.problems import Problem
from backpropd.client.streams import Event

__all__ = ["Client", "Event", "History", "Job", "Prediction", "Problem", "Unsuccessful"]
