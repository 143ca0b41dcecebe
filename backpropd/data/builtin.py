"""Datasets that need no sending: the classic problems, and the tables of scikit-learn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backpropd.data import classics
from backpropd.data.table import Dataset, from_numbers
from backpropd.spec.faults import Fault, Invalid, unknown_name

PREFIX = "builtin:"
LARGEST_PARITY = 10
LARGEST_ENCODER = 64


@dataclass(frozen=True, slots=True)
class Builtin:
    """A dataset that is here already."""

    name: str
    description: str
    source: str
    load: Callable[[], Dataset]


def builtin(name: str) -> Dataset:
    """The built-in set of this name, with or without "builtin:" before it.

    Raises Invalid for a name that nobody knows, with the closest known one.
    """
    short = name.removeprefix(PREFIX)
    if short in _SETS:
        return _SETS[short].load()
    if (match := re.fullmatch(r"parity-(\d{1,2})", short)) and (
        2 <= int(match[1]) <= LARGEST_PARITY
    ):
        return classics.parity(int(match[1]))
    if (match := re.fullmatch(r"encoder-(\d{1,2})-(\d{1,2})-(\d{1,2})", short)) and (
        match[1] == match[3] and 2 <= int(match[1]) <= LARGEST_ENCODER and int(match[2]) >= 1
    ):
        return classics.encoder(int(match[1]))
    known = [PREFIX + each for each in _SETS]
    detail = unknown_name("built-in dataset", PREFIX + short, known)
    raise Invalid([Fault("/dataset", "unknown_name", detail)])


def builtin_list() -> list[Builtin]:
    """Every built-in set; parity-N and encoder-N-M-N stand for their families."""
    return list(_SETS.values())


def _from_sklearn(load: str, scaling: str) -> Dataset:
    from sklearn import datasets  # noqa: PLC0415 - a second of import for who needs it

    bunch = getattr(datasets, load)()
    names = bunch.get("feature_names", None)
    classes = tuple(str(name) for name in bunch.target_names)
    return from_numbers(
        np.ascontiguousarray(bunch.data, dtype=np.float64),
        np.eye(len(classes))[bunch.target],
        input_names=tuple(_identifier(str(name)) for name in names),
        target_names=classes,
        classes=classes,
        scaling=scaling,
    )


def _identifier(name: str) -> str:
    """sepal length (cm) -> sepal_length."""
    return re.sub(r"\W+", "_", name.partition("(")[0].strip()).lower()


_UCI = "UCI Machine Learning Repository, as scikit-learn carries it"
_PDP = "Rumelhart, Hinton & Williams 1986, PDP vol. 1, ch. 8"
_SETS = {
    each.name: each
    for each in (
        Builtin("xor", "Exclusive or: 4 patterns of 2 bits.", _PDP, lambda: classics.parity(2)),
        *(
            Builtin(
                f"parity-{bits}",
                f"1 for an odd count of ones: all patterns of {bits} bits.",
                _PDP,
                lambda bits=bits: classics.parity(bits),  # type: ignore[misc]
            )
            for bits in (3, 4, 5, 6, 7, 8)
        ),
        Builtin(
            "encoder-4-2-4",
            "4 one-hot patterns onto themselves.",
            _PDP,
            lambda: classics.encoder(4),
        ),
        Builtin(
            "encoder-8-3-8",
            "8 one-hot patterns onto themselves.",
            _PDP,
            lambda: classics.encoder(8),
        ),
        Builtin(
            "encoder-10-5-10",
            "10 one-hot patterns onto themselves.",
            "Fahlman 1988",
            lambda: classics.encoder(10),
        ),
        Builtin(
            "symmetry",
            "Is a pattern of 6 bits symmetric about its centre? 64 patterns.",
            "Rumelhart, Hinton & Williams 1986, Nature 323",
            classics.symmetry,
        ),
        Builtin(
            "addition",
            "Two numbers of 2 bits onto their sum of 3 bits: 16 patterns.",
            _PDP,
            classics.addition,
        ),
        Builtin(
            "negation",
            "3 bits, inverted where a control bit, the first input, is 1: 16 patterns.",
            _PDP,
            classics.negation,
        ),
        Builtin(
            "t-c",
            "T (1) or C (0) in 4 orientations anywhere on a retina of 6 x 6: 128 patterns.",
            _PDP,
            classics.t_c,
        ),
        Builtin(
            "two_spirals",
            "Which of two intertwined spirals is a point on? 194 points.",
            "Lang & Witbrock 1988",
            classics.two_spirals,
        ),
        Builtin(
            "party",
            "Three parties by education, debt, income and urban-ness; 1,000 rows of a random "
            "network, from a fixed seed.",
            "made as McCaffrey 2015 tells of his synthetic data",
            classics.party,
        ),
        Builtin(
            "iris",
            "150 flowers of three species by four measures.",
            f"Fisher 1936; {_UCI}",
            lambda: _from_sklearn("load_iris", "standard"),
        ),
        Builtin(
            "wine",
            "178 wines of three growers by 13 measures.",
            _UCI,
            lambda: _from_sklearn("load_wine", "standard"),
        ),
        Builtin(
            "breast_cancer",
            "569 tumours, malignant or benign, by 30 measures.",
            _UCI,
            lambda: _from_sklearn("load_breast_cancer", "standard"),
        ),
        Builtin(
            "digits",
            "1,797 handwritten digits of 8 x 8 pixels.",
            _UCI,
            lambda: _from_sklearn("load_digits", "minmax"),
        ),
    )
}
