"""Hold simulated zones against machines that ran 2.6.8, 2.6.10 and 2.6.11-rc5.

    study run scenarios/validation/machines.yaml --out results/machines
    python docs/validation.py results/machines

Prints a table for each recorded run, Markdown: what the machine did (docs/validation.csv), the mean
of the simulated seeds, and between what 95 % of them lie.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pandas as pd

import study

FIGURES = {
    "refusals": "receive buffers refused a frame",
    "order3_blocks": "free blocks of order 3",
    "single_pages": "free single pages",
    "free_pages": "free pages",
    "direct_share": "share reclaimed by who asks",
    "refaults": "refaults a second",
    "reclaimed": "pages reclaimed a second",
    "dma_free": "free pages of zone DMA",
    "dma_reclaimed": "pages reclaimed a second from zone DMA",
}
NEAR = 0.15
"""The real figure agrees if it is so near the simulated mean, or within 95 % of the seeds, or if
the mean lies within what other seeds of the machine gave."""
REAL_SPREADS = {
    ("e268z", "refusals"): (0.23, 0.29),
    ("e2610s", "refusals"): (0.006, 0.012),
    ("e2611s", "refusals"): (0.020, 0.040),
}
"""Lowest and highest of several seeds of the machine, where there were any."""


def simulated(trials: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The figures of each trial, as they are counted on a machine."""
    frames = trials["frames_received"] + trials["frames_dropped"]
    return pd.DataFrame(
        {
            "run": trials["run"],
            "refusals": trials["rx_failures"] / frames,
            "order3_blocks": trials["free_order3_blocks_mean"],
            "single_pages": trials["free_order0_blocks_mean"],
            "free_pages": trials["free_pages_mean"],
            "direct_share": trials["direct_reclaimed_pages"] / trials["reclaimed_pages"],
            "refaults": trials["refaults"] / seconds,
            "reclaimed": trials["reclaimed_pages"] / seconds,
            "dma_free": trials["dma_free_pages_mean"],
            "dma_reclaimed": trials["dma_reclaimed_pages"] / seconds,
        }
    )


def verdict(run: str, figure: str, real: float, values: pd.Series) -> str:
    """How the real figure agrees with the simulated ones, or that it does not."""
    low, high = values.quantile(0.025), values.quantile(0.975)
    mean = values.mean()
    if low <= real <= high:
        return "within the seeds"
    if abs(real - mean) <= NEAR * abs(mean):
        return "within 15 %"
    least, most = REAL_SPREADS.get((run, figure), (real, real))
    if least <= mean <= most:
        return "within the machine's seeds"
    return "**no**"


def main(folder: Path) -> None:
    """Print the tables and how many figures agree."""
    results = study.read(folder)
    trials = results.trials[results.trials["status"] == "ok"]
    found = simulated(trials, 100.0)
    real = pd.read_csv(Path(__file__).with_name("validation.csv"), index_col="run")
    agree = asked = 0
    for run, of_run in found.groupby("run", sort=False):
        print(f"### {run}: {real.loc[run, 'what']}\n")
        print(f"| figure | machine | simulated, {len(of_run)} seeds | 95 % of them | agrees |")
        print("|---|---|---|---|---|")
        for figure, words in FIGURES.items():
            values, value = of_run[figure], float(real.loc[run, figure])
            if math.isnan(value):
                continue  # the machine had no zone DMA
            asked += 1
            says = verdict(str(run), figure, value, values)
            agree += says != "**no**"
            low, high = values.quantile(0.025), values.quantile(0.975)
            between = f"{values.mean():.4g} | {low:.4g}-{high:.4g}"
            print(f"| {words} | {value:.4g} | {between} | {says} |")
        print()
    print(f"{agree} of {asked} figures agree.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
