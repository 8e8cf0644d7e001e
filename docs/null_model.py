"""Hold the results of scenarios/null-model.yaml against the closed form and Linus's table.

    python docs/null_model.py results/null-model > null-model.md

For every zone size and order, how many trials lie below the formula's 10, 50 and 90 % points is
tested against the binomial distribution; the p-values are adjusted together (Holm).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

import study

QUANTILES = (0.1, 0.5, 0.9)
ORDERS = (1, 2, 3, 4)
PAGES_PER_MB = 256
LINUS = {
    4: (63, 199, 623),
    64: (66, 1541, 4872),
    128: (66, 2865, 7247),
    256: (66, 5593, 13163),
    512: (66, 10897, 30265),
    1024: (1539, 20664, 67737),
    2048: (1539, 32541, 122437),
    4096: (1539, 38852, 220501),
}
"""Pages freed when the first block of order 1, 2 and 3 was free, by megabytes; a trial a cell."""


def point(q: float, order: int, pages: int) -> float:
    """Pages freed at quantile q of first success, by the closed form."""
    share: float = (1 - (1 - q) ** (2**order / pages)) ** (1 / 2**order)
    return share * pages


def main(folder: Path) -> None:
    """Print the table and the tests, Markdown."""
    trials = study.read(folder).trials
    trials["pages"] = trials["zone.memory"].map(_pages)
    print("| zone | order | trials: 10 % / 50 % / 90 % | closed form | Linus's trial, its rank |")
    print("|---|---|---|---|---|")
    pvalues = []
    for pages, of_size in trials.groupby("pages"):
        megabytes = pages // PAGES_PER_MB
        for order in ORDERS:
            freed = of_size[f"probe_order{order}_freed_pages"].to_numpy()
            found = 100 * np.quantile(freed, QUANTILES) / pages
            formula = [100 * point(q, order, pages) / pages for q in QUANTILES]
            for q in QUANTILES:
                at = np.floor(point(q, order, pages))
                expected = 1 - (1 - (at / pages) ** 2**order) ** (pages / 2**order)
                below = int((freed <= at).sum())
                pvalues.append(stats.binomtest(below, len(freed), expected).pvalue)
            linus = ""
            if order <= 3 and megabytes in LINUS:
                pages_freed = LINUS[megabytes][order - 1]
                rank = 100 * stats.percentileofscore(freed, pages_freed) / 100
                linus = f"{pages_freed:,} ({rank:.0f} %)"
            print(
                f"| {megabytes:,} MB | {order} | {_joined(found)} | {_joined(formula)} | {linus} |"
            )
    adjusted = multipletests(pvalues, alpha=0.01, method="holm")[1]
    print(f"\n{len(pvalues)} tests; smallest p {min(pvalues):.4f}, {min(adjusted):.2f} after Holm")


def _pages(memory: object) -> int:
    from study.scenario.units import pages_from

    return pages_from(memory)


def _joined(percents: list[float] | np.ndarray) -> str:
    return " / ".join(f"{p:.2f}" if p < 2 else f"{p:.1f}" for p in percents) + " %"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
