"""The command `study plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from study.commands.allowing import allow_option
from study.commands.completion import keys
from study.commands.refusal import FAILED, refuse

if TYPE_CHECKING:
    from study.fanout.calibrate import Calibration
    from study.scenario import Study
    from study.scenario.origin import Unfolded

_CELLS = 12
_CLUSTERS = (16, 64, 256)


@click.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@click.option("--cells", "all_cells", is_flag=True, help="List every cell.")
@click.option(
    "--cores", type=click.IntRange(1, 1_000_000), multiple=True, metavar="N",
    help="Cores of a cluster; repeatable.",
)  # fmt: skip
@click.option(
    "--calibrate", "budget_s", type=click.FloatRange(0, 3600), default=10, show_default=True,
    metavar="SECONDS", help="How long to measure on this machine; 0 to leave that out.",
)  # fmt: skip
@allow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def plan(
    scenario: str,
    overrides: tuple[str, ...],
    *,
    all_cells: bool,
    cores: tuple[int, ...],
    budget_s: float,
    extensions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what SCENARIO would run, and what that would take.

    Cells, replicates, the settings that are not defaults; then time, memory and disk, measured with
    a few trials on this machine, and what a cluster of so many such cores would make of it.
    Nothing is written.
    """
    from study.scenario import ScenarioError
    from study.scenario.load import unfold

    try:
        unfolded = unfold(scenario, overrides, extensions=extensions)
    except ScenarioError as fault:
        refuse(fault)
    if not as_json:
        _show(unfolded, everything=all_cells)
    needs: dict[str, Any] = {}
    if budget_s:
        needs = _needs(unfolded.study, budget_s, cores, quiet=as_json)
    if as_json:
        click.echo(json.dumps(_plain(unfolded) | {"estimate": needs or None}, indent=2))
    elif needs:
        _show_needs(needs)


def _plain(unfolded: Unfolded) -> dict[str, Any]:
    study = unfolded.study
    return {
        "name": study.name,
        "question": study.question,
        "seed": study.seed,
        "replicates": study.stopping.plain() if study.stopping else study.replicates,
        "trials": len(study),
        "axes": {axis: list(levels) for axis, levels in study.axes.items()},
        "settings": {
            s.key: {"value": s.value, "text": s.text, "from": s.place} for s in unfolded.fixed()
        },
        "cells": [{"id": cell.id, "levels": cell.levels} for cell in study.cells],
        "claims": [claim.id for claim in study.claims],
    }


