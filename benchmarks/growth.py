"""How cost grows: against the zone's size, the working set, the number of cells, and of workers.

    python -m benchmarks.growth      measures, fits, draws docs/growth.svg and prints the table

Rates are those of the default load whatever the size, so an event is the same thing everywhere;
what grows is what it finds in the caches. Cells have a Zipf law each, and so a table of its own to
build, and take turns as in a study. Workers start together, each with a zone of its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MEGABYTES = (64, 256, 1_024, 4_096, 16_384, 65_536)
WORKING_SETS = (0.25, 0.5, 0.75, 1.0, 1.2, 1.5, 2.0)
CELLS = (1, 4, 16, 64)
TRIALS = 64
WORKERS = tuple(n for n in (1, 2, 4, 8, 16, 32, 64) if n <= (os.cpu_count() or 1))
ROUNDS = 5
PAGES_PER_MB = 256
SECONDS = 20
FILE = HERE / "growth.json"


def settings_of(megabytes: int, share: float):
    """The default load in a zone of so many MB, with a working set of that share of it."""
    from study.zone.settings import Settings

    default = Settings()
    pages = megabytes * PAGES_PER_MB
    return replace(
        default,
        memory=replace(
            default.memory, pages=pages, lowmem_pages=pages,
            reserved_pages=min(3_072, pages // 20),
        ),
        user=replace(default.user, working_set_pages=int(share * pages)),
    )  # fmt: skip


def once(megabytes: int, share: float) -> dict[str, float]:
    """One zone in this process: ns an event, seconds to set up, MB of the process."""
    from study.zone.trial.advance import advance
    from study.zone.trial.verify import verify
    from study.zone.trial.zone import Zone

    settings = settings_of(megabytes, share)
    Zone(settings_of(64, 1.0), seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    zone = Zone(settings, seed=1)
    set_up = time.perf_counter() - started
    advance(zone.state, SECONDS * 10**9)
    zone.reset_counters()
    started = time.perf_counter()
    advance(zone.state, 2 * SECONDS * 10**9)
    elapsed = time.perf_counter() - started
    count = zone.count
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verify(zone)
    return {
        "ns": 1e9 * elapsed / float(count["events"] + count["touches"]),
        "set_up_s": set_up,
        "mb": (used - before) / 1024,
        "process_mb": used / 1024,
        "refaults_per_s": float(count["refaults"]) / SECONDS,
    }


def with_cells(cells: int) -> dict[str, float]:
    """TRIALS trials of so many cells in this process: ms a trial, MB of the process."""
    from study.fanout import in_process
    from study.scenario import load_text

    zipf = ", ".join(str(round(0.9 + index / 10_000, 4)) for index in range(cells))
    clock = "base: {clock: {ageing: 60s, measure: 20s}}\n"
    axes = f"axes: {{user.zipf: [{zipf}]}}\nreplicates: {TRIALS // cells}\n"
    trials = load_text(clock + axes, "cells").trials()
    # The first trial of a process loads the kernels.
    list(in_process(load_text(f"{clock}replicates: 1", "warm").trials()))
    started = time.perf_counter()
    count = sum(1 for _ in in_process(trials))
    elapsed = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": 1e3 * elapsed / count, "process_mb": used / 1024}


def with_workers(workers: int) -> dict[str, float]:
    """So many processes at once, each with the default zone: ns an event, their mean."""
    spawned = multiprocessing.get_context("spawn")
    together = spawned.Barrier(workers)
    with spawned.Pool(workers, initializer=_meet, initargs=(together,)) as pool:
        found = pool.map(_beside_others, range(workers), chunksize=1)
    return {"ns": statistics.mean(found)}


def _meet(barrier) -> None:
    globals()["together"] = barrier


def _beside_others(seed: int) -> float:
    from study.zone.trial.advance import advance
    from study.zone.trial.zone import Zone

    zone = Zone(settings_of(880, 1.2), seed=seed + 1)
    advance(zone.state, 60 * 10**9)
    zone.reset_counters()
    globals()["together"].wait()
    started = time.perf_counter()
    advance(zone.state, 660 * 10**9)
    elapsed = time.perf_counter() - started
    count = zone.count
    return 1e9 * elapsed / float(count["events"] + count["touches"])


KINDS = {"zone": once, "cells": with_cells, "workers": with_workers}


def medians(kind: str, points: list[tuple[float, ...]]) -> list[dict[str, float]]:
    """Each point in processes of its own, in turn, so that disturbances fall on all alike."""
    found: list[list[dict[str, float]]] = [[] for _ in points]
    for turn in range(ROUNDS):
        for turns, point in zip(found, points, strict=True):
            print(f"turn {turn + 1}: {kind} {point}", file=sys.stderr)
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-m", "benchmarks.growth", kind, *map(str, point)],
                cwd=HERE.parent, check=True, capture_output=True, text=True,
            )  # fmt: skip
            turns.append(json.loads(done.stdout))
    return [
        {key: statistics.median(turn[key] for turn in turns) for key in turns[0]} for turns in found
    ]


def fit(x: list[float], y: list[float]) -> tuple[float, float]:
    """(a, b) of y = a * x ** b by least squares of the logarithms."""
    slope, intercept = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(intercept)), float(slope)


def draw(
    sizes: list[dict[str, float]], sets: list[dict[str, float]],
    cells: list[dict[str, float]], workers: list[dict[str, float]],
) -> None:  # fmt: skip
    """Four panels: against the zone's size, the working set's, cells and workers."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "growth", "font.size": 9, "svg.fonttype": "path"})
    figure, ((left, right), (below, last)) = plt.subplots(
        2, 2, figsize=(7.2, 5.6), layout="constrained"
    )
    left.plot(MEGABYTES, [p["ns"] for p in sizes], "o-", color="#0072b2", markersize=4)
    left.set(xscale="log", xlabel="zone, MB (working set 1.2 times)", ylabel="ns an event")
    left.set_xticks(MEGABYTES, [f"{m // 1024} G" if m >= 1024 else str(m) for m in MEGABYTES])
    left.minorticks_off()
    right.plot(WORKING_SETS, [p["ns"] for p in sets], "o-", color="#d55e00", markersize=4)
    right.set(xlabel="working set, share of a zone of 880 MB")
    below.plot(CELLS, [p["ms"] for p in cells], "o-", color="#009e73", markersize=4)
    below.set(xscale="log", xlabel=f"cells ({TRIALS} trials in all)", ylabel="ms a trial")
    below.set_xticks(CELLS, [str(n) for n in CELLS])
    below.minorticks_off()
    last.plot(WORKERS, [p["ns"] for p in workers], "o-", color="#cc79a7", markersize=4)
    last.set(xlabel=f"workers at once, on {os.cpu_count()} cores", ylabel="ns an event of each")
    last.set_xticks(WORKERS)
    for axes in (left, right, below, last):
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(HERE.parent / "docs" / "growth.svg", metadata={"Date": None})


