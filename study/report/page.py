"""report.html: one file that needs nothing else, made from a results folder alone."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from study.report import select
from study.report.colours import INK, LINES, OWNERS, PAPER
from study.report.template import template
from study.results.errors import ResultsError, shell_word
from study.results.expected import nuisance_of
from study.results.files import write_whole
from study.results.folder import REPORT
from study.scenario.machine.requests import by_column, names_of
from study.scenario.matrix import named_axes
from study.scenario.trial import level_name
from study.scenario.write import yaml_text
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from study.results.model import Manifest
    from study.statistics import Findings
    from study.statistics.verdict import Verdict

ROWS_MOST = 1_000
"""Cells in the page's table; summary.csv has all."""
FAILURES_MOST = 20

_STATES = {
    "running": (
        "This run is still going, or was cut off: the page shows the {finished:,} of {trials:,} "
        "trials that were on disk when it was made."
    ),
    "interrupted": (
        "This run was stopped: the page shows the {finished:,} of {trials:,} trials that finished."
    ),
    "failed": "{failed:,} of {trials:,} trials failed; they are listed below and count nowhere.",
}


@dataclass(frozen=True)
class Picture:
    """A figure on the page: safe markup, wide and for a phone; `missing` says why there is none."""

    name: str
    title: str
    alt: str
    caption: str
    wide: str = ""
    narrow: str = ""
    missing: str = ""


def write_report(findings: Findings) -> Path:
    """Write report.html into the results folder; returns where it lies.

    Raises ResultsError if the folder cannot be written.
    """
    path = findings.path / REPORT
    write_whole(path, render(findings))
    return path


def render(findings: Findings) -> str:
    """The page as text. It names no other file and asks no network for anything."""
    from study.statistics.drift import clock_of
    from study.statistics.verdict import TESTED
    from study.statistics.words import statements

    manifest = findings.manifest
    cells = findings.cells
    verdicts = findings.judged()
    labels = findings.labels
    judged = statements(verdicts, labels)
    first = next(iter(cells.values()))
    pictures = [_picture(name, findings) for name in _WORDS]
    # Where no axis has many levels there is no curve to miss.
    pictures = [one for one in pictures if one.name != "curves" or not one.missing]
    text: str = template("report.html.j2").render(
        manifest=manifest,
        state=state_of(manifest),
        verdicts=_by_question(judged, labels),
        judged=len(judged),
        verdict_note=findings.footnote(verdicts),
        counts={
            word: sum(verdict.verdict == word for verdict, _ in judged)
            for word in dict.fromkeys((*TESTED, *(verdict.verdict for verdict, _ in judged)))
        },
        baseline=select.all_levels(first),
        pictures=pictures[1:],
        tradeoff=pictures[0],
        zone_maps=_zone_maps(findings),
        owners=OWNERS,
        answer=findings.answer.text,
        ranking=_ranking(findings),
        drift=findings.drift_lines(),
        ageing=next(iter(clock_of(manifest, "ageing").values())),
        table=_table(findings),
        failures=[
            {"cell": failure["cell"], "with": select.all_levels(cells.get(failure["cell"], {}))}
            | failure
            for failure in manifest["failures"][:FAILURES_MOST]
        ],
        command=_command(manifest["command"]),
        scenario=yaml_text(manifest["scenario"]),
    )
    return text


def _ranking(findings: Findings) -> dict[str, Any]:
    """The levels that a scenario has ranked, best first; empty if it has none ranked."""
    from study.statistics.ranking import ranking_of, refuses_nothing, reproduced, told

    ranking = ranking_of(findings)
    if ranking is None:
        return {}
    if not ranking.refuses:
        return {"note": refuses_nothing(ranking), "rows": []}
    return {
        "note": reproduced(ranking, findings.manifest),
        "rows": told(ranking, findings.manifest),
    }


def state_of(manifest: Manifest) -> str:
    """What a reader must know before trusting the page; nothing for a complete run."""
    counts = manifest["counts"]
    text = _STATES.get(manifest["state"], "").format(**counts)
    if not counts["finished"]:
        text = "No trial has finished yet: there is nothing to show."
    return text


def svg(figure: Figure, *, title: str) -> str:
    """A figure as inline SVG that takes the page's colours and scales with it."""
    from study.report.figures import house_style

    file = io.StringIO()
    with house_style():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, name in ((INK, "currentColor"), (LINES, "var(--lines)"), (PAPER, "var(--paper)")):
        text = re.sub(colour, name, text, flags=re.IGNORECASE)
    # Ids are shared by the page: each figure has its own.
    prefix = re.sub(r"\W", "-", title)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Tenths of a point are enough, and halve the file.
    text = re.sub(r"(?<!\d)(\d{1,12}\.\d\d)\d+", r"\1", text)
    return re.sub(r'\A(<svg[^>]*?) width="[^"]*"', r'\1 aria-hidden="true"', text, count=1)


