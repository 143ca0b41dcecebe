"""The parts of the long run, kept apart, join to one page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.page import DATABASES, KINDS, Part, Row, forget, gathered, page


def kept(
    folder: Path, kind: str, database: str, *rows: Row, name: str = "1", **counts: int
) -> Part:
    """A part that has been run, and is kept there."""
    command = f"python -m tests.chaos {kind} --database {database}"
    part = Part(kind, database, name, command, list(rows), counts, told=f"seed {name}")
    part.write(folder)
    return part


def lines(text: str, beginning: str) -> list[str]:
    """The lines of a text that begin so."""
    return [line for line in text.splitlines() if line.startswith(beginning)]


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    part = kept(tmp_path, "figures", "sqlite", Row("cancel, p99", "≤ 2.5 s", "2 s", True), kills=3)

    assert part == Part.read(part.file(tmp_path))


def test_the_page_shows_every_figure_of_both_databases_side_by_side(tmp_path: Path) -> None:
    for database, seconds in (("postgresql", "3 s"), ("sqlite", "2 s")):
        kept(tmp_path, "figures", database, Row("cancel, p99", "≤ 2.5 s", seconds, seconds < "2.5"))
        kept(tmp_path, "start", database, Row("submit, p50", "", seconds, True))
        kept(tmp_path, "storm", database, lost=int(database == "sqlite"))

    text = page(gathered(tmp_path))

    assert ["| figure | to reach | sqlite | postgresql |"] == lines(text, "| figure |")
    assert ["| jobs lost | 0 | **1: not reached** | 0 |"] == lines(text, "| jobs lost")
    assert ["| cancel, p99 | ≤ 2.5 s | 2 s | **3 s: not reached** |"] == lines(text, "| cancel")
    assert ["| submit, p50 |  | 2 s | 3 s |"] == lines(text, "| submit")
    assert ["- sqlite: seed 1"] == lines(text, "- sqlite")


def test_storms_of_several_seeds_count_as_one(tmp_path: Path) -> None:
    kept(tmp_path, "storm", "sqlite", name="7", kills=600, identical=5, succeeded=5)
    kept(tmp_path, "storm", "sqlite", name="8", kills=400, identical=3, succeeded=4)
    kept(tmp_path, "start", "sqlite")
    kept(tmp_path, "figures", "sqlite")

    text = page(gathered(tmp_path, ["sqlite"]))

    assert ["| SIGKILLs | ≥ 1000 | 1000 |"] == lines(text, "| SIGKILLs")
    expected = ["| results bit-identical | all | **8 of 9: not reached** |"]
    assert expected == lines(text, "| results")
    assert ["- sqlite: seed 7", "- sqlite: seed 8"] == lines(text, "- sqlite")


def test_a_run_forgets_what_the_one_before_has_left(tmp_path: Path) -> None:
    before = kept(tmp_path, "storm", "sqlite", name="7")
    other = kept(tmp_path, "storm", "postgresql", name="7")

    forget(tmp_path, "storm", "sqlite")

    assert [other.file(tmp_path)] == list(tmp_path.iterdir())
    assert not before.file(tmp_path).exists()


def test_the_page_says_when_each_part_ran_and_how_busy_the_machine_was(tmp_path: Path) -> None:
    for kind in KINDS:
        part = kept(tmp_path, kind, "sqlite")
        part.began, part.ended = "2026-01-02T03:04:00+00:00", "2026-01-02T03:34:00+00:00"
        part.commit = "abc1234"
        part.load_before, part.load_after = "0.1 0.2 0.3", "1.1 1.2 1.3"
        part.write(tmp_path)

    ran = lines(page(gathered(tmp_path, ["sqlite"])), "| `python")

    told = "| abc1234 | 2026-01-02 03:04 | 30 | 0.1 0.2 0.3 | 1.1 1.2 1.3 |"
    assert [
        f"| `python -m tests.chaos storm --database sqlite` {told}",
        f"| `python -m tests.chaos start --database sqlite` {told}",
        f"| `python -m tests.chaos figures --database sqlite` {told}",
    ] == ran


def test_a_part_that_has_not_run_is_missed_by_name(tmp_path: Path) -> None:
    for kind, database in [(k, d) for k in KINDS for d in DATABASES][:-1]:
        kept(tmp_path, kind, database)

    with pytest.raises(FileNotFoundError, match="no figures on postgresql"):
        gathered(tmp_path)