def main() -> None:
    """Measure all, print and keep it."""
    cells = medians("cells", [(number,) for number in CELLS])
    workers = medians("workers", [(number,) for number in WORKERS])
    sizes = medians("zone", [(megabytes, 1.2) for megabytes in MEGABYTES])
    sets = medians("zone", [(880, share) for share in WORKING_SETS])
    print(f"{'zone':>9} {'ns an event':>12} {'set up':>9} {'memory':>9}")
    for megabytes, p in zip(MEGABYTES, sizes, strict=True):
        print(f"{megabytes:>6} MB {p['ns']:>12.1f} {p['set_up_s']:>7.3f} s {p['mb']:>6.0f} MB")
    print(f"{'working set':>12} {'ns an event':>12} {'refaults/s':>12}")
    for share, p in zip(WORKING_SETS, sets, strict=True):
        print(f"{share:>12} {p['ns']:>12.1f} {p['refaults_per_s']:>12.0f}")
    print(f"{'cells':>12} {'ms a trial':>12} {'process':>9}")
    for number, p in zip(CELLS, cells, strict=True):
        print(f"{number:>12} {p['ms']:>12.1f} {p['process_mb']:>6.0f} MB")
    print(f"{'workers':>12} {'ns an event':>12}")
    for number, p in zip(WORKERS, workers, strict=True):
        print(f"{number:>12} {p['ns']:>12.1f}")
    mb = [float(m) for m in MEGABYTES]
    laws = {
        "ns": fit(mb, [p["ns"] for p in sizes]),
        "set_up_s": fit(mb[1:], [p["set_up_s"] for p in sizes[1:]]),
        "mb": fit(mb[1:], [p["mb"] for p in sizes[1:]]),
        "ms": fit([float(n) for n in CELLS], [p["ms"] for p in cells]),
    }
    for name, (a, b) in laws.items():
        print(f"{name} = {a:.3g} * {'cells' if name == 'ms' else 'MB'} ** {b:.2f}")
    FILE.write_text(
        json.dumps(
            {
                "sizes": dict(zip(map(str, MEGABYTES), sizes, strict=True)),
                "working_sets": dict(zip(map(str, WORKING_SETS), sets, strict=True)),
                "cells": dict(zip(map(str, CELLS), cells, strict=True)),
                "workers": dict(zip(map(str, WORKERS), workers, strict=True)),
                "laws": laws,
            },
            indent=1,
        )
        + "\n"
    )
    draw(sizes, sets, cells, workers)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kind, first, *rest = sys.argv[1:]
        print(json.dumps(KINDS[kind](int(first), *map(float, rest))))
    else:
        main()
