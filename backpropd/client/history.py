"""Curves of a job as arrays, to plot or to turn into a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What epochs measured: `epoch` (N,), and for each metric a series (N,).

    `history["loss"]` is a series. `sampled` says whether rows were left out.
    """

    job: str
    epoch: NDArray[np.int64]
    series: Mapping[str, Floats]
    sampled: bool
    name: str | None = None  # of the job, for people

    @classmethod
    def of(cls, answers: Sequence[Mapping[str, Any]], name: str | None = None) -> History:
        """The history that consecutive pages of the contract say; at least one."""
        metrics = answers[0]["series"]
        return cls(
            job=answers[0]["job"],
            epoch=np.concatenate([np.array(page["epoch"], np.int64) for page in answers]),
            series={
                metric: np.concatenate([floats(page["series"][metric]) for page in answers])
                for metric in metrics
            },
            sampled=answers[0]["sampled"],
            name=name,
        )

    def __getitem__(self, metric: str) -> Floats:
        return self.series[metric]

    def __len__(self) -> int:
        return len(self.epoch)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the series."""
        return tuple(self.series)

    def plot(self, metrics: Iterable[str] | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw series over epochs with matplotlib, and give the axes back.

        `metrics` are the losses where none are named. Raises ImportError where matplotlib is not
        installed.
        """
        axes = _axes() if ax is None else ax
        chosen = list(metrics or [m for m in self.series if m.endswith("loss")] or self.series)
        for metric in chosen:
            axes.plot(self.epoch, self.series[metric], label=self._label(metric, chosen))
        axes.set_xlabel("epoch")
        axes.set_ylabel(chosen[0] if len(chosen) == 1 else "")
        axes.legend()
        return axes

    def to_dataframe(self) -> DataFrame:
        """A pandas DataFrame with a column a metric, by epoch; ImportError without pandas."""
        try:
            import pandas  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ImportError("A DataFrame needs pandas: pip install pandas") from error
        index = pandas.Index(self.epoch, name="epoch")
        return pandas.DataFrame(dict(self.series), index=index)

    def _label(self, metric: str, chosen: Sequence[str]) -> str:
        if self.name is None:
            return metric
        return self.name if len(chosen) == 1 else f"{self.name} {metric}"


def floats(values: Sequence[float | str]) -> Floats:
    """Numbers of the contract (N,), where NaN and infinities are strings."""
    return np.array([float(value) for value in values], np.float64)


def _axes() -> Axes:
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ImportError("A plot needs matplotlib: pip install 'backpropd[plot]'") from error
    axes: Axes = pyplot.figure().add_subplot()
    return axes
