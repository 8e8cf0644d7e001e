"""Draw what each kernel since 2.6.8 gets in high-order blocks, and what it pays; print the tables.

python docs/history.py results/history docs/history.svg [results/history-orders]

The third folder, if given, is that of scenarios/history-orders.yaml: the success of requests of
orders that history.yaml does not ask for. Needs matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("svg")
from matplotlib import pyplot as plt

import study
from study.intervals import mean_interval
from study.scenario.units import nanoseconds_from
from study.statistics.design import is_count
from study.zone.trial.metrics import is_share

BLUE, ORANGE, GREEN, VIOLET, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
STEPS = {
    "2.6.10": "larger marks",
    "2.6.11": "order-aware kswapd",
    "2.6.23": "lumpy reclaim",
    "2.6.24": "mobility grouping",
    "2.6.35": "compaction",
    "3.5": "no lumpy reclaim",
    "4.4": "HIGHATOMIC reserve",
    "4.8": "kcompactd",
    "5.0": "watermark boost",
    "5.9": "proactive compaction",
}
"""What each kernel adds."""
SERVED = {
    "rx_success_ratio": ("order 3, atomic", BLUE, "o"),
    "huge_success_ratio": ("order 9, one at a time", GREEN, "s"),
    "highalloc_pass1_ratio": ("order 9, most of memory, under load", ORANGE, "^"),
    "highalloc_rest_ratio": ("order 9, most of memory, at rest", VIOLET, "v"),
}
PAID = {
    "reclaimed_pages": ("pages reclaimed", BLUE, "o"),
    "refaults": ("refaults", ORANGE, "^"),
    "moved_pages": ("pages moved by compaction", GREEN, "s"),
}
PLACED = {
    "unusable_index_order9_mean": ("free memory useless to order 9", GREY, "o"),
    "unmovable_blocks_share_end": ("2 MB blocks with a kernel page in them", BLUE, "s"),
}


def interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean, and how far its 95 % interval reaches below and above it."""
    found = mean_interval(values.dropna().to_numpy(np.float64), share=is_share(str(values.name)))
    return (
        float(found.mean),
        float(found.mean - found.low),
        float(found.high - found.mean),
    )


def table(head: str, rows: dict[str, list[str]]) -> None:
    """Print a Markdown table: its heading's cells, then a line for each kernel."""
    print(f"\n{head}\n" + "|---" * head.count("|", 1) + "|")
    for kernel, cells in rows.items():
        print(f"| {kernel} | " + " | ".join(cells) + " |")


def percent(values: pd.Series) -> str:
    """A mean share in percent, exact near 0 and 1."""
    share = 100 * values.mean()
    if np.isnan(share):
        return "-"
    return f"{share:.2f}" if share > 99 and share < 99.995 else f"{share:.1f}".removesuffix(".0")


def served(trials: pd.DataFrame, more: pd.DataFrame | None) -> dict[str, list[str]]:
    """Requests served by order, percent; orders nobody asks for come from the other run."""
    rows = {}
    for kernel, mine in trials.groupby("kernel", sort=False):
        cells = [percent(mine[f"order{order}_success_ratio"]) for order in range(11)]
        if more is not None:
            theirs = more[more["kernel"] == kernel]
            for order in set(theirs["huge.order"]):
                cells[order] = percent(theirs[theirs["huge.order"] == order]["huge_success_ratio"])
        rows[str(kernel)] = cells
    return rows


def steps(trials: pd.DataFrame) -> dict[str, list[str]]:
    """What each kernel serves of what the study asks for, and what it pays a minute."""
    rows = {}
    for kernel, mine in trials.groupby("kernel", sort=False):
        counts = mine[list(PAID)].mean()
        rows[f"{kernel} {STEPS.get(str(kernel), '')}".strip()] = [
            *(f"{percent(mine[name])} %" for name in SERVED),
            *(f"{count:,.0f}" for count in counts),
            f"{percent(mine['unmovable_blocks_share_end'])} %",
        ]
    return rows