@dataclass(frozen=True)
class _Words:
    title: str
    alt: str
    caption: str
    held: Literal["policies", "others", "baseline"] = "baseline"
    """What the figure does with the axes that it does not show."""


_WORDS = {
    "tradeoff": _Words(
        title="What service costs",
        alt="Scatter plot of receive buffers served in per cent against pages reclaimed, evicted "
        "or moved and against refaults, one mark for each policy with 95 % intervals.",
        caption="Up is better, left is cheaper. Each mark is one policy; bars are 95 % intervals "
        "over replicates, cut at the edge. Not grey: no other policy shown serves as much for no "
        "more of every cost (pages taken, refaults), judged by the means.",
        held="policies",
    ),
    "curves": _Words(
        title="Along an axis",
        alt="Requests served, pages reclaimed and refaults against the levels of each axis with "
        "five levels or more, with intervals of 95 %.",
        caption="Means over replicates at each level, and over the cells in which all else is "
        "equal; band or bar is the 95 % interval of each mean by itself.",
        held="others",
    ),
    "forest": _Words(
        title="What each setting changes",
        alt="Forest plot: for each level of each axis the difference from the axis's first level "
        "in requests served, pages reclaimed and refaults, with 95 % intervals.",
        caption="What changes when a setting goes from the first of its levels to another, over "
        "the cells in which all else is equal, paired by replicate: both met the same load"
        "{nuisance}. Below each mark: the difference and its 95 % interval, not corrected for "
        "their number. "
        "Blue: the interval leaves out 0. An arrow: it lies further out.",
        held="others",
    ),
    "success": _Words(
        title="Which requests are served",
        alt="Share of requests served in per cent for each order that is asked for, by policy.",
        caption="Requests for 2^order neighbouring pages that got them. Bars are 95 % intervals "
        "over replicates; without one all replicates are alike. Requests that may sleep wait and "
        "are served late rather than refused.",
        held="policies",
    ),
    "buddyinfo": _Words(
        title="Free memory over time, by order",
        alt="Stacked areas of free pages by order of their block over uptime, one panel "
        "for each of a few cells.",
        caption="/proc/buddyinfo, as pages: mean over replicates. Each panel but the baseline's "
        "names what differs from it. Warm colours are orders 0 to 2. Where one panel has far more "
        "free pages than another, each has a scale of its own. Dotted: the measured phase begins.",
    ),
    "indices": _Words(
        title="Fragmentation over time",
        alt="Lines of the unusable free space index and the fragmentation index of "
        "order 6 over uptime, one line for each of a few cells.",
        caption="The kernel's own indices (mm/vmstat.c), mean over replicates. The first: the "
        "share of free memory that lies in blocks too small for the first cell's card. The second: "
        "why a request of order 6 would fail, at the times when it would. Dotted: the measured "
        "phase begins.",
    ),
}


def _picture(name: str, findings: Findings) -> Picture:
    from study.report.figures import FIGURES, PAGE, PHONE

    kind, words = FIGURES[name], _WORDS[name]
    try:
        gathered = kind.gather(findings)
    except ResultsError as reason:
        return Picture(name, words.title, "", "", missing=str(reason))
    wide, narrow = (
        svg(kind.draw(gathered, sheet), title=f"{name}-{way}")
        for way, sheet in (("wide", PAGE), ("narrow", PHONE))
    )
    alt = f"{words.alt} {kind.describe(gathered)}"
    nuisance = nuisance_of(findings.manifest)
    apart = f", but for levels of {' and '.join(nuisance)}, of which each has its own"
    said = words.caption.replace("{nuisance}", apart if nuisance else "")
    caption = f"{said} {_held(findings, words.held)}"
    return Picture(name, words.title, alt, caption, wide, narrow)


def _by_question(
    judged: list[tuple[Verdict, str]], labels: Mapping[str, str]
) -> list[tuple[str, list[tuple[Verdict, str]]]]:
    """Verdicts by what they are about, in the order of the claims."""
    from study.statistics.words import in_words

    found: dict[str, list[tuple[Verdict, str]]] = {}
    for verdict, evidence in judged:
        question = in_words(verdict.metric, labels)
        found.setdefault(question[:1].upper() + question[1:], []).append((verdict, evidence))
    return list(found.items())


