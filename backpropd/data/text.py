"""Text files: which encoding they are in, and their lines, none of them longer than allowed."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from charset_normalizer import from_bytes

from backpropd.data.raw import refused
from backpropd.spec.limits import Limits

BLOCK = 1 << 20
SAMPLE_BYTES = 64 * 1024  # to guess from
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(path: Path, asked: str | None) -> tuple[str, bool]:
    """(the file's encoding, whether it was guessed); raises Invalid for what is no text.

    UTF-8 where the whole file is; else what the first bytes look like most.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
        marked = next((name for mark, name in MARKS.items() if sample.startswith(mark)), None)
        if asked is not None:
            name = codecs.lookup(asked).name
            return (marked if marked and name in ("utf-8", "utf-16") else name), False
        if marked is not None:
            return marked, True
        if b"\0" in sample:
            raise refused("bad_text", "The file holds NUL bytes; it is no text.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = sample
        try:
            while block:
                decoder.decode(block)
                block = file.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _guess(sample if not sample.isascii() else sample + block), True
    return "utf-8", True


def _guess(sample: bytes) -> str:
    likely = from_bytes(sample[-2 * SAMPLE_BYTES :])
    best = likely.best()
    if best is None:
        detail = "The file is not UTF-8, nor in any encoding that could be told; give `encoding`."
        raise refused("not_utf8", detail, "/encoding")
    # Of equally likely ones what the web takes for such a text (WHATWG, Encoding).
    if any(each.encoding == "cp1252" and each.chaos <= best.chaos for each in likely):
        return "cp1252"
    return best.encoding


def lines(path: Path, encoding: str, limits: Limits) -> Iterator[str]:
    """The lines of the file with their ends; raises Invalid for what is no text.

    Of a line no more than its limit is ever held.
    """
    with path.open(encoding=encoding, newline="") as file:
        number = 0
        try:
            while line := file.readline(limits.dataset_line_bytes):
                number += 1
                if len(line) == limits.dataset_line_bytes and not line.endswith("\n"):
                    detail = f"row {number}: the line is longer than "
                    detail += f"{limits.dataset_line_bytes:,} characters."
                    raise refused("bad_text", detail)
                if "\0" in line:
                    raise refused("bad_text", f"row {number}: NUL is no text.")
                yield line
        except UnicodeDecodeError:
            detail = f"After row {number} the file is not {encoding}."
            raise refused("not_utf8", detail, "/encoding") from None
