"""Swarms alone, without their peers, on one thread and on two: python -m bench.swarm

`make bench` races the same workloads against everybody.
"""

from __future__ import annotations

import dataclasses
import statistics

from bench.data import task_of
from bench.ours import at_once
from bench.workloads import WORKLOADS

ROUNDS = 9
THREADS = (1, 2)


def main() -> None:
    """A line for each workload and number of threads."""
    print(f"{'workload':50} {'threads':>7} {'ms':>8} {'ns a sample':>12} {'loss':>12}")
    for workload in (each for each in WORKLOADS if each.networks > 1):
        for threads in THREADS:
            task = dataclasses.replace(task_of(workload), threads=threads)
            run = at_once(task)
            run()
            runs = [run() for _ in range(ROUNDS)]
            seconds = statistics.median(each.seconds for each in runs)
            samples = task.networks * task.epochs * len(task.inputs)
            print(
                f"{workload.title:50} {threads:7} {1e3 * seconds:8.1f} "
                f"{1e9 * seconds / samples:12.2f} {runs[0].losses[-1]:12.9f}"
            )


if __name__ == "__main__":
    main()
