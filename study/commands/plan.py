"""The command `study plan`."""

from __future__ import annotations

from math import isfinite, nan
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from study.commands.allowing import allow_option
from study.commands.completion import keys
from study.commands.refusal import FAILED, refuse
from study.commands.whole import Whole
from study.printable import json_text

if TYPE_CHECKING:
    from study.fanout.calibrate import Calibration
    from study.scenario import Study
    from study.scenario.origin import Unfolded
    from study.statistics.design import Advice, Proposal
    from study.statistics.measured import Measured

_CLUSTERS = (16, 64, 256)
_BUDGET_MOST = 3_600


class _Seconds(click.ParamType[float]):
    """A time with its unit, or a bare number of seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from study.scenario.units import nanoseconds_from

        text = str(value).strip()
        try:
            bare = text.replace(".", "", 1).isdecimal()
            seconds = nanoseconds_from(f"{text}s" if bare else text) / 1e9
        except ValueError as problem:
            self.fail(f"it {problem}", param, ctx)
        if seconds > _BUDGET_MOST:
            self.fail(f"it is {text}; at most 1h", param, ctx)
        return seconds


_BUDGET = _Seconds()


@click.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@click.option("--cells", "all_cells", is_flag=True, help="List every cell.")
@click.option(
    "--cores", type=Whole(1, 1_000_000), multiple=True, metavar="N",
    help="Cores of a cluster; repeatable.",
)  # fmt: skip
@click.option(
    "--calibrate", "budget_s", type=_BUDGET, default="10s", show_default=True,
    metavar="TIME", help="How long to measure on this machine: 2s, 1min; 0 to leave that out.",
)  # fmt: skip
@click.option(
    "--pilot", "pilots", type=click.Path(), multiple=True, metavar="DIR",
    help="Results of the same cells; two or more with other clock.measure: how long to measure.",
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
    pilots: tuple[str, ...],
    extensions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what SCENARIO would run, and what that would take.

    Cells, replicates, the settings that are not defaults; then time, memory and disk, measured with
    pilots: 4 to 64 trials of cells drawn at random, on this machine for as long as --calibrate
    says; what they found; and what a cluster of so many such cores would make of it.
    Nothing is written.
    """
    from study.scenario import ScenarioError
    from study.scenario.load import unfold
    from study.scenario.machine.requests import labels_of
    from study.terminal.plan import show_advice, show_needs, show_plan, show_proposal

    try:
        unfolded = unfold(scenario, overrides, extensions=extensions)
    except ScenarioError as fault:
        refuse(fault)
    proposal = _proposal(unfolded.study)
    if not as_json:
        show_plan(unfolded, everything=all_cells)
        if proposal is not None:
            show_proposal(proposal)
    advice = _advice(unfolded.study, pilots) if pilots else None
    if advice is not None and not as_json:
        show_advice(advice)
    needs: dict[str, Any] = {}
    if budget_s:
        needs = _needs(unfolded.study, budget_s, cores, quiet=as_json)
    if as_json:
        click.echo(
            json_text(
                _plain(unfolded, proposal)
                | {"estimate": needs or None, "advice": advice and vars(advice)},
                indent=2,
            )
        )
    elif needs:
        show_needs(needs, labels_of(unfolded.study.document))


def _proposal(study: Study) -> Proposal | None:
    """What the study could leave out or average over."""
    from study.scenario.matrix import named_axes, policies_of
    from study.statistics.design import propose

    policies = policies_of(study.axes, named_axes(study.document))
    return propose(study, is_policy=policies.__contains__)


def _advice(study: Study, pilots: tuple[str, ...]) -> Advice | None:
    """How long to measure, from results of the same cells; ends the command if they do not fit."""
    from study.results import ResultsError
    from study.scenario.units import nanoseconds_from
    from study.statistics.design import advise

    clock = study.document["base"]["clock"]
    ageing, now = (nanoseconds_from(clock[name]) / 1e9 for name in ("ageing", "measure"))
    try:
        return advise(_pilots(pilots), study.claims, ageing_s=ageing, now_s=now)
    except (ResultsError, ValueError) as fault:
        refuse(fault)


def _pilots(paths: tuple[str, ...]) -> dict[float, Measured]:
    """Length of the measured phase (s) -> the rows of a pilot."""
    from study.results import ResultsError
    from study.scenario.units import nanoseconds_from
    from study.statistics import read_findings
    from study.statistics.measured import Measured

    found: dict[float, Measured] = {}
    for path in paths:
        findings = read_findings(path)
        length = nanoseconds_from(findings.manifest["scenario"]["base"]["clock"]["measure"]) / 1e9
        if length in found:
            raise ResultsError(f"{path} was measured for {length:g} s, like another pilot")
        found[length] = Measured(findings.columns, findings.manifest["cells"])
    if len(found) < 2:
        raise ResultsError("--pilot takes results of at least two lengths of clock.measure")
    return found


def _plain(unfolded: Unfolded, proposal: Proposal | None) -> dict[str, Any]:
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
        "nuisance": list(study.nuisance),
        "proposal": None if proposal is None else vars(proposal),
        "notes": study.notes(),
    }


def _needs(study: Study, budget_s: float, cores: tuple[int, ...], *, quiet: bool) -> dict[str, Any]:
    """Time, memory and disk, as JSON would have them."""
    from study.fanout import usable_cores
    from study.fanout.calibrate import calibrate
    from study.results.disk import bytes_per_trial
    from study.runs import SILENT
    from study.terminal.progress import terminal_watcher

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
            "found": _found(found, study),
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


def _found(pilots: Calibration, study: Study) -> dict[str, float]:
    """Means over the pilots: shares of requests served that stand in tables first, of requests by
    name as well, and refaults.
    """
    from study.scenario.machine.requests import by_column, names_of
    from study.zone.trial.metrics import HEADLINE, is_service

    named = [f"{column}_success_ratio" for column in by_column(names_of(study.document))]
    names = [*named, *(name for name, _ in HEADLINE if is_service(name)), "refaults"]
    means = {}
    for name in dict.fromkeys(names):
        values = [row.metrics.get(name, nan) for row in pilots.rows]
        values = [value for value in values if isfinite(value)]
        if values:
            means[name] = fmean(values)
    return means


def _run(found: Calibration, study: Study, least: int, most: int, cores: int) -> dict[str, Any]:
    return {
        "cores": cores,
        "wall_s": [found.wall_s(least, cores), found.wall_s(most, cores)],
        "memory_bytes": found.memory(min(cores, len(study))),
    }
