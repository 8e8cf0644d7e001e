"""Run docs/picture.yaml and draw the README's picture: python docs/picture.py [RESULTS].

RESULTS is a folder of its results: one that is not there is made, one that is there is read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import study
from study.report.colours import INK, LINES, SERIES
from study.report.figures.sheet import Sheet, house_style

DOCS = Path(__file__).resolve().parent
CHANGES = {
    "nothing": "Linux 2.6.8 as it was",
    "doubled-marks": "min_free_kbytes doubled",
    "order-aware": "kswapd looks at block sizes",
    "empty-blocks": "kswapd empties whole blocks",
}
PAGE_MB = 4096 / 1e6
PANELS = {
    "rx_success_ratio": (
        "Receive buffers\nrefused, of 100",
        lambda share: 100 * (1 - share),
        "{:.1f}",
    ),
    "refaults": ("Pages read back,\nthousands a minute", lambda x: x / 1000, "{:.0f}"),
    "machine_free_pages_mean": ("Memory kept\nfree, MB", lambda x: x * PAGE_MB, "{:.1f}"),
}
"""Metric: title, what is drawn of it, how it is written."""


def draw(summary, target: Path) -> None:
    """A row for each change, a panel for each question, every figure written beside its mark."""
    names = list(CHANGES)
    with house_style():
        figure, panels = Sheet(width=6.4, columns=3).panels(3, height=2.0, rest=0.0, sharey=True)
        for panel, (metric, (title, shown, form)) in zip(panels, PANELS.items(), strict=True):
            rows = summary[summary["metric"] == metric].set_index("change").loc[names]
            for place, (change, row) in enumerate(rows.iterrows()):
                colour = INK if change == "nothing" else SERIES[4]
                ends = sorted(shown(row[end]) for end in ("low", "high"))
                # Of what no replicate showed the interval is a bound, not a spread.
                if row["sd"] > 0:
                    panel.plot(
                        ends, [place, place], color=colour, linewidth=2, solid_capstyle="butt"
                    )
                panel.plot(shown(row["mean"]), place, "o", color=colour, markersize=6)
                panel.annotate(
                    form.format(shown(row["mean"])) if shown(row["mean"]) else "none",
                    (shown(row["mean"]), place),
                    xytext=(0, 6), textcoords="offset points", ha="center", color=colour,
                )  # fmt: skip
            panel.set_title(title)
            spread = rows[rows["sd"] > 0]
            most = max(shown(spread[end]).max() for end in ("low", "high"))
            panel.set_xlim(-0.12 * most, 1.15 * most)
            panel.axvline(0, color=LINES, linewidth=0.8, zorder=0)
            panel.spines[:].set_visible(False)
            panel.set_yticks(range(len(names)), [CHANGES[name] for name in names])
            panel.set_ylim(len(names) - 0.5, -0.7)
            panel.tick_params(length=0, labelcolor=INK)
            panel.set_xticks([])
            panel.grid(visible=False, axis="y")
        figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    [folder] = sys.argv[1:] or ["results/picture"]
    there = Path(folder, "manifest.json").exists()
    results = study.read(folder) if there else study.run(DOCS / "picture.yaml", out=folder)
    draw(results.summary, DOCS / "picture.svg")
    print(DOCS / "picture.svg")
