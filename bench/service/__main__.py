"""What reads, writes and histories cost over HTTP: `make bench-service`.

Run as `python -m bench.service [--parts sqlite,postgresql,mlflow,fasttrackml] [--json FILE]`.
Every server runs alone, one after the other, with the same curves: 100,000 points with a planted
spike, 20 runs of 5,000 to compare, and, where it can be stored in reasonable time, 10,000,000.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from pathlib import Path

from bench.history import curve
from bench.service import ours, peers
from bench.service.http import Call, Server, milliseconds

PARTS = ("sqlite", "postgresql", "mlflow", "fasttrackml")
NAMES = {"mlflow": "MLflow", "fasttrackml": "FastTrackML"}
POINTS = 320
LONG, LONGER, SHORT, MANY = 100_000, 10_000_000, 5_000, 20
SPIKE = 99.0
# The figure to reach in milliseconds, by row; a row with None is a rate.
GOALS: dict[str, float | None] = {
    "read one job": 1.0,
    "submit, committed": 3.0,
    f"{POINTS} points of {LONG:,}": 5.0,
    f"{POINTS} points of {LONGER:,}": 15.0,
    f"1,000 epochs at the end of {LONG:,}": 5.0,
    f"1,000 epochs at the end of {LONGER:,}": 5.0,
    f"all of {LONG:,}": 100.0,
    f"compare {MANY} jobs of {SHORT:,}": 50.0,
    f"compare {MANY} jobs of {LONG:,}": 50.0,
    "epochs stored a second": None,
    "small reads a second": None,
}

Row = dict[str, float]


def timed(server: Server, call: Call, *, rounds: int = 200, seconds: float = 3) -> Row:
    """On a kept connection, and on a new one each time."""
    kept = milliseconds(lambda: server.send(call), rounds, seconds)
    fresh = milliseconds(lambda: server.send(call, fresh=True), rounds, seconds / 2)
    return {"p50": kept["p50"], "p99": kept["p99"], "new": fresh["p50"]}


def reads_a_second(port: int, call: Call, seconds: float = 3) -> Row:
    """From four connections at once, two processes of two threads' worth of asking."""
    with multiprocessing.Pool(4) as pool:
        counts = pool.starmap(_read, [(port, call, seconds)] * 4)
    return {"rate": sum(counts) / seconds}


def _read(port: int, call: Call, seconds: float) -> int:
    server, done = Server(port), 0
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        server.send(call)
        done += 1
    return done


def of_ours(kind: str, folder: Path, longest: int) -> dict[str, Row]:
    """All rows, on this database."""
    found: dict[str, Row] = {}
    with ours.served(kind, folder) as (server, database):
        job, _ = ours.stored(database, curve(LONG))
        huge, rate = ours.stored(database, curve(longest))
        found["epochs stored a second"] = {"rate": rate}
        short = [ours.stored(database, curve(SHORT))[0] for _ in range(MANY)]
        long = [ours.stored(database, curve(LONG))[0] for _ in range(MANY)]
        for each, length in ((job, LONG), (huge, longest)):
            call = ours.rows(each, f"points={POINTS}")
            assert SPIKE in server.json(call)["series"]["loss"], "the spike was lost"
            found[f"{POINTS} points of {length:,}"] = timed(server, call)
            last = ours.rows(each, f"from={length - 999}")
            assert len(server.json(last)["epoch"]) == 1000
            found[f"1,000 epochs at the end of {length:,}"] = timed(server, last)
        found[f"all of {LONG:,}"] = timed(server, ours.rows(job, "from=1"), rounds=30)
        found[f"compare {MANY} jobs of {SHORT:,}"] = timed(server, ours.compare(short, POINTS))
        found[f"compare {MANY} jobs of {LONG:,}"] = timed(server, ours.compare(long, POINTS))
        found["read one job"] = timed(server, ours.get_job(job))
        found["small reads a second"] = reads_a_second(server.port, ("GET", "/v1/limits", None))
        found["submit, committed"] = timed(server, ours.submit())
    return found


def of_peer(name: str, folder: Path, port: int) -> dict[str, Row]:
    """The rows that it can do."""
    found: dict[str, Row] = {}
    losses = curve(LONG).tolist()
    with peers.served(name, folder, port) as server:
        run, rate = peers.logged(server, losses)
        found["epochs stored a second"] = {"rate": rate}
        found["read one job"] = timed(server, peers.get_run(run))
        found["submit, committed"] = timed(server, peers.new_run(), rounds=100)
        found["small reads a second"] = reads_a_second(server.port, peers.get_run(run))
        found[f"1,000 epochs at the end of {LONG:,}"] = timed(server, peers.page(run, 1000))
        found[f"all of {LONG:,}"] = timed(server, peers.page(run, LONG), rounds=10)
        sampled = peers.sampled([run], POINTS)
        _where_offered(found, f"{POINTS} points of {LONG:,}", server, sampled)
        if f"{POINTS} points of {LONG:,}" in found:
            kept = peers.has_spike(server.send(sampled), SPIKE)
            found[f"{POINTS} points of {LONG:,}"]["spike"] = float(kept)
            runs = [peers.logged(server, losses[:SHORT])[0] for _ in range(MANY)]
            name = f"compare {MANY} jobs of {SHORT:,}"
            _where_offered(found, name, server, peers.sampled(runs, POINTS))
    return found


def _where_offered(found: dict[str, Row], name: str, server: Server, call: Call) -> None:
    try:
        found[name] = timed(server, call, rounds=30)
    except RuntimeError as error:
        print(f"  {name}: not offered ({str(error)[:100]})")


def table(results: dict[str, dict[str, Row]]) -> str:
    """Milliseconds on a kept connection and, behind the stroke, on a new one; or rates."""
    lines = [
        "| | to reach | " + " | ".join(results) + " |",
        "|---|---" + "|---" * len(results) + "|",
    ]
    for name, goal in GOALS.items():
        cells = [_cell(found.get(name)) for found in results.values()]
        reach = "" if goal is None else f"{goal:g} ms"
        lines.append(f"| {name} | {reach} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    if "rate" in row:
        return f"{row['rate']:,.0f}/s"
    lost = " (spike lost)" if row.get("spike") == 0 else ""
    return f"{row['p50']:.2f} / {row['new']:.2f} ms{lost}"


def main() -> None:
    """Measure, print one table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.service")
    parser.add_argument("--parts", default=",".join(PARTS), help="which servers, with commas")
    parser.add_argument("--longest", type=int, default=LONGER, help="epochs of the longest job")
    parser.add_argument("--json", type=Path, default=Path("build/bench-service.json"))
    asked = parser.parse_args()
    chosen = asked.parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    results: dict[str, dict[str, Row]] = {}
    for number, part in enumerate(chosen):
        print(f"== {part}", flush=True)
        with tempfile.TemporaryDirectory(prefix="backpropd-bench-") as folder:
            if part in NAMES:
                results[part] = of_peer(NAMES[part], Path(folder), 18_500 + number)
            else:
                results[part] = of_ours(part, Path(folder), asked.longest)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor(), "python": platform.python_version()}
    asked.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
