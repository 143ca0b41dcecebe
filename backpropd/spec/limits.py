"""How much may be asked for. Checked before anything is allocated; published at /v1/limits."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes in force; each bound is included in what is allowed."""

    layers: int = 64
    units: int = 8192  # of one layer, and inputs
    parameters: int = 20_000_000
    optimizer_numbers: int = 100_000_000  # that an optimizer keeps, or solves for, at once
    epochs: int = 10_000_000
    body_bytes: int = 65 * MEBIBYTE
    dataset_bytes: int = 64 * MEBIBYTE
    dataset_unpacked_bytes: int = 256 * MEBIBYTE  # of a file that is compressed, opened
    dataset_ratio: int = 100  # unpacked to packed, above a mebibyte
    dataset_cells: int = 50_000_000
    dataset_columns: int = 8192  # as they come, and one-hot
    dataset_line_bytes: int = 4 * MEBIBYTE
    dataset_cell_characters: int = 128 * 1024
    dataset_seconds: int = 60  # for reading one file
    dataset_memory_bytes: int = 2048 * MEBIBYTE  # for reading one file, in a process of its own
    json_depth: int = 64
    name_length: int = 200
    tags: int = 32
    batch_jobs: int = 1000
    page: int = 1000
    history_page: int = 100_000  # epochs in one JSON answer
    history_columns: int = 1000  # metrics of a job
    compare_jobs: int = 100
    predict_rows: int = 100_000
    trace_parameters: int = 2000
    wait_seconds: int = 60
    streams: int = 2000  # open at once, of one process of the API
    streams_of_owner: int = 1500
    filter_length: int = 2000  # characters
    filter_terms: int = 50  # values that one filter compares with
    filter_depth: int = 20
    order_keys: int = 4


LIMITS = Limits()
