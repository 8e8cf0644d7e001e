"""Draw what each kernel since 2.6.8 gets in high-order blocks, and what it pays.

python docs/history.py results/history docs/history.svg       (needs matplotlib)
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from scipy import stats

mpl.use("svg")
from matplotlib import pyplot as plt

BLUE, ORANGE, GREEN, VIOLET, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
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


def interval(values: pd.Series) -> tuple[float, float]:
    """Mean and half of its 95 % interval (Student's t)."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.sem() if len(values) > 1 else 0.0
    return float(values.mean()), float(half)


def draw(folder: Path, target: Path) -> None:
    """Write the picture to an SVG file and print the figures that go with it."""
    trials = pd.read_parquet(folder / "trials")
    trials = trials[trials["zone.placement"] == "buddy"]
    kernels = list(dict.fromkeys(trials["kernel"]))
    places = np.arange(len(kernels))
    figure, panels = plt.subplots(3, 1, figsize=(9, 8.4), sharex=True)
    for axes, chosen, scale in zip(panels, (SERVED, PAID, PLACED), (100, 1e-3, 100), strict=True):
        for metric, (name, colour, marker) in chosen.items():
            found = [interval(trials[trials["kernel"] == k][metric]) for k in kernels]
            mean, half = (np.array(part) * scale for part in zip(*found, strict=True))
            axes.errorbar(
                places, mean, half, color=colour, marker=marker, capsize=3, lw=1.2, label=name
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
    figure.savefig(target)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