def _show(unfolded: Unfolded, *, everything: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from study.commands.listing import listing, word
    from study.commands.listing import show as out

    study = unfolded.study
    title = f"{study.name}: {study.question}" if study.question else study.name
    out(Text(title, style="bold"))
    out(Text(_counts(study)))
    if study.axes:
        table = listing("axis", "levels")
        for axis, levels in study.axes.items():
            shown = ", ".join(map(word, levels[:_CELLS]))
            table.add_row(Text(axis), Text(shown + ", ..." * (len(levels) > _CELLS)))
        out(Padding(table, (1, 0, 0, 0)))
    fixed = unfolded.fixed()
    if fixed:
        table = listing("same in all cells", "value", "from", dim=(2,))
        for setting in fixed:
            through = f" ({setting.through})" if setting.through else ""
            table.add_row(Text(setting.key), Text(setting.text), Text(setting.place + through))
        out(Padding(table, (1, 0, 0, 0)))
    if study.axes and (everything or len(study.cells) <= 2 * _CELLS):
        _show_cells(study, everything=everything)
    else:
        out(Text(f"\n{len(study.cells):,} cells: --cells lists them."))


def _show_cells(study: Study, *, everything: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from study.commands.listing import listing, word
    from study.commands.listing import show as out

    columns = list(study.cells[0].levels)
    limit = len(study.cells) if everything else _CELLS
    table = listing("cell", *columns)
    for cell in study.cells[:limit]:
        table.add_row(Text(cell.id), *(Text(word(cell.levels[key])) for key in columns))
    out(Padding(table, (1, 0, 0, 0)))
    if limit < len(study.cells):
        out(Text(f"and {len(study.cells) - limit:,} more: --cells lists them"))


def _counts(study: Study) -> str:
    cells = f"{len(study.cells):,} cell{'s' * (len(study.cells) > 1)}"
    if study.stopping is None:
        many = f"{study.replicates:,} replicate{'s' * (study.replicates > 1)}"
        text = f"{cells} x {many} = {len(study):,} trials"
    else:
        rule = study.stopping
        text = (
            f"{cells} x {rule.least:,} to {rule.most:,} replicates = "
            f"{rule.least * len(study.cells):,} to {rule.most * len(study.cells):,} trials"
        )
    if study.claims:
        text += f", {len(study.claims)} claim{'s' * (len(study.claims) > 1)}"
    return text


def _needs(study: Study, budget_s: float, cores: tuple[int, ...], *, quiet: bool) -> dict[str, Any]:
    """Time, memory and disk, as JSON would have them."""
    from study.conduct import SILENT
    from study.fanout import usable_cores
    from study.fanout.calibrate import calibrate
    from study.progress import terminal_watcher
    from study.results.disk import bytes_per_trial

    watcher = SILENT if quiet else terminal_watcher()
    try:
        found = calibrate(study, budget_s=budget_s, say=watcher.phase)
    except RuntimeError as fault:
        refuse(fault, status=FAILED)
    finally:
        watcher.close()
    least = len(study)
    most = study.stopping.most * len(study.cells) if study.stopping else least
    here = usable_cores()
    mean, half = found.mean_s()
    return {
        "measured": {
            "trials": len(found.trial_s),
            "to_the_end": found.share == 1.0,
            "trial_s": mean,
            "half_interval_s": half,
            "longest_s": max(found.trial_s),
        },
        "cores_here": here,
        "runs": [_run(found, study, least, most, n) for n in (here, *(cores or _CLUSTERS))],
        "cpu_hours": [least * mean / 3600, most * mean / 3600],
        "memory_bytes_per_core": found.resident + found.zone,
        "zone_bytes": found.zone,
        "disk_bytes": [
            round(n * bytes_per_trial(found.rows, share=found.share)) for n in (least, most)
        ],
    }


def _run(found: Calibration, study: Study, least: int, most: int, cores: int) -> dict[str, Any]:
    return {
        "cores": cores,
        "wall_s": [found.wall_s(least, cores), found.wall_s(most, cores)],
        "memory_bytes": found.memory(min(cores, len(study))),
    }


def _show_needs(needs: dict[str, Any]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from study.commands.listing import listing
    from study.commands.listing import show as out

    measured = needs["measured"]
    table = listing("cores", "time", "memory")
    for index, run in enumerate(needs["runs"]):
        cores = f"{run['cores']:,}" + (" (this machine)" if index == 0 else "")
        table.add_row(
            Text(cores),
            Text(_span(run["wall_s"], time_words)),
            Text(size_words(run["memory_bytes"])),
        )
    out(Padding(table, (1, 0, 1, 0)))
    how = "" if measured["to_the_end"] else ", drawn out from their beginning"
    out(
        Text(
            f"{_span(needs['cpu_hours'], lambda h: time_words(3600 * h))} of work on one core, "
            f"{_span(needs['disk_bytes'], size_words)} of rows on disk. Measured with "
            f"{measured['trials']} trials of {measured['trial_s']:.2g} "
            f"±{measured['half_interval_s']:.1g} s{how}, one at a time on this machine."
        )
    )


def _span(ends: list[float], words: Any) -> str:
    first, last = words(ends[0]), words(ends[-1])
    return str(first) if first == last else f"{first} to {last}"


def time_words(seconds: float) -> str:
    """A time as a person says it: 40 s, 3 min, 2.5 h, 4 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s" if seconds < 9.5 else f"{seconds:.0f} s"


def size_words(size: float) -> str:
    """Bytes as a person says them: 12 KB, 1.4 MB, 3 GB."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{max(size, 1e3) / 1e3:.3g} KB"
