"""From a file that somebody sent to a dataset: here, or in a process of its own with limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from backpropd.data import sandbox
from backpropd.data.assembly import assembled
from backpropd.data.files import opened
from backpropd.data.table import Dataset
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.limits import Limits

UPLOAD = "upload"
DATASET = "dataset.npz"
BLOCK = 1 << 20


class TooLarge(ValueError):
    """The file is larger than a dataset may be."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A dataset as it will be stored."""

    content: bytes
    facts: dict[str, Any]  # what the store keeps beside the content


def read(path: Path, upload: UploadSpec, named: str | None = None, *, limits: Limits) -> Dataset:
    """The dataset in a file, of the format that its name or type says (files.named_format).

    Raises Invalid with all faults of the file.
    """
    return assembled(opened(path, upload, named, limits), upload, limits)


def read_apart(folder: Path, upload: UploadSpec, named: str | None, *, limits: Limits) -> ReadFile:
    """The same for the file `upload` in this folder, in a process with limits of its own."""
    facts = sandbox.run(_write_dataset, folder, limits, upload, named)
    return ReadFile((folder / DATASET).read_bytes(), facts)


@contextmanager
def received(stream: IO[bytes], limits: Limits) -> Iterator[Path]:
    """A folder with the file `upload` that holds what the stream gives, block by block.

    Raises TooLarge as soon as it is.
    """
    with TemporaryDirectory(prefix="backpropd-") as name:
        folder, total = Path(name), 0
        with (folder / UPLOAD).open("wb") as file:
            while block := stream.read(BLOCK):
                total += len(block)
                if total > limits.dataset_bytes:
                    raise TooLarge
                file.write(block)
        yield folder


def _write_dataset(
    folder: Path, limits: Limits, upload: UploadSpec, named: str | None
) -> dict[str, Any]:
    dataset = read(folder / UPLOAD, upload, named, limits=limits)
    with (folder / DATASET).open("wb") as file:
        dataset.write(file)
    return dataset.facts()
