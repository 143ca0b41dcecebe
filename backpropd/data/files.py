"""Files of every format that is read: what kind each is, opened within limits."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from backpropd.data import npz, parquet
from backpropd.data.csv_file import CsvTable
from backpropd.data.json_lines import JsonLinesTable
from backpropd.data.npz import NpzTable
from backpropd.data.parquet import ParquetTable
from backpropd.data.raw import Table, refused
from backpropd.spec.dataset import UploadSpec
from backpropd.spec.limits import MEBIBYTE, Limits

GZIP = b"\x1f\x8b"
BLOCK = 1 << 20
# Formats by the endings of names and by media types. A compressed file may be named either way.
ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".npz": "npz",
}
MEDIA_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/json-lines": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/parquet": "parquet",
    "application/x-npz": "npz",
    "application/npz": "npz",
    "application/gzip": None,
    "application/x-gzip": None,
    "application/octet-stream": None,
}
MAGICS = {parquet.MAGIC: "parquet", npz.MAGIC: "npz"}


def named_format(file_name: str | None, media_type: str | None) -> str | None:
    """The format that a file's name or type says, or None."""
    ending = Path((file_name or "").lower().removesuffix(".gz")).suffix
    return ENDINGS.get(ending) or MEDIA_TYPES.get(media_type or "")


def opened(path: Path, upload: UploadSpec, named: str | None, limits: Limits) -> Table:
    """The table in a file; beside it an unpacked copy is left where it is compressed.

    Raises Invalid with what is wrong with it.
    """
    path, packed = _unpacked(path, limits)
    with path.open("rb") as file:
        start = file.read(4)
    seen = MAGICS.get(start)
    asked = upload.file_format or named
    chosen = asked or seen or "csv"
    if (chosen != seen and "parquet" in (chosen, seen)) or (chosen != seen and chosen == "npz"):
        detail = f"The file is said to be {chosen}; its first bytes are those of {seen or 'others'}"
        raise refused("wrong_format", f"{detail}.")
    table: Table
    if chosen == "parquet":
        table = ParquetTable(path, limits)
    elif chosen == "npz":
        table = NpzTable(path, limits)
    elif chosen == "jsonl":
        table = JsonLinesTable(path, upload, limits)
    else:
        table = CsvTable(path, upload, limits)
    table.reading["gzip"] = packed
    if asked is None:
        table.guessed.append("format")
    return table


def _unpacked(path: Path, limits: Limits) -> tuple[Path, bool]:
    """The file itself, or what gzip holds, once; bombs are given up early."""
    with path.open("rb") as file:
        if file.read(2) != GZIP:
            return path, False
    most = min(
        limits.dataset_unpacked_bytes, max(MEBIBYTE, limits.dataset_ratio * path.stat().st_size)
    )
    out, total = path.with_name(path.name + ".unpacked"), 0
    try:
        with gzip.open(path) as packed, out.open("wb") as copy:
            while block := packed.read(BLOCK):
                total += len(block)
                if total > most:
                    detail = f"The file unpacks to more than {most:,} bytes."
                    raise refused("too_large", detail)
                copy.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refused("bad_gzip", f"The file is damaged: {str(error)[:200]}.") from None
    return out, True
