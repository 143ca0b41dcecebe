"""The page of classic problems says what the runs of today's definitions said."""

from __future__ import annotations

from pathlib import Path

import pytest

from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from bench.problems import HELD_OUT, PROBLEMS, HeldOut, Problem

PAGE = (Path(__file__).parents[2] / "docs/reference/problems.md").read_text()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.title)
def test_every_problem_was_run_and_is_of_the_published_order(problem: Problem) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {problem.title} |")]

    assert row.endswith("| yes |" if problem.lands else "| - |")
    assert " of 100 |" in row
    assert problem.published in row


@pytest.mark.parametrize("held_out", HELD_OUT, ids=lambda held_out: held_out.title)
def test_every_set_was_run(held_out: HeldOut) -> None:
    assert f"| {held_out.title} |" in PAGE


@pytest.mark.parametrize("work", [*PROBLEMS, *HELD_OUT], ids=lambda work: work.title)
def test_every_job_of_the_page_can_still_be_asked_for(work: Problem | HeldOut) -> None:
    parse(JobSpec, work.job(1))