def _zone_maps(findings: Findings) -> list[dict[str, Any]]:
    from study.report.zone_map import MOMENTS, moments, page_counts, png, read_zone_maps

    cells = findings.cells
    found = []
    for kept in read_zone_maps(findings.folder):
        if kept.cell not in cells:
            continue
        title = select.difference_from_first(cells, kept.cell)
        pictures = [
            (moment, *png(owners), f"{title}, {moment}: {page_counts(owners)}")
            for moment, owners in moments(kept.owners).items()
        ]
        worn = len(pictures) == len(MOMENTS)
        found.append({"title": title, "cell": kept.cell, "pictures": pictures, "worn": worn})
    return found


_COLUMNS = (
    *("rx_success_ratio", "tx_success_ratio", "unusable_index_order3_mean"),
    *("reclaimed_pages", "moved_pages", "refaults", "time_lost_share"),
)
"""Metrics in the page's table; shares in per cent."""
_REQUESTS_MOST = 3
"""Requests by name in it, before them."""


def _held(findings: Findings, how: str) -> str:
    """What a figure holds fixed, in a sentence or two."""
    cells, scenario = findings.cells, findings.manifest["scenario"]
    named = named_axes(scenario)
    first = next(iter(cells.values()))
    kernel = scenario["base"]["kernel"]
    rest = "the load of the scenario" if "kernel" in first else f"kernel {kernel} and its load"
    if how == "others":
        averaged = "Other axes are averaged over; held" if len(first) > 1 else "Held"
        return f"{averaged}: {rest}."
    if how == "baseline":
        return f"Held, but for what is named: the levels of the baseline, {rest}."
    shown = select.compared_cells(cells, named)
    same = [
        f"{axis} {level_name(first[axis])}"
        for axis in first
        if len({level_name(levels.get(axis)) for levels in shown.values()}) == 1
    ]
    text = f"Held in all marks: {', '.join([*same, rest])}."
    if len(shown) < len(cells):
        text += f" {len(cells) - len(shown):,} other cells are in the table."
    return text


def _table(findings: Findings) -> dict[str, Any]:
    """Header and rows of the table of all cells; a number comes with its half-width."""
    cells = findings.cells
    axes = list(dict.fromkeys(axis for levels in cells.values() for axis in levels))
    summary, labels = findings.summary, findings.labels
    by_name = [
        f"{column}_served_ratio" for column in by_column(names_of(findings.manifest["scenario"]))
    ]
    # A column in which no cell has a value says nothing.
    measured = set(summary.loc[summary["mean"].notna(), "metric"])
    columns = [name for name in (*by_name[:_REQUESTS_MOST], *_COLUMNS) if name in measured]
    wanted = summary[summary["metric"].isin(columns)]
    by_place = {
        (row["cell"], row["metric"]): row
        for row in wanted[["cell", "metric", "n", "mean", "low", "high"]].to_dict("records")
    }
    rows: list[dict[str, Any]] = []
    for cell, levels in list(cells.items())[:ROWS_MOST]:
        numbers = [_number(by_place.get((cell, name)), share=is_share(name)) for name in columns]
        n = max(
            (by_place[cell, name]["n"] for name in columns if (cell, name) in by_place),
            default=0,
        )
        rows.append(
            {
                "cell": cell,
                "levels": [level_name(levels.get(axis)) for axis in axes],
                "n": int(n),
                "numbers": numbers,
            }
        )
    return {
        "axes": axes,
        "metrics": [labels[name] + " (%)" * is_share(name) for name in columns],
        "rows": rows,
        "example": " ".join(rows[-1]["levels"][:2]),
        "left_out": max(len(cells) - ROWS_MOST, 0),
    }


def _number(row: dict[Any, Any] | None, *, share: bool) -> dict[str, Any]:
    if row is None or not isfinite(row["mean"]):
        return {"sort": "", "text": "-", "half": ""}
    factor, places = (100.0, 2) if share else (1.0, 0)
    mean, low, high = (factor * row[name] for name in ("mean", "low", "high"))
    text, half = f"{mean:,.{places}f}", ""
    least = 10.0**-places
    if isfinite(high - low) and low < high and mean in (low, high):
        # As of shares that are all 1: there is no more than that on the other side.
        sign, end = ("≥", low) if mean == high else ("≤", high)
        half = f"{sign}{end:,.{places}f}"
    elif isfinite(high - low):
        half = f"±{(high - low) / 2:,.{places}f}"
        if 0 < (high - low) / 2 < least / 2:
            half = f"±<{least:.{places}f}"
    if share and mean != 100 and text == "100.00":
        text = ">99.99"
    return {"sort": repr(float(mean)), "text": text, "half": half}


def _command(words: Sequence[str]) -> str:
    """What was typed, whatever environment the program was installed in."""
    first, *rest = words or ("",)
    return " ".join(map(shell_word, [first.rpartition("/")[2], *rest]))
