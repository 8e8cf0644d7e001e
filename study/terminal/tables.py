"""Results in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from study.results.summary import axis_and_metric_names
from study.scenario.machine.requests import request_labels
from study.scenario.trial import level_name
from study.statistics.contrasts import MARKED_LEAST
from study.statistics.effects import Effect, main_effects
from study.statistics.findings import Findings
from study.statistics.headline import headline_of
from study.statistics.sensitivity import first_that_varies, sampled_axes, sensitivity
from study.statistics.words import digits, with_half, with_interval
from study.terminal.blocks import bare_table, in_blocks
from study.terminal.console import width
from study.terminal.ranking import ranking_parts
from study.terminal.verdicts import verdict_parts
from study.zone.trial.metrics import is_service

if TYPE_CHECKING:
    import pandas as pd

    from study.results.trials import TrialColumns

_LEVELS = 4
_CELLS_MOST = 12
"""Cells of a study without axes that are shown."""
_FAILURES_SHOWN = 5
_LINES_MOST = 6


def result_parts(results: Findings) -> Iterator[RenderableType]:
    """The question, the verdicts, what each axis does to the headline metrics, and what failed."""
    manifest = results.manifest
    yield Text()
    if manifest["question"]:
        yield Padding(Text(manifest["question"].strip(), style="bold"), (0, 0, 1, 0))
    yield from (Text(f"Note: {said}.", style="dim") for said in manifest.get("notes", ()))
    verdicts = results.judged()
    yield from verdict_parts(verdicts, results.footnote(verdicts), results.labels)
    trials, cells = results.columns, results.cells
    ranges = sampled_axes(manifest)
    axes = [axis for axis in axis_and_metric_names(trials)[0] if axis not in ranges]
    headline = headline_of(results)
    nowhere = [label for name, label in headline if _is_nowhere(name, trials[name])]
    headline = [(name, label) for name, label in headline if label not in nowhere]
    tables = list(_axis_tables(trials, cells, axes, headline)) if headline else []
    for index, part in enumerate(tables):
        yield Padding(part, (1 if index and isinstance(part, Table) else 0, 0, 0, 0))
    if ranges:
        for metric in first_that_varies(results):
            yield from sensitivity_parts(sensitivity(results, metric))
    elif headline and not tables:
        yield from _plain_table(results, headline)
    if tables:
        yield Text(
            "Means over cells and replicates ± half of the 95 % interval (±0: the same in all "
            "replicates). ▲ ▼: above or below the first level, replicates paired, 5 % for all "
            "marks "
            "together (Holm).",
            style="dim",
        )
    for line in results.drift_lines():
        yield Text(line, style="yellow")
    if nowhere:
        yield Text(f"Nowhere: {', '.join(nowhere)}.", style="dim")
    yield from failures(results)
    # Last, since that is what stays in sight.
    yield Padding(Text(results.answer.text), (1, 0, 0, 0))
    yield from ranking_parts(results)


def _is_nowhere(name: str, values: pd.Series[float]) -> bool:
    """Did it happen in no trial? That nobody was served of those who asked is a result."""
    if is_service(name):
        return bool(values.isna().all())
    return bool((values.fillna(0) == 0).all())


def _axis_tables(
    trials: TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Sequence[str],
    headline: Sequence[tuple[str, str]],
) -> Iterator[RenderableType]:
    """What each axis of more than one level does to the headline metrics, a table each."""
    metrics = [name for name, _ in headline]
    marks = _marks(trials, cells, axes, metrics)
    for axis in axes:
        effects, matched = main_effects(trials, axis=axis, metrics=metrics, cells=cells)
        if len({str(effect.level) for effect in effects}) > 1:
            yield from _axis_table(axis, effects, matched, headline, marks)
            yield from _beneath(effects, dict(headline), marks, matched=matched > 0)


def _beneath(
    effects: Sequence[Effect],
    labels: Mapping[str, str],
    marks: Mapping[tuple[str, str, Any], str],
    *,
    matched: bool,
) -> Iterator[Text]:
    """What the means of an axis hide: cells that cannot react, and cells that point both ways."""
    apart = dict.fromkeys(
        labels[one.metric] for one in effects if matched and one.over_cells is None
    )
    lines = []
    if apart:
        lines.append(
            "Not compared, for the levels have values under no common setting of the other axes: "
            f"{', '.join(apart)}."
        )
    for effect in effects:
        over = effect.over_cells
        if over is None or effect.replicates < MARKED_LEAST:
            continue
        name = f"{labels[effect.metric]}, {level_name(effect.level)}"
        if over.up and over.down:
            lines.append(
                f"{name}: above in {over.up} of {over.pairs} pairs of cells and below in "
                f"{over.down}, from {_gap(over.least)} to {_gap(over.most)}."
            )
        elif over.constant and (effect.metric, effect.axis, effect.level) in marks:
            lines.append(
                f"{name}: {over.constant} of {over.pairs} pairs of cells never differ in anything; "
                f"{_gap(over.reacting)} in the others."
            )
    if len(lines) > _LINES_MOST:
        lines[_LINES_MOST - 1 :] = [f"{len(lines) - _LINES_MOST + 1} more of the kind."]
    for line in lines:
        yield Text(line, style="dim")


def _gap(value: float) -> str:
    return ("+" if value > 0 else "") + digits(value, 3)


def _marks(
    trials: TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Sequence[str],
    metrics: Sequence[str],
) -> dict[tuple[str, str, Any], str]:
    """(metric, axis, level) -> ▲ or ▼ where it differs from the first level of its axis."""
    from study.statistics.effects import significant_levels

    found = significant_levels(trials, cells=cells, axes=axes, metrics=metrics)
    return {place: "▲" if difference > 0 else "▼" for place, difference in found.items()}


def failures(results: Findings) -> Iterator[RenderableType]:
    """The first few failed trials and why; nothing if none failed."""
    counts, listed = results.manifest["counts"], results.manifest["failures"]
    if not counts["failed"]:
        return
    yield Text(f"\n{counts['failed']} of {counts['finished']} trials failed:", style="bold red")
    for failure in listed[:_FAILURES_SHOWN]:
        levels = results.cells[failure["cell"]]
        where = "".join(f", {axis}={level_name(level)}" for axis, level in levels.items())
        yield Text(f"  cell {failure['cell']}{where}, replicate {failure['replicate']}:")
        yield Text(f"    {failure['error']}", style="red")
    if counts["failed"] > len(listed[:_FAILURES_SHOWN]):
        yield Text(f"  ... all of them: column `error` of {results.place}/trials", style="red")


def contrast_parts(
    results: Findings, chosen: pd.DataFrame, *, each_cell: bool
) -> Iterator[RenderableType]:
    """One table of contrasts for each two levels or cells.

    chosen  what chosen_contrasts gave
    """
    if chosen.empty:
        yield Text("Nothing to compare: no axis has two levels with a finished trial.")
        return
    labels = dict(headline_of(results)) | request_labels(results.manifest["scenario"])
    groups = chosen.groupby(
        ["axis", "level", "against", "cell", "cell_against"], sort=False, dropna=False
    )
    for (axis, level, against, cell, _), rows in groups:
        matched = int(rows["cells"].max())
        where = f"  ({matched} matched cell{'s' * (matched != 1)})"
        if each_cell:
            levels = results.cells[str(cell)]
            where = "\n" + ", ".join(f"{k}={level_name(v)}" for k, v in levels.items() if k != axis)
        title = Text.assemble(
            (str(axis), "bold cyan"),
            f": {_grouped_name(level)} less {_grouped_name(against)}",
            where,
        )
        yield from _contrast_tables(title, rows, labels)
        for note, noted in rows[rows["note"] != ""].groupby("note", sort=False)["metric"]:
            told = ", ".join(labels.get(name, name) for name in noted)
            yield Text(f"{note}: {told}", style="dim")
    yield Text(
        "Paired differences and half of their 95 % interval; geometric mean of paired ratios; "
        "Hedges' g; p after Holm's correction; how many times fewer trials pairing needs.",
        style="dim",
    )


def _grouped_name(level: Any) -> str:
    """The name of a level that pandas grouped by: a null comes out of that as NaN."""
    return level_name(None if level != level else level)  # noqa: PLR0124 - NaN alone


def _contrast_tables(title: Any, rows: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[Table]:
    records = rows.to_dict("records")
    named_here = [labels.get(row["metric"], row["metric"]) for row in records]
    differences = [
        with_interval(row["difference"], row["low"], row["high"]) if row["n"] else "-"
        for row in records
    ]
    columns = [
        ("difference", differences),
        ("ratio", [_short(row["ratio"], ".3f") for row in records]),
        ("effect", [_short(row["effect"], "+.2f") for row in records]),
        (
            "p Holm",
            ["<.0001" if row["p_holm"] < 1e-4 else _short(row["p_holm"], ".4f") for row in records],
        ),
        ("pairing", [_short(row["pairing"], ".1f") for row in records]),
    ]
    return in_blocks(title, named_here, columns, width=width())


_TRADED = {"served": 18, "pages taken": 18, "refaults": 18, "resamples": 12}
"""Columns of a trade-off, and letters of each."""


def tradeoff_parts(
    table: pd.DataFrame, axes: Sequence[str], *, everything: bool = False
) -> Iterator[RenderableType]:
    """The cells that no other beats in service and all costs, best service first.

    table  as tradeoff() makes it
    """
    from study.statistics.tradeoff import front_rows, varying

    axes = varying(table, axes)
    rows = table.sort_values("gain", ascending=False) if everything else front_rows(table)
    if rows.empty:
        some = table["n"].any()
        yield Text(
            "No replicate has values of all cells: they cannot be compared."
            if some
            else "No cell has a value of service and of every cost."
        )
        return
    columns: dict[str, list[str]] = {name: [] for name in _TRADED}
    labels = []
    for row in rows.to_dict("records"):
        means = [
            with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for name in ("gain", "pages_taken", "refaults")
        ]
        often = f"{row['on_front']:.0%}" if isfinite(row["on_front"]) else "-"
        often = "beaten" if row["beaten_by"] else often
        for figures, text in zip(columns.values(), [*means, often], strict=True):
            figures.append(text)
        label = ", ".join(level_name(row[axis]) for axis in axes)
        if row.get("alike"):
            label += f" (and {row['alike']} alike)"
        labels.append(label)
    if width() < sum(_TRADED.values()):
        yield from in_blocks(", ".join(axes), labels, [*columns.items()], width=width())
    else:
        # The levels of a cell are too long for a column: they stand above its figures.
        if axes:
            yield Text(", ".join(axes), style="dim")
        yield Text(_in_columns(columns), style="bold cyan")
        for label, *figures in zip(labels, *columns.values(), strict=True):
            yield Text(label)
            yield Text(_in_columns(figures))
    if table.attrs["a_minute"]:
        yield Text("Costs are of a minute: cells are measured for other times.", style="dim")
    yield Text(
        f"{len(rows)} of {len(table)} cells, mean ± half of the 95 % interval (±0: the same in all "
        "replicates). Served: share of receive buffers. Taken: reclaimed, evicted, migrated. "
        "Resamples: in how many of 1,000 no other cell serves as much at no more of any cost; of "
        "two "
        "cells that are alike each is there in two of three, so that it is no confidence. Beaten: "
        "another cell is better in each (paired tests, 5 % for all pairs of cells together).",
        style="dim",
    )


def _in_columns(texts: Iterable[str]) -> str:
    return "".join(f"{text:>{n}}" for text, n in zip(texts, _TRADED.values(), strict=True))


def sensitivity_parts(table: pd.DataFrame) -> Iterator[RenderableType]:
    """Sobol's indices of one metric, the largest total first.

    table  as sensitivity() makes it
    """
    axes = list(table.columns[: list(table.columns).index("axis")])
    for levels, rows in table.groupby(axes, sort=False) if axes else [((), table)]:
        others = ", ".join(
            f"{axis} {level_name(level)}" for axis, level in zip(axes, levels, strict=True)
        )
        metric, points = rows["metric"].iloc[0], rows["points"].iloc[0]
        n = int(rows["replicates"].iloc[0])
        title = f"  {points} points, {n} replicate{'s' * (n != 1)}"
        shown = bare_table(
            Text.assemble((str(metric), "bold cyan"), f"{', ' * bool(others)}{others}", title)
        )
        shown.add_column("", overflow="fold")
        names = [name for name in ("first", "total") if rows[name].notna().any()]
        smooth = bool(rows["total_surrogate"].notna().any())
        for name in (*names, *["surrogate"] * smooth, "trend"):
            shown.add_column(name, justify="right", no_wrap=True)
        by = "total_surrogate" if smooth else names[-1] if names else "trend"
        for row in rows.sort_values(by, ascending=False).to_dict("records"):
            indices = [_index(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names]
            if smooth:
                indices.append(digits(row["total_surrogate"], 2))
            shown.add_row(row["axis"], *indices, _short(row["trend"], "+.2f"))
        yield shown
        r2 = rows["r2"].iloc[0]
        if isfinite(r2):
            yield Text(f"Surrogate: {max(r2, 0.0):.0%} of the variance at points left out.")
        for note in rows["note"].unique():
            if note:
                yield Text(note, style="yellow")
    yield Text(
        "first: share of the variance that goes once this is known; total: that stays while it "
        "alone is unknown (± half of the 95 % interval; not told from 0 where that reaches 0). "
        "surrogate: total, from a smooth surface through all points. trend: rank correlation.",
        style="dim",
    )


def _index(value: float, low: float, high: float) -> str:
    """An index with half of its interval; one that may be 0 is no number."""
    if isfinite(low) and low <= 0:
        return f"0 to {digits(max(high, 0.0), 2)}"
    return with_half(value, half=high - value)


def _short(value: float, form: str) -> str:
    if not isfinite(value):
        return "-"
    return format(value, form) if abs(value) < 1e4 else f"{value:.0e}"


def _axis_table(
    axis: str,
    effects: Sequence[Effect],
    matched: int,
    headline: Sequence[tuple[str, str]],
    marks: Mapping[tuple[str, str, Any], str],
) -> Iterator[Table]:
    """Metrics down and levels across; the other way round where levels are many."""
    over = "cells that differ in other axes too"
    if matched:
        over = f"{matched} matched cell{'' if matched == 1 else 's'} each"
    levels = list(dict.fromkeys(effect.level for effect in effects))
    title = Text.assemble((str(axis), "bold cyan"), f"  ({over})")
    by_place = {(effect.metric, effect.level): effect for effect in effects}

    def cell(metric: str, level: Any) -> str:
        return _cell(by_place[metric, level], marks)

    if len(levels) <= _LEVELS:
        columns = [
            (level_name(level), [cell(metric, level) for metric, _ in headline]) for level in levels
        ]
        return in_blocks(title, [label for _, label in headline], columns, width=width())
    columns = [(label, [cell(metric, level) for level in levels]) for metric, label in headline]
    return in_blocks(title, [level_name(level) for level in levels], columns, width=width())


def _plain_table(
    results: Findings, headline: Sequence[tuple[str, str]]
) -> Iterator[RenderableType]:
    """A study without axes, or with one level each: the cells as they are."""
    summary = results.summary
    cells = list(results.cells)
    columns = []
    for cell in cells[:_CELLS_MOST]:
        of_cell = summary[summary["cell"] == cell].set_index("metric")
        columns.append(
            (
                cell,
                [
                    with_interval(*of_cell.loc[metric, ["mean", "low", "high"]].to_numpy(float))
                    for metric, _ in headline
                ],
            )
        )
    title = Text("all trials", style="bold cyan")
    yield from in_blocks(title, [label for _, label in headline], columns, width=width())
    if len(cells) > _CELLS_MOST:
        yield Text(f"{len(cells) - _CELLS_MOST:,} more cells are in summary.csv.", style="dim")


def _cell(effect: Effect, marks: Mapping[tuple[str, str, Any], str]) -> str:
    mark = marks.get((effect.metric, effect.axis, effect.level), " ")
    return f"{with_interval(effect.mean, effect.low, effect.high)} {mark}"