def at_hand(trials: pd.DataFrame) -> dict[str, list[str]]:
    """Share of the measured time in which a block of each order was free, percent."""
    return {
        str(kernel): [percent(1 - mine[f"order{order}_absent_share"]) for order in range(11)]
        for kernel, mine in trials.groupby("kernel", sort=False)
    }


def paid(trials: pd.DataFrame) -> dict[str, list[str]]:
    """Stalls, their length, the work of the scanners, and how scattered free memory is."""
    rows = {}
    for kernel, mine in trials.groupby("kernel", sort=False):
        scanned = mine["kswapd_scanned_pages"] + mine["direct_scanned_pages"]
        stalls = mine["stack_stalls"] + mine["user_stalls"] + mine["slab_stalls"]
        rows[str(kernel)] = [
            f"{stalls.mean():.0f}",
            f"{mine['huge_stalls'].mean():.0f}",
            f"{mine['huge_stall_mean_ms'].mean():.1f}",
            f"{scanned.mean():,.0f}",
            f"{mine['compact_scanned_pages'].mean():,.0f}",
            f"{mine['compact_busy_ms'].mean():,.0f}",
            f"{mine['stolen_blocks'].mean():.0f}",
            f"{mine['unusable_index_order3_mean'].mean():.2f}",
            f"{mine['unusable_index_order9_mean'].mean():.2f}",
            percent(1.0 * (mine["huge_free_blocks_end"] == 0)),
            percent(mine["unmovable_share_end"]),
            percent(mine["unmovable_blocks_share_end"]),
        ]
    return rows


def placed(folder: Path | str) -> pd.DataFrame:
    """The trials of a results folder, without the oracle's, and with counts a minute."""
    found = study.read(folder)
    measured_ns = nanoseconds_from(found.manifest["scenario"]["base"]["clock"]["measure"])
    trials = found.trials.copy()
    counts = [name for name in trials if is_count(str(name))]
    trials[counts] *= 60e9 / measured_ns
    if "zone.placement" not in trials:
        return trials
    return trials[trials["zone.placement"] == "buddy"]


def tell(folder: Path, orders: Path | None) -> None:
    """Print the tables of docs/findings.md."""
    trials = placed(folder)
    table(
        "| kernel | order 3, atomic | order 9, one by one | under load | at rest | reclaimed "
        "| refaults | moved | 2 MB blocks with a kernel page |",
        steps(trials),
    )
    head = "| kernel | " + " | ".join(str(order) for order in range(11)) + " |"
    print("\nRequests served, %, by order:")
    table(head, served(trials, placed(orders) if orders else None))
    print("\nA block of the order free, % of the time:")
    table(head, at_hand(trials))
    table(
        "| kernel | stalls | huge stalls | ms each | reclaim scanned | compaction scanned | ms "
        "| stolen | useless to 3 | to 9 | no 2 MB free | kernel pages | blocks with some |",
        paid(trials),
    )


def draw(folder: Path, target: Path) -> None:
    """Write the picture to an SVG file and print the figures that go with it."""
    trials = placed(folder)
    kernels = list(dict.fromkeys(trials["kernel"]))
    places = np.arange(len(kernels))
    mpl.rcParams["svg.hashsalt"] = "history"
    figure, panels = plt.subplots(3, 1, figsize=(9, 8.4), sharex=True)
    for axes, chosen, scale in zip(panels, (SERVED, PAID, PLACED), (100, 1e-3, 100), strict=True):
        for metric, (name, colour, marker) in chosen.items():
            found = [interval(trials[trials["kernel"] == k][metric]) for k in kernels]
            mean, below, above = (np.array(part) * scale for part in zip(*found, strict=True))
            reach = np.stack([below, above])
            axes.errorbar(
                places, mean, reach, color=colour, marker=marker, capsize=3, lw=1.2, label=name
            )
            print(f"{metric:30}", *(f"{m:7.1f}" for m in mean))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("requests served (%)")
    panels[1].set_ylabel("thousands a minute")
    panels[2].set_ylabel("%")
    panels[2].set_xticks(places, kernels, fontsize=8)
    panels[2].set_xlabel("kernel")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
    tell(Path(sys.argv[1]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
