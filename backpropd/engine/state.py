"""Everything that training depends on besides its settings and data, in a form that can be kept.

A run that goes on from a saved TrainingState gives, bit for bit, what the unbroken run gives, also
from the middle of an epoch: the epoch's order is drawn again from the generator's state at its
start, and the sums so far are part of the state.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.stopping import Patience

FORMAT = 2


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Where a training run stands. `fit` changes it in place; `copy` keeps a moment of it."""

    theta: Array  # (P,)
    slots: Array  # (n, P), the optimizer's memory
    order: dict[str, Any]  # the order generator's state at the start of the current epoch
    noise: dict[str, Any]  # the state of the generator of noise and dropout
    epoch_theta: Array  # (P,) at the start of the current epoch: the last known to be finite
    epoch: int = 0  # finished
    batch: int = 0  # batches done in the current epoch
    step: int = 0  # updates done in all
    sums: list[float] = field(default_factory=list)  # loss and metrics over the epoch's samples
    last_loss: float | None = None  # sum over the last batch
    memory: dict[str, float] = field(default_factory=dict)  # numbers the optimizer remembers
    schedule: dict[str, float] = field(default_factory=dict)  # numbers the schedule remembers
    patience: Patience = field(default_factory=Patience)
    best_theta: Array | None = None  # (P,)
    best_value: float | None = None
    best_epoch: int | None = None
    ended: str | None = None  # why there is no more to do
    diverged_in: str | None = None  # the layer where numbers were not finite any more

    @classmethod
    def start(
        cls, theta: Array, *, slots: int, order: np.random.Generator, noise: np.random.Generator
    ) -> Self:
        """The state before the first update, from initial theta (P,)."""
        return cls(
            theta=theta.copy(),
            slots=np.zeros((slots, theta.size), theta.dtype),
            order=dict(order.bit_generator.state),
            noise=dict(noise.bit_generator.state),
            epoch_theta=theta.copy(),
        )

    def copy(self) -> TrainingState:
        """A state of its own that training no longer changes."""
        return TrainingState.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The state as an .npz archive without pickles; equal states give equal bytes."""
        header = {
            "format": FORMAT,
            "order": self.order,
            "noise": self.noise,
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "sums": [value.hex() for value in self.sums],
            "last_loss": _hex(self.last_loss),
            "memory": {name: value.hex() for name, value in self.memory.items()},
            "schedule": {name: value.hex() for name, value in self.schedule.items()},
            "patience": [_hex(self.patience.best), self.patience.epochs_since],
            "best": [_hex(self.best_value), self.best_epoch],
            "ended": self.ended,
            "diverged_in": self.diverged_in,
        }
        arrays = {"theta": self.theta, "slots": self.slots, "epoch_theta": self.epoch_theta}
        if self.best_theta is not None:
            arrays["best_theta"] = self.best_theta
        text = json.dumps(header, sort_keys=True).encode()
        out = io.BytesIO()
        np.savez(out, header=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The state that `to_bytes` wrote; raises ValueError for anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return cls._from(json.loads(arrays.pop("header").tobytes()), arrays)
        except Exception as error:  # a damaged archive can fail in any of its readers
            raise ValueError(f"not a saved training state: {type(error).__name__}") from error

    @classmethod
    def _from(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, this version reads {FORMAT}")
        best_value, best_epoch = header["best"]
        stop_best, epochs_since = header["patience"]
        return cls(
            theta=arrays["theta"],
            slots=arrays["slots"],
            order=header["order"],
            noise=header["noise"],
            epoch_theta=arrays["epoch_theta"],
            epoch=header["epoch"],
            batch=header["batch"],
            step=header["step"],
            sums=[float.fromhex(value) for value in header["sums"]],
            last_loss=_unhex(header["last_loss"]),
            memory={name: float.fromhex(value) for name, value in header["memory"].items()},
            schedule={name: float.fromhex(value) for name, value in header["schedule"].items()},
            patience=Patience(_unhex(stop_best), epochs_since),
            best_theta=arrays.get("best_theta"),
            best_value=_unhex(best_value),
            best_epoch=best_epoch,
            ended=header["ended"],
            diverged_in=header["diverged_in"],
        )


def generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator that goes on from a saved state."""
    rng = np.random.Generator(np.random.PCG64())
    rng.bit_generator.state = dict(state)
    return rng


def _hex(value: float | None) -> str | None:
    return None if value is None else float(value).hex()


def _unhex(value: str | None) -> float | None:
    return None if value is None else float.fromhex(value)
