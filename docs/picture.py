"""Draw the README's picture from the results of scenarios/article.yaml.

    python docs/picture.py results/article docs/article.svg       (needs matplotlib)

Only the cells in which the card receives into order-3 blocks and copies what it sends: the ones
whose requests a policy can make fail or succeed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from scipy import stats

import study

mpl.use("svg")
from matplotlib import pyplot as plt

# Wong's palette: told apart with every kind of colour vision.
STYLES = {
    "off": ("none", "#000000", "o"),
    "rmap-evict daemon": ("evict, daemon", "#E69F00", "s"),
    "rmap-evict inline": ("evict, inline", "#D55E00", "D"),
    "rmap-migrate daemon": ("migrate, daemon", "#56B4E9", "^"),
    "rmap-migrate inline": ("migrate, inline", "#0072B2", "v"),
}


def half_width(values: pd.Series) -> float:
    """Half of the 95 % interval of a mean (Student)."""
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def draw(folder: Path, target: Path) -> None:
    """Write the picture of one results folder to an SVG file."""
    trials = study.read(folder).trials
    demand = (trials["nic.receive"] == "linear") & (trials["nic.transmit"] == "linear")
    demand &= trials["processes.fork_rate"] == "20/s"
    trials = trials[demand & (trials["stacks.size"] == "8KiB")].copy()
    trials["defrag"] = trials["defrag.mode"].where(
        trials["defrag.mode"] == "off", trials["defrag.mode"] + " " + trials["defrag.run"]
    )
    trials["failed"] = 100 * (1 - trials["rx_success_ratio"])
    trials["moved"] = trials["defrag_moved_pages"] / 1000
    trials["thrown"] = trials["refaults_after_defrag"] / 1000
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for (policy, defrag), cell in trials.groupby(["kswapd.policy", "defrag"]):
        label, colour, marker = STYLES[defrag]
        for axes, cost in ((left, "moved"), (right, "thrown")):
            axes.errorbar(
                cell[cost].mean(),
                cell["failed"].mean(),
                xerr=half_width(cell[cost]),
                yerr=half_width(cell["failed"]),
                fmt=marker,
                color=colour,
                markerfacecolor=colour if policy == "order-aware" else "white",
                markersize=8,
                capsize=2,
                label=label if policy == "order-aware" else None,
            )
    left.set_ylabel("order-3 receive buffers refused (%)")
    left.set_ylim(bottom=0)
    left.set_xlabel("pages evicted or migrated per minute (thousands)")
    right.set_xlabel("refaults of pages the defragmenter threw out\n(thousands per minute)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    right.legend(title="rmap defragmenter", frameon=False, fontsize=9, loc="upper right")
    left.set_title("filled: order-aware kswapd; open: count-only", fontsize=10, loc="left")
    figure.tight_layout()
    figure.savefig(target)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
