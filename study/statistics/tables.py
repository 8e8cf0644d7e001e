"""The results as a person reads them in a terminal of 80 columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from study.results.errors import ResultsError
from study.results.summary import axis_and_metric_names
from study.scenario.errors import did_you_mean
from study.statistics.effects import Effect, main_effects
from study.statistics.findings import Findings, alpha_of, plain_verdicts
from study.statistics.sensitivity import first_that_varies, sampled_axes, sensitivity

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType
    from rich.table import Table

    from study.results.read import TrialColumns

_HEADLINES = 10
_LEVELS = 4
_LABEL_LETTERS = 34
_FAILURES_SHOWN = 5


def result_parts(results: Findings) -> Iterator[RenderableType]:
    """The question, the verdicts, what each axis does to the headline metrics, and what failed."""
    from rich.padding import Padding
    from rich.text import Text

    from study.statistics.words import verdict_parts

    manifest = results.manifest
    yield Text()
    if manifest["question"]:
        yield Padding(Text(manifest["question"].strip(), style="bold"), (0, 0, 1, 0))
    yield from verdict_parts(results.judged(), alpha=alpha_of(manifest))
    trials, cells = results.columns, manifest["cells"]
    ranges = sampled_axes(manifest)
    axes = [axis for axis in axis_and_metric_names(trials)[0] if axis not in ranges]
    headline = headline_of(results)
    nowhere = [label for name, label in headline if (trials[name].fillna(0) == 0).all()]
    headline = [(name, label) for name, label in headline if label not in nowhere]
    tables = list(_axis_tables(trials, cells, axes, headline)) if headline else []
    for index, table in enumerate(tables):
        yield Padding(table, (1 if index else 0, 0, 0, 0))
    if ranges:
        for metric in first_that_varies(results):
            yield from sensitivity_parts(sensitivity(results, metric))
    elif headline and not tables:
        yield _plain_table(results, headline)
    if tables:
        yield Text(
            "Means over cells and replicates ± half of the 95 % interval. ▲ ▼: above or below "
            "the first level, replicates paired, 5 % for all marks together (Holm).",
            style="dim",
        )
    if nowhere:
        yield Text(f"Nowhere: {', '.join(nowhere)}.", style="dim")
    yield from failures(results)


def _axis_tables(
    trials: TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Sequence[str],
    headline: Sequence[tuple[str, str]],
) -> Iterator[Table]:
    """What each axis of more than one level does to the headline metrics, a table each."""
    metrics = [name for name, _ in headline]
    marks = _marks(trials, cells, axes, metrics)
    for axis in axes:
        effects, matched = main_effects(trials, axis=axis, metrics=metrics, cells=cells)
        if len({str(effect.level) for effect in effects}) > 1:
            yield _axis_table(axis, effects, matched, headline, marks)


def _marks(
    trials: TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Sequence[str],
    metrics: Sequence[str],
) -> dict[tuple[str, str, Any], str]:
    """(metric, axis, level) -> ▲ or ▼ where it differs from the first level of its axis."""
    from study.statistics.contrasts import significant_levels

    found = significant_levels(trials, cells=cells, axes=axes, metrics=metrics)
    return {place: "▲" if difference > 0 else "▼" for place, difference in found.items()}


def failures(results: Findings) -> Iterator[RenderableType]:
    """The first few failed trials and why; nothing if none failed."""
    from rich.text import Text

    counts, listed = results.manifest["counts"], results.manifest["failures"]
    if not counts["failed"]:
        return
    yield Text(f"\n{counts['failed']} of {counts['finished']} trials failed:", style="bold red")
    for failure in listed[:_FAILURES_SHOWN]:
        levels = results.manifest["cells"][failure["cell"]]
        where = "".join(f", {axis}={named(level)}" for axis, level in levels.items())
        yield Text(f"  cell {failure['cell']}{where}, replicate {failure['replicate']}:")
        yield Text(f"    {failure['error']}", style="red")
    if counts["failed"] > len(listed[:_FAILURES_SHOWN]):
        yield Text(f"  ... all of them: column `error` of {results.place}/trials", style="red")


def records(*tables: pd.DataFrame) -> str:
    """Rows of tables as a JSON list of objects; what is not a number there is null."""
    rows = [row for table in tables for row in json.loads(table.to_json(orient="records"))]
    return json.dumps(rows, indent=2)


def chosen_contrasts(
    results: Findings, *, metrics: Sequence[str], axes: Sequence[str], each_cell: bool
) -> pd.DataFrame:
    """Contrasts of the metrics and axes that are named, as in contrasts.csv.

    Unless named, metrics are those of the headline. Raises ResultsError for an unknown name.
    """
    known_axes, known = axis_and_metric_names(results.columns)
    for name, names, what in [(n, known, "metric") for n in metrics] + [
        (n, known_axes, "axis") for n in axes
    ]:
        if name not in names:
            raise ResultsError(f"{name} is no {what} of {results.place}{did_you_mean(name, names)}")
    table = results.contrasts
    wanted = table["metric"].isin(list(metrics) or [name for name, _ in headline_of(results)])
    wanted &= table["axis"].isin(list(axes) or known_axes)
    wanted &= table["kind"] == ("cell" if each_cell else "axis")
    return table[wanted]


def contrast_parts(
    results: Findings, chosen: pd.DataFrame, *, each_cell: bool
) -> Iterator[RenderableType]:
    """One table of contrasts for each two levels or cells.

    chosen  what chosen_contrasts gave
    """
    from rich.text import Text

    if chosen.empty:
        yield Text("Nothing to compare: no axis has two levels with a finished trial.")
        return
    labels = dict(headline_of(results))
    groups = chosen.groupby(
        ["axis", "level", "against", "cell", "cell_against"], sort=False, dropna=False
    )
    for (axis, level, against, cell, _), rows in groups:
        matched = int(rows["cells"].max())
        where = f"  ({matched} matched cell{'s' * (matched != 1)})"
        if each_cell:
            levels = results.manifest["cells"][cell]
            where = "\n" + ", ".join(f"{k}={named(v)}" for k, v in levels.items() if k != axis)
        title = Text.assemble(
            (str(axis), "bold cyan"), f": {named(level)} less {named(against)}", where
        )
        yield _contrast_table(title, rows, labels)
        for note, noted in rows[rows["note"] != ""].groupby("note", sort=False)["metric"]:
            told = ", ".join(labels.get(name, name) for name in noted)
            yield Text(f"{note}: {told}", style="dim")
    yield Text(
        "Paired differences and half of their 95 % interval; geometric mean of paired ratios; "
        "Hedges' g; p after Holm's correction; how many times fewer trials pairing needs.",
        style="dim",
    )


def _contrast_table(title: Any, rows: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    from rich.text import Text

    table = _table(title)
    table.add_column("", max_width=_LABEL_LETTERS, overflow="fold")
    for name in ("difference", "ratio", "effect", "p Holm", "pairing"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        difference = with_half(row["difference"], half=row["high"] - row["difference"])
        table.add_row(
            Text(labels.get(row["metric"], row["metric"])),
            difference if row["n"] else "-",
            _short(row["ratio"], ".3f"),
            _short(row["effect"], "+.2f"),
            "<.0001" if row["p_holm"] < 1e-4 else _short(row["p_holm"], ".4f"),
            _short(row["pairing"], ".1f"),
        )
    return table


def tradeoff_parts(
    table: pd.DataFrame, axes: Sequence[str], *, everything: bool = False
) -> Iterator[RenderableType]:
    """The cells that no other beats in service and all costs, best service first.

    table  as tradeoff() makes it
    """
    from rich.text import Text

    from study.statistics.tradeoff import front_rows, varying

    axes = varying(table, axes)
    rows = table.sort_values("gain", ascending=False) if everything else front_rows(table)
    if rows.empty:
        yield Text("No cell has a value of service and of every cost.")
        return
    # The levels of a cell are too long for a column: they stand above its figures.
    names = ("served", "pages taken", "refaults", "time lost")
    if axes:
        yield Text(", ".join(axes), style="dim")
    yield Text("".join(f"{name:>18}" for name in names) + f"{'sure':>7}", style="bold cyan")
    for row in rows.to_dict("records"):
        means = [
            with_half(row[name], half=(row[f"{name}_high"] - row[f"{name}_low"]) / 2)
            for name in ("gain", "pages_taken", "refaults", "time_lost_share")
        ]
        sure = f"{row['on_front']:.0%}" if isfinite(row["on_front"]) else "-"
        label = ", ".join(named(row[axis]) for axis in axes)
        if row.get("alike"):
            label += f" (and {row['alike']} alike)"
        yield Text(label)
        yield Text("".join(f"{mean:>18}" for mean in means) + f"{sure:>7}")
    yield Text(
        f"{len(rows)} of {len(table)} cells, mean ± half of the 95 % interval (±0: the same in all "
        "replicates). Served: share of receive buffers. Taken: reclaimed, evicted, migrated. Time "
        "lost: share of all time. Sure: in how many of 1,000 draws of replicates no other cell "
        "serves as much at no more of any cost.",
        style="dim",
    )


def sensitivity_parts(table: pd.DataFrame) -> Iterator[RenderableType]:
    """Sobol's indices of one metric, the largest total first.

    table  as sensitivity() makes it
    """
    from rich.text import Text

    axes = list(table.columns[: list(table.columns).index("axis")])
    for levels, rows in table.groupby(axes, sort=False) if axes else [((), table)]:
        others = ", ".join(
            f"{axis} {named(level)}" for axis, level in zip(axes, levels, strict=True)
        )
        metric, points = rows["metric"].iloc[0], rows["points"].iloc[0]
        n = int(rows["replicates"].iloc[0])
        title = f"  {points} points, {n} replicate{'s' * (n != 1)}"
        shown = _table(
            Text.assemble((str(metric), "bold cyan"), f"{', ' * bool(others)}{others}", title)
        )
        shown.add_column("", overflow="fold")
        for name in ("first", "total", "trend"):
            shown.add_column(name, justify="right", no_wrap=True)
        by = "total" if rows["total"].notna().any() else "first"
        for row in rows.sort_values(by, ascending=False).to_dict("records"):
            indices = [
                with_half(row[name], half=row[f"{name}_high"] - row[name])
                for name in ("first", "total")
            ]
            shown.add_row(row["axis"], *indices, _short(row["trend"], "+.2f"))
        yield shown
        for note in rows["note"].unique():
            if note:
                yield Text(note, style="yellow")
    yield Text(
        "first: share of the variance that goes once this is known; total: that stays while it "
        "alone is unknown (± half of the 95 % interval). trend: rank correlation.",
        style="dim",
    )


def _short(value: float, form: str) -> str:
    if not isfinite(value):
        return "-"
    return format(value, form) if abs(value) < 1e4 else f"{value:.0e}"


def outline(results: Findings) -> dict[str, Any]:
    """The same for machines: how the run ended, and every main effect on the headline metrics."""
    manifest = results.manifest
    axes, _ = axis_and_metric_names(results.columns)
    names = [name for name, _ in headline_of(results)]
    effects = [
        effect
        for axis in axes
        for effect in main_effects(
            results.columns, axis=axis, metrics=names, cells=manifest["cells"]
        )[0]
    ]
    return {
        "path": results.place,
        "name": manifest["name"],
        "state": manifest["state"],
        "fingerprint": manifest["fingerprint"],
        "counts": manifest["counts"],
        "elapsed_s": manifest.get("elapsed_s"),
        "failures": manifest["failures"],
        "verdicts": plain_verdicts(results.judged()),
        "effects": [
            {
                name: value if not isinstance(value, float) or isfinite(value) else None
                for name, value in vars(effect).items()
            }
            for effect in effects
        ],
    }


def headline_of(results: Findings) -> list[tuple[str, str]]:
    """(metric, label) to show first: those the simulation names, else the first few there are.

    A metric without a single value was not asked for in this study, and is left out.
    """
    trials = results.columns
    _, metrics = axis_and_metric_names(trials)
    headline = [(name, label) for name, label in results.manifest["headline"] if name in metrics]
    named = (pair for pair in headline if trials[pair[0]].notna().any())
    measured = (name for name in metrics if trials[name].notna().any())
    found = list(islice(named, _HEADLINES)) or [
        (name, name) for name in islice(measured, _HEADLINES)
    ]
    return found or headline[:_HEADLINES] or [(name, name) for name in metrics[:_HEADLINES]]


def _axis_table(
    axis: str,
    effects: Sequence[Effect],
    matched: int,
    headline: Sequence[tuple[str, str]],
    marks: Mapping[tuple[str, str, Any], str],
) -> Table:
    from rich.text import Text

    over = "cells that differ in other axes too"
    if matched:
        over = f"{matched} matched cell{'' if matched == 1 else 's'} each"
    levels = list(dict.fromkeys(effect.level for effect in effects))
    table = _table(Text.assemble((str(axis), "bold cyan"), f"  ({over})"))
    by_place = {(effect.metric, effect.level): effect for effect in effects}
    if len(levels) <= _LEVELS:
        table.add_column("", max_width=_LABEL_LETTERS, overflow="fold")
        for level in levels:
            table.add_column(Text(named(level)), justify="right", overflow="fold")
        for metric, label in headline:
            cells = [_cell(by_place[metric, level], marks) for level in levels]
            table.add_row(Text(label), *cells)
        return table
    # Many levels: one row each, and only as many metrics as fit.
    table.add_column("", overflow="fold")
    fitting = headline[:3]
    for _, label in fitting:
        table.add_column(Text(label), justify="right", overflow="fold")
    for level in levels:
        cells = [_cell(by_place[metric, level], marks) for metric, _ in fitting]
        table.add_row(Text(named(level)), *cells)
    return table


def _plain_table(results: Findings, headline: Sequence[tuple[str, str]]) -> Table:
    """A study without axes, or with one level each: the cells as they are."""
    from rich.text import Text

    summary = results.summary
    table = _table(Text("all trials", style="bold cyan"))
    table.add_column("", max_width=_LABEL_LETTERS, overflow="fold")
    ids = list(results.manifest["cells"])[:_LEVELS]
    for cell in ids:
        table.add_column(Text(cell), justify="right", overflow="fold")
    for metric, label in headline:
        of_metric = summary[summary["metric"] == metric].set_index("cell")
        values = [
            with_half(mean, half=high - mean)
            for mean, high in of_metric.loc[ids, ["mean", "high"]].to_numpy()
        ]
        table.add_row(Text(label), *values)
    return table


def _table(title: Any) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        show_edge=False,
    )


def _cell(effect: Effect, marks: Mapping[tuple[str, str, Any], str]) -> str:
    mark = marks.get((effect.metric, effect.axis, effect.level), " ")
    return f"{with_half(effect.mean, half=effect.half)} {mark}"


def named(level: Any) -> str:
    """A level as the scenario has it."""
    return "null" if level is None else str(level)


def with_half(mean: float, *, half: float) -> str:
    """A mean and its half-width, in one unit and to the same decimal, as '20.8k ±2.3k'."""
    if not isfinite(mean):
        return "-"
    factor, unit = _unit(mean)
    if not isfinite(half):
        return digits(mean / factor, 4) + unit
    if half == 0:
        return f"{digits(mean / factor, 4)}{unit} ±0"
    scaled = half / factor
    before_point = len(str(int(abs(mean / factor))))
    decimals = min(max(1 - floor(log10(scaled)), 0), 5 - before_point)
    shown = f"{scaled:.{decimals}f}{unit}"
    if float(f"{scaled:.{decimals}f}") == 0:
        shown = f"<{10.0**-decimals:.{decimals}f}{unit}"
    # "z": what rounds to nothing has no sign.
    return f"{mean / factor:z.{decimals}f}{unit} ±{shown}"


def _unit(value: float) -> tuple[float, str]:
    size = abs(value)
    for limit, factor, unit in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M")):
        if size >= limit:
            return factor, unit
    return (1e3, "k") if size >= 1e4 else (1.0, "")


def digits(value: float, digits: int) -> str:
    """At most so many digits that count, without trailing zeros."""
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1 else f"{value:.0f}"
