"""The Python client: the HTTP contract, one method an operation."""

from backpropd.client.client import Client
from backpropd.client.problems import Problem

__all__ = ["Client", "Problem"]
