"""Which columns are learned from, predicted, and left out; guessed where nobody said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backpropd.data.raw import MOST_CATEGORIES, Kind, refused
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Fault, Invalid, pointer_to, unknown_name

IDENTIFIERS = re.compile(r"(unnamed: ?\d+|row_?(id|names?|num(ber)?)?|index|id)", re.IGNORECASE)
FEW_ROWS = 20  # below them all words may differ by chance


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of a table by what they are for."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    groups: str | None
    ignored: dict[str, str]  # name -> why
    guessed: tuple[str, ...]  # which roles nobody said


def roles(kinds: Sequence[Kind], upload: UploadSpec, targets: tuple[str, ...] | None) -> Roles:
    """The role of every column; `targets` are the format's own, where it names them.

    Raises Invalid where the upload names columns that are not there, or one of them twice.
    """
    names = [kind.name for kind in kinds]
    _check_known(upload, names)
    guessed = []
    ignored = dict.fromkeys(upload.ignore, "asked for")
    spoken_for = {*upload.ignore, *((upload.groups,) if upload.groups else ())}
    left = [kind for kind in kinds if kind.name not in spoken_for]
    if upload.targets is None and targets is None:
        guessed.append("targets")
        targets = tuple(kind.name for kind in left[-1:])
    targets = upload.targets or targets or ()
    if not targets:
        raise refused("empty", "No column is left to predict.", "/targets")
    if upload.inputs is not None:
        inputs = upload.inputs
        ignored |= {
            name: "not asked for"
            for name in names
            if name not in {*inputs, *targets, *spoken_for, *ignored}
        }
    else:
        guessed.append("inputs")
        ignored |= {
            kind.name: why
            for kind in left
            if kind.name not in targets and (why := _useless(kind)) is not None
        }
        inputs = tuple(
            kind.name for kind in left if kind.name not in targets and kind.name not in ignored
        )
    _check_apart(inputs, targets, upload)
    if not inputs:
        detail = "The file has one column; there is nothing left to learn from."
        if len(names) > 1:
            detail = "There is nothing left to learn from: " + "; ".join(
                f"{name[:80]!r} {why}" for name, why in list(ignored.items())[:20]
            )
        raise refused("empty", detail, "/inputs")
    return Roles(inputs, targets, upload.groups, ignored, tuple(guessed))


def _useless(kind: Kind) -> str | None:
    """Why a column that nobody asked for is no input, or None."""
    if kind.unreadable is not None:
        return f"holds {kind.unreadable}, which is neither numbers nor words"
    if not kind.is_number and len(kind.categories) > MOST_CATEGORIES:
        return f"has more than {MOST_CATEGORIES:,} different words"
    if not kind.is_number and len(kind.categories) == kind.words >= FEW_ROWS:
        return "has another word in every row, as names have"
    if kind.is_number and (not kind.named or IDENTIFIERS.fullmatch(kind.name)):
        return "numbers the rows, by its name" if kind.named else "has no name, as row numbers have"
    if not kind.numbers and not kind.words:
        return "has no value at all"
    return None


def _check_known(upload: UploadSpec, names: Sequence[str]) -> None:
    known = set(names)
    unknown = [
        Fault(pointer_to(field, place), "unknown_name", unknown_name("column", name, names[:100]))
        for field in ("inputs", "targets", "ignore")
        for place, name in enumerate(getattr(upload, field) or ())
        if name not in known
    ]
    if upload.groups is not None and upload.groups not in known:
        detail = unknown_name("column", upload.groups, names[:100])
        unknown.append(Fault("/groups", "unknown_name", detail))
    if unknown:
        raise Invalid(unknown)


def _check_apart(inputs: Sequence[str], targets: Sequence[str], upload: UploadSpec) -> None:
    both = sorted(set(inputs) & set(targets))
    if both:
        detail = f"{', '.join(both)} can't be input and target at once."
        raise refused("contradiction", detail, "/inputs")
    used = {*inputs, *targets}
    if upload.groups in used:
        detail = f"{upload.groups} can't be learned from or predicted, and group the rows, too."
        raise refused("contradiction", detail, "/groups")
    both = sorted(used & set(upload.ignore))
    if both:
        raise refused("contradiction", f"{', '.join(both)} can't be used and ignored.", "/ignore")
