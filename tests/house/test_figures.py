"""The figures that README and docs show are those that `make bench` wrote down."""

from __future__ import annotations

import pytest

from bench import report
from bench.workloads import OURS, WORKLOADS
from tests.house.reader import ROOT


@pytest.mark.parametrize("page", report.PAGES)
def test_a_pages_figures_are_the_measured_ones(page: str) -> None:
    text = (ROOT / page).read_text()

    assert report.with_tables(text, page, report.read()) == text


def test_every_workload_was_raced_by_all_its_contestants() -> None:
    measured = report.read()["workloads"]

    assert [workload.name for workload in WORKLOADS] == list(measured)
    for workload in WORKLOADS:
        raced = measured[workload.name]["contestants"]
        assert set(raced) == {OURS, *workload.goals}


def test_whoever_should_do_the_same_work_came_to_the_same_loss() -> None:
    for name, workload in report.read()["workloads"].items():
        for contestant, each in workload["contestants"].items():
            assert each["equal"] or each["differs"], (name, contestant)
