"""`make bench`: races every workload against everybody, and writes down what came out.

make bench BENCH='--only mazur,digits --rounds 3'
"""

from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.markdown import Markdown

from bench import environment, history, machine, race, report, starting, watching
from bench.workloads import OURS, WORKLOADS

COSTS = {"starting": starting.measured, "watching": watching.measured}
NAMES = [*(workload.name for workload in WORKLOADS), *COSTS]


def main() -> None:
    """Everything, or the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", help=f"some of {', '.join(NAMES)}; nothing is written then")
    parser.add_argument("--rounds", type=int, default=5, help="turns; medians are told")
    parser.add_argument("--write", action="store_true", help="write parts into the figures too")
    said = parser.parse_args()
    only = NAMES if said.only is None else said.only.split(",")
    if unknown := set(only) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    console = Console(soft_wrap=True)
    missing = environment.prepared(console.print)
    for peer, why in missing.items():
        console.print(f"{peer} is missing: {why}")
    results = []
    for workload in WORKLOADS:
        if workload.name in only:
            began = time.monotonic()
            results.append(race.race(workload, said.rounds, missing, console.print))
            console.print(_line(results[-1]), f"({time.monotonic() - began:.0f} s)")
    costs = []
    for name, measured in COSTS.items():
        if name in only:
            costs += measured(said.rounds)
    figures = report.document(results, costs, machine.description())
    console.print(Markdown("\n".join([*report.races(figures), "", *report.costs(figures)])))
    if said.only is None:
        console.print(Markdown("\n".join(report.ratios(figures))))
        report.write(figures)
        history.main([])
    elif said.write:
        report.write(report.merged(report.read(), figures))


def _line(result: race.Result) -> str:
    ratios = ", ".join(
        f"{name} {report.times(result.ratio(name))}"
        for name, each in result.measured.items()
        if name != OURS and not each.missing
    )
    return f"{result.workload.title}: {1e9 * result.ours.median / result.updates:,.0f} ns; {ratios}"


if __name__ == "__main__":
    main()
