"""Draw how an empty-handed zone wears, and set its free lists beside the article's line.

python docs/wear.py worn docs/wear.svg       (needs matplotlib; docs/fidelity.md says what worn is)
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("svg")
from matplotlib import pyplot as plt

ARTICLE = np.array([258, 9, 5, 0, 1, 2, 0, 1, 1, 0, 0])
ORDERS = np.arange(11)
BLUE, ORANGE = "#0072B2", "#D55E00"


def useful_shares(blocks: np.ndarray) -> np.ndarray:
    """Share of the free pages that lie in blocks of order k or more, for every k (last axis)."""
    pages = blocks << ORDERS
    whole = pages.sum(axis=-1, keepdims=True)
    result: np.ndarray = pages[..., ::-1].cumsum(axis=-1)[..., ::-1] / whole
    return result


def draw(folder: Path, target: Path) -> None:
    """Write the picture to an SVG file and print the figures that go with it."""
    series = pd.read_parquet(folder / "series")
    names = [f"nr_free{order}" for order in ORDERS]
    minutes = series["time_ns"].to_numpy() / 60e9
    useless = pd.DataFrame(
        {
            "replicate": series["replicate"],
            "minute": np.floor(minutes),
            "share": 100 * (1 - useful_shares(series[names].to_numpy(np.int64))[:, 3]),
        }
    )
    by_minute = useless.groupby(["minute", "replicate"])["share"].mean().unstack()
    # The last look falls into a minute of its own.
    by_minute = by_minute.iloc[:-1]
    last = series.sort_values("time_ns").groupby("replicate")[names].last().to_numpy(np.int64)
    shares = 100 * useful_shares(last)

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    mean = by_minute.mean(axis=1)
    low, high = by_minute.quantile(0.1, axis=1), by_minute.quantile(0.9, axis=1)
    left.fill_between(by_minute.index + 0.5, low, high, color=BLUE, alpha=0.2, lw=0)
    left.plot(by_minute.index + 0.5, mean, color=BLUE, label="simulated: mean, 10 to 90 %")
    left.axhline(100 * (1 - useful_shares(ARTICLE)[3]), color=ORANGE, ls="--", label="the article")
    left.set_xlabel("simulated minutes since start")
    left.set_ylabel("free memory useless to order 3 (%)")
    left.set_ylim(0, 100)
    for line in shares:
        right.plot(ORDERS, line, color=BLUE, alpha=0.2, lw=1)
    right.plot(ORDERS, shares.mean(axis=0), color=BLUE, lw=2)
    right.plot(ORDERS, 100 * useful_shares(ARTICLE), color=ORANGE, ls="--", marker="o")
    right.set_xlabel("order k")
    right.set_ylabel("free pages in order k or more (%)")
    right.set_xticks(ORDERS)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(target)

    level = float(mean.iloc[len(mean) // 2 :].mean())
    worn = mean.index[mean >= 0.9 * level][0] + 1
    print(f"level of the second half: {level:.1f} %; nine tenths of it within {worn:.0f} minutes")
    print(f"single pages and pairs: {last[:, :2].mean(axis=0).round()} blocks")
    print(f"share in blocks of order k or more: {shares.mean(axis=0).round()}")
    print(f"the article's:                      {(100 * useful_shares(ARTICLE)).round()}")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
