"""Figures as JSON, and the tables made from it: what README and docs show is what was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from bench.costs import Cost
from bench.environment import ROOT
from bench.race import Result
from bench.workloads import OURS, PEERS, PRODUCTS, WORKLOADS

FIGURES = ROOT / "bench" / "figures.json"
BEGIN, END = "<!-- {}: make bench -->", "<!-- end of {} -->"
# Which pages have which tables, each between marks of its own.
PAGES = {"README.md": ("ratios",), "docs/reference/bench.md": ("races", "costs")}

Document = dict[str, Any]


def document(results: list[Result], costs: list[Cost], machine: dict[str, str]) -> Document:
    """All that was measured."""
    versions: dict[str, str] = {}
    for result in results:
        versions |= result.versions
    return {
        "machine": machine,
        "versions": dict(sorted(versions.items())),
        "workloads": {result.workload.name: _of(result) for result in results},
        "costs": {
            cost.name: {
                "title": cost.title,
                "unit": cost.unit,
                "at_most": cost.at_most,
                "value": cost.value,
                "counted": "largest" if cost.worst else "median",
                "values": cost.values,
            }
            for cost in costs
        },
    }


def _of(result: Result) -> Document:
    workload, unequal = result.workload, result.unequal()
    contestants = {}
    for name, each in result.measured.items():
        losses = result.losses(name)
        contestants[name] = {
            "seconds": each.seconds,
            "ratio": _number(result.ratio(name)),
            "goal": workload.goals.get(name),
            "losses": losses,
            "epochs": each.epochs,
            "note": each.note,
            "missing": each.missing,
            "differs": workload.differs.get(name) or unequal.get(name),
            "equal": name not in workload.differs and name not in unequal,
        }
    return {
        "title": workload.title,
        "dtype": workload.dtype,
        "threads": workload.threads,
        "updates": result.updates,
        "median": _number(result.ours.median),
        "error": workload.error,
        "blas": result.blas,
        "contestants": contestants,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def merged(old: Document, new: Document) -> Document:
    """The figures of both, the newer ones first; those of another machine or version are left."""
    alike = ("machine", "versions")
    shared = {key: {**old.get(key, {}), **new[key]} for key in alike}
    if any(old.get(key, {}).get(k, v) != v for key in alike for k, v in new[key].items()):
        return new
    workloads = {**old["workloads"], **new["workloads"]}
    ordered = {w.name: workloads[w.name] for w in WORKLOADS if w.name in workloads}
    costs = {**old.get("costs", {}), **new["costs"]}
    return {**new, **shared, "workloads": ordered, "costs": costs}


def read() -> Document:
    """What was measured last."""
    if not FIGURES.exists():
        return {"workloads": {}}
    found: Document = json.loads(FIGURES.read_text())
    return found


def write(figures: Document) -> None:
    """To figures.json, and into every page."""
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    for page in PAGES:
        path = ROOT / page
        path.write_text(with_tables(path.read_text(), page, figures))


def with_tables(text: str, page: str, figures: Document) -> str:
    """The page with the figures between its marks; raises ValueError where it lacks them."""
    for name in PAGES[page]:
        begin, end = BEGIN.format(name), END.format(name)
        if not 0 <= text.find(begin) < text.find(end):
            raise ValueError(f"{page} has no place for {name}")
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        table = "\n".join(TABLES[name](figures))
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def ratios(figures: Document) -> Iterator[str]:
    """One row a workload: our time of an update, and how many times that the others take."""
    yield f"| | backpropd | {' | '.join(PEERS)} | matrix products alone |"
    yield "|---|---|" + "---|" * (len(PEERS) + 1)
    for workload in figures["workloads"].values():
        cells = [workload["title"], an_update(workload)]
        cells += [_ratio(workload["contestants"].get(name)) for name in (*PEERS, PRODUCTS)]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield f"{circumstances(figures)} Everybody in turns, medians of {rounds(figures)} rounds."


def rounds(figures: Document) -> str:
    """How many each median is of: 5, or 3 to 5."""
    counts = {len(w["contestants"][OURS]["seconds"]) for w in figures["workloads"].values()}
    return " to ".join(str(each) for each in sorted({min(counts), max(counts)}))


def _ratio(contestant: Document | None) -> str:
    if contestant is None:
        return ""
    if contestant["missing"]:
        return "missing"
    return times(contestant["ratio"])


def times(ratio: float | None) -> str:
    """Three digits are as much as a median of few rounds can say."""
    if ratio is None:
        return "?"
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.3g}x"


def an_update(workload: Document) -> str:
    """Our median."""
    if workload["median"] is None:
        return "missing"
    seconds = workload["median"] / workload["updates"]
    for unit, size in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def circumstances(figures: Document) -> str:
    """The machine and the versions, as sentences."""
    machine = ", ".join(
        value if key in ("processor", "system") else f"{key} {value}"
        for key, value in figures["machine"].items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    blas = sorted({each for w in figures["workloads"].values() for each in w["blas"]})
    return f"{machine}; {versions}; {'; '.join(blas)}."


def races(figures: Document) -> Iterator[str]:
    """One row a contestant: its ratio, what was to be reached, and both losses."""
    yield circumstances(figures)
    for workload in figures["workloads"].values():
        yield ""
        ours = workload["contestants"][OURS]
        threads = "1 thread" if workload["threads"] == 1 else f"{workload['threads']} threads"
        yield (
            f"**{workload['title']}**: {an_update(workload)} an update "
            f"({workload['dtype']}, {threads}; {ours['note'] or ours['missing']})"
        )
        yield ""
        yield "| | ratio | to reach | | loss | ours there |"
        yield "|---|---|---|---|---|---|"
        for name, each in workload["contestants"].items():
            if each["goal"] is not None:
                yield f"| {' | '.join(_race(name, each))} |"
        if workload["error"] is not None and ours["losses"]:
            yield ""
            ours_last, texts = ours["losses"][0], workload["error"]
            yield f"Loss in the last epoch {ours_last:.9e}; the text says {texts:.9e}."


def costs(figures: Document) -> Iterator[str]:
    """One row a cost: what was measured, and the most that it may be."""
    yield "| | measured | at most | |"
    yield "|---|---|---|---|"
    for each in figures["costs"].values():
        unit = each["unit"]
        kept = "kept" if each["value"] <= each["at_most"] else "missed"
        counted = f"{each['value']:.3g} {unit}, {each['counted']} of {len(each['values'])}"
        yield f"| {each['title']} | {counted} | {each['at_most']:g} {unit} | {kept} |"


def _race(name: str, each: Document) -> Iterator[str]:
    yield name
    if each["missing"]:
        yield from ("missing", f"{each['goal']:g}x", "", each["missing"], "")
        return
    yield times(each["ratio"])
    yield f"{each['goal']:,g}x"
    yield "reached" if (each["ratio"] or 0) >= each["goal"] else "missed"
    if each["losses"] is None:
        yield from ("", "")
        return
    theirs, ours = each["losses"]
    yield f"{theirs:.6g}" + ("" if each["equal"] else f" ({each['differs']})")
    yield f"{ours:.6g}"


TABLES = {"ratios": ratios, "races": races, "costs": costs}
