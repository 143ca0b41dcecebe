"""Bombs: each is refused at once by a process of its own, and this one stays as small as it was."""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backpropd.data import sandbox
from backpropd.data.reading import UPLOAD, TooLarge, read_apart, received
from backpropd.spec.base import parse
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.faults import Invalid
from backpropd.spec.limits import LIMITS, MEBIBYTE, Limits

SECONDS = 10  # 2 on a quiet machine; what a bomb would take if it went off is minutes
GROWTH = 64 * MEBIBYTE


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npz_of_zeros() -> bytes:
    """A megabyte that unpacks to 256."""
    out = io.BytesIO()
    header = npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (33554432,)}\n")
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(header)
        for _ in range(256):
            file.write(bytes(MEBIBYTE))
    return out.getvalue()


def npz_of_endless_shape() -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40}, {2**40})}}\n"
    return zipped("x.npy", npy_header(text))


def npz_of_long_header() -> bytes:
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31 - 1)
    return zipped("x.npy", head + b" " * 100_000)


def nested_zip() -> bytes:
    content = bytes(50 * MEBIBYTE)
    for _ in range(3):
        content = zipped("x.npy", content)
    return content


def gzip_of_zeros() -> bytes:
    """Two megabytes that unpack to 512."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        for _ in range(512):
            file.write(b"1,2\n" * (MEBIBYTE // 4))
    return out.getvalue()


def parquet_of_repeats() -> bytes:
    """Some kilobytes that say one number 60 million times."""
    out = io.BytesIO()
    writer = pq.ParquetWriter(out, pa.schema({"a": pa.int64(), "b": pa.int64()}))
    zeros = np.zeros(10_000_000, np.int64)
    for _ in range(6):
        writer.write_table(pa.table({"a": zeros, "b": zeros}))
    writer.close()
    return out.getvalue()


def parquet_of_long_footer() -> bytes:
    return b"PAR1" + bytes(64) + struct.pack("<I", 2**31 - 1) + b"PAR1"


def one_long_line() -> bytes:
    return b"1," * (25 * MEBIBYTE)


BOMBS: list[Callable[[], bytes]] = [
    npz_of_zeros,
    npz_of_endless_shape,
    npz_of_long_header,
    nested_zip,
    gzip_of_zeros,
    parquet_of_repeats,
    parquet_of_long_footer,
    one_long_line,
]


def attempted(folder: Path, content: bytes, limits: Limits = LIMITS) -> Invalid:
    (folder / UPLOAD).write_bytes(content)
    with pytest.raises(Invalid) as caught:
        read_apart(folder, parse(UploadSpec, {}), None, limits=limits)
    return caught.value


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_does_not_go_off(tmp_path: Path, bomb: Callable[[], bytes]) -> None:
    content = bomb()
    attempted(tmp_path, b"")  # the server of processes has started
    before = psutil.Process().memory_info().rss
    started = time.monotonic()
    found = attempted(tmp_path, content)

    assert time.monotonic() - started < SECONDS
    assert psutil.Process().memory_info().rss - before < GROWTH
    assert found.faults[0].code in ("too_large", "bad_npz", "bad_parquet", "bad_text", "wrong_type")


def hungry(folder: Path, limits: Limits) -> None:
    """Take more memory than allowed."""
    hoard = [bytearray(64 * MEBIBYTE) for _ in range(1024)]
    raise AssertionError(len(hoard))


def idle(folder: Path, limits: Limits) -> None:
    """Take more time than allowed."""
    time.sleep(60)


def sprawling(folder: Path, limits: Limits) -> None:
    """Take more disk than allowed."""
    with (folder / "out").open("wb") as file:
        for _ in range(1024):
            file.write(bytes(MEBIBYTE))


def stumbling(folder: Path, limits: Limits) -> None:
    """Meet what nobody foresaw."""
    raise KeyError


def dying(folder: Path, limits: Limits) -> None:
    """End as a crash of a library would."""
    os.kill(os.getpid(), 11)


@pytest.mark.parametrize(
    ("work", "limit", "said"),
    [
        (hungry, {"dataset_memory_bytes": 256 * MEBIBYTE}, "more memory"),
        (idle, {"dataset_seconds": 1}, "longer than 1 seconds"),
        (sprawling, {"dataset_unpacked_bytes": MEBIBYTE}, "unpacks to more"),
        (dying, {}, "more memory"),
        (stumbling, {}, "cannot be read"),
    ],
)
def test_a_process_that_takes_too_much_is_ended(
    tmp_path: Path, work: Callable[..., None], limit: dict[str, int], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        sandbox.run(work, tmp_path, Limits(**limit))


def asked_limits(folder: Path, limits: Limits) -> list[int]:
    """The limits inside."""
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    return [resource.getrlimit(kind)[0] for kind in kinds]


def test_the_process_has_every_limit(tmp_path: Path) -> None:
    space, seconds, size, core = sandbox.run(asked_limits, tmp_path, LIMITS)

    assert 0 < space < 8 * 2**30
    assert (seconds, core) == (LIMITS.dataset_seconds, 0)
    assert size == 2 * LIMITS.dataset_unpacked_bytes


def test_what_is_received_is_written_in_blocks_and_no_further_than_allowed() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return bytes(size)

    stream: Any = Endless()
    with (
        pytest.raises(TooLarge),
        received(stream, Limits(dataset_bytes=3 * MEBIBYTE)),
    ):
        raise AssertionError
    assert stream.taken <= 5 * MEBIBYTE
