"""Hold the zone under recorded demand against what the recorded kernels did.

    python docs/held_out.py FOLDER...

FOLDER holds trace_NAME.npz with the columns dt_us, gfp and pid, and snapshots_NAME.json.gz. The
zone begins with the free lists of the first snapshot and gets the trace's requests and frees;
nothing in it was fitted to any of this. Written is the table of fidelity.md: of each trace what its
kernel did, and what the rules of 5.9 (the nearest that the study has) and those of 2.6.8 make of
the same demand.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from study.fanout.trial import Row, run_trial
from study.replay.columnar import read_columnar
from study.replay.demand import demand_of
from study.replay.trace import PAGEBLOCK_ORDER, Code
from study.scenario import load

KERNELS = ("5.9", "2.6.8")
LETTERS = {"U": "Unmovable", "M": "Movable", "E": "Reclaimable", "H": "HighAtomic"}
ORDERS = (3, 9)
PAGES = 1 << np.arange(11)


def main(folders: list[Path]) -> None:
    """Print the tables."""
    print("| trace | | requests refused, by order | blocks stolen | pages reclaimed | pages moved "
          "| free pages, mean | unusable for order 3 | for order 9 |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        for path in sorted(folder.glob("trace_*.npz")):
            for row in compared(path):
                print(f"| {' | '.join(row)} |", flush=True)


def compared(path: Path) -> Iterator[list[str]]:
    """The rows of one trace: its kernel, then the zone by each kernel's rules."""
    name = path.stem.removeprefix("trace_")
    with gzip.open(path.with_name(f"snapshots_{name}.json.gz"), "rt") as file:
        recorded = json.load(file)
    shots = [shot for shot in recorded["snapshots"] if shot.get("idx_buddyinfo") is not None]
    times = np.array([shot["t_us"] for shot in shots]) / 1e6
    free = np.array([shot["buddyinfo"]["DMA32"] for shot in shots])
    yield [name, release(recorded["meta"]), *real(path, shots), *shape(free, times)]
    for kernel in KERNELS:
        outcome = simulated(path, shots, kernel)
        series = outcome.series
        if series is None:
            raise SystemExit(f"{name}, {kernel}: {outcome.error}")
        at = np.searchsorted(series["time_ns"] / 1e9, times).clip(max=len(series) - 1)
        # Once a snapshot: a moment more is a moment less of another state.
        yield ["", f"rules of {kernel}", *simulated_counts(outcome),
               *shape(series["nr_free"][at], times)]  # fmt: skip


def release(meta: dict[str, Any]) -> str:
    """The kernel that was recorded."""
    return "Linux " + ".".join(str(meta["uname"]).split()[2].split(".")[:2])


def real(path: Path, shots: list[dict[str, Any]]) -> list[str]:
    """What the kernel did with it."""
    demand, trace = demand_of(path), read_columnar(path)
    refused = np.bincount(demand.order[~demand.served], minlength=11)
    taken = trace.aux[trace.code == Code.EXTFRAG] & 0xFF
    grown = {key: shots[-1]["vmstat"].get(key, 0) - shots[0]["vmstat"].get(key, 0)
             for key in ("pgsteal_kswapd", "pgsteal_direct", "pgmigrate_success")}  # fmt: skip
    reclaimed = grown["pgsteal_kswapd"] + grown["pgsteal_direct"]
    return [by_order(refused), f"{(taken < PAGEBLOCK_ORDER).sum():,}", f"{reclaimed:,}",
            f"{grown['pgmigrate_success']:,}"]  # fmt: skip


def simulated_counts(row: Row) -> list[str]:
    """The same of a trial."""
    refused = np.array([row.metrics[f"order{order}_failures"] for order in range(11)], int)
    names = ("stolen_blocks", "reclaimed_pages", "compact_migrated_pages")
    return [by_order(refused), *(f"{row.metrics[name]:,.0f}" for name in names)]


def by_order(refused: np.ndarray) -> str:
    """Order: how many, of those of which there are any."""
    found = [f"{order}: {count:,}" for order, count in enumerate(refused) if count]
    return ", ".join(found) or "none"


def shape(free: np.ndarray, times: np.ndarray) -> list[str]:
    """Free pages and the unusable index, means over the recorded time."""
    pages = free @ PAGES
    weight = np.gradient(times)
    found = [f"{np.average(pages, weights=weight):,.0f}"]
    for order in ORDERS:
        usable = free[:, order:] @ PAGES[order:]
        index = 1 - usable / np.maximum(pages, 1)
        found.append(f"{np.average(index, weights=weight):.3f}")
    return found


def simulated(path: Path, shots: list[dict[str, Any]], kernel: str) -> Row:
    """A trial from the recorded start under the recorded demand."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "held-out.yaml"
        file.write_text(yaml.dump(scenario(path, shots, kernel)))
        study = load(file)
    return run_trial(next(study.trials()))


def scenario(path: Path, shots: list[dict[str, Any]], kernel: str) -> dict[str, Any]:
    """The recorded machine: memory, marks, free lists and pageblocks of the first snapshot."""
    first = shots[0]
    zone, state = first["zoneinfo"]["DMA32"], first["vmstat"]
    lists, blocks = first["pagetypeinfo_free"]["DMA32"], first["pageblocks"]["DMA32"]
    # A pageblock that the zone fills in part only is none here.
    blocks["Movable"] -= max(sum(blocks.values()) - (zone["present"] >> PAGEBLOCK_ORDER), 0)
    lru = {kind: sum(state[f"nr_zone_{age}_{kind}"] for age in ("active", "inactive"))
           for kind in ("anon", "file")}  # fmt: skip
    pages = sum(lru.values())
    used = zone["managed"] - zone["free"]
    seconds = shots[-1]["t_us"] / 1e6
    swap = any(shot["meminfo_kb"]["SwapFree"] for shot in shots)
    return {
        "extends": "workload/none",
        "replicates": 1,
        "base": {
            "kernel": kernel,
            "zone": {
                "memory": f"{zone['present']} pages",
                "reserved": f"{zone['present'] - zone['managed']} pages",
                "pageblock_order": PAGEBLOCK_ORDER,
                "swap": bool(swap),
                "buddyinfo": {letter: lists[word] for letter, word in LETTERS.items()},
                "pageblocks": {letter: blocks[word] for letter, word in LETTERS.items()},
            },
            "watermarks": {mark: f"{zone[mark]} pages" for mark in ("min", "low", "high")},
            "user": {
                "working_set": f"{max(pages, 16)} pages",
                "extent": "1 pages",
                "anonymous": lru["anon"] / max(pages, 1),
            },
            "slab": {"initial": (used - pages) / zone["present"], "reclaimable":
                     state["nr_slab_reclaimable"] / max(used - pages, 1)},
            "clock": {"ageing": "0s", "measure": f"{seconds:.3f}s", "sample": "50ms"},
            "load": {"trace": str(path.resolve()), "replicates": "none"},
        },
    }  # fmt: skip


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
