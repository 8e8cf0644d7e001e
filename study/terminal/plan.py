"""What a scenario would run, and what that takes, in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from study.statistics.answer import PRESSING
from study.statistics.words import number
from study.terminal.listing import listing, show, word
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    from study.scenario import Study
    from study.scenario.origin import Unfolded
    from study.statistics.design import Advice, Proposal

_CELLS = 12
_WORTH = 1.2
"""Times less time that are worth another length of the measured phase."""


def show_plan(unfolded: Unfolded, *, everything: bool) -> None:
    """Print name, counts, axes, the settings that are no defaults, and the cells."""
    study = unfolded.study
    title = f"{study.name}: {study.question}" if study.question else study.name
    show(Text(title, style="bold"))
    show(Text(_counts(study)))
    for said in (*study.notes(), *study.remarks):
        show(Text(f"Note: {said}.", style="yellow"))
    if study.axes:
        table = listing("axis", "levels")
        for axis, levels in study.axes.items():
            shown = ", ".join(map(word, levels[:_CELLS]))
            table.add_row(Text(axis), Text(shown + ", ..." * (len(levels) > _CELLS)))
        show(Padding(table, (1, 0, 0, 0)))
    fixed = unfolded.fixed()
    if fixed:
        table = listing("same in all cells", "value", "from", dim=(2,))
        for setting in fixed:
            through = f" ({setting.through})" if setting.through else ""
            table.add_row(Text(setting.key), Text(setting.text), Text(setting.place + through))
        show(Padding(table, (1, 0, 0, 0)))
    if study.axes and (everything or len(study.cells) <= 2 * _CELLS):
        _show_cells(study, everything=everything)
    else:
        many = len(study.cells)
        show(Text(f"\n{many:,} cell{'s' * (many != 1)}: --cells lists them."))


def _show_cells(study: Study, *, everything: bool) -> None:
    columns = list(study.cells[0].levels)
    limit = len(study.cells) if everything else _CELLS
    table = listing("cell", *columns)
    for cell in study.cells[:limit]:
        table.add_row(Text(cell.id), *(Text(word(cell.levels[key])) for key in columns))
    show(Padding(table, (1, 0, 0, 0)))
    if limit < len(study.cells):
        show(Text(f"and {len(study.cells) - limit:,} more: --cells lists them"))


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


def show_proposal(proposal: Proposal) -> None:
    """Print what the study could leave out or average over, if there is anything."""
    lines = []
    if proposal.needed < proposal.cells:
        lines.append(
            f"{proposal.cells - proposal.needed:,} of {proposal.cells:,} cells are needed by no "
            f"claim: without them the claims take {proposal.fewer_cells:.2g} times less."
        )
    if proposal.nuisance:
        axes = ", ".join(proposal.nuisance)
        lines.append(
            f"nuisance: [{axes}] would give each of {proposal.loads:,} combinations that no claim "
            f"compares a load of its own: up to {proposal.loads:,} times fewer replicates."
        )
    for line in lines:
        show(Text(line))
    if lines:
        show(Text())


def show_advice(advice: Advice) -> None:
    """Print how long to measure."""
    if advice.replicates is None:
        text = "From the pilots no length of clock.measure decides the claims on shares."
    elif advice.factor < _WORTH:
        text = f"clock.measure: {advice.now_s:g}s is about as good as any length for these claims."
    else:
        text = (
            f"clock.measure: {advice.measure_s:g}s would decide the claims in "
            f"{advice.factor:.2g} times less time than {advice.now_s:g}s, with "
            f"{advice.replicates:,} replicates."
        )
    if advice.left_out:
        text += (
            f" Nothing is said of {', '.join(advice.left_out)}: neither shares nor counts, or "
            "without a spread."
        )
    show(Text(text))
    show(Text())


def show_needs(needs: dict[str, Any], labels: Mapping[str, str]) -> None:
    """Print time, memory and disk, as `study plan --json` has them under `estimate`.

    labels  metric -> what tables call it
    """
    measured = needs["measured"]
    table = listing("cores", "time", "memory")
    for index, run in enumerate(needs["runs"]):
        cores = f"{run['cores']:,}" + (" (this machine)" if index == 0 else "")
        table.add_row(
            Text(cores),
            Text(_span(run["wall_s"], time_words)),
            Text(size_words(run["memory_bytes"])),
        )
    show(Padding(table, (1, 0, 1, 0)))
    how = "" if measured["to_the_end"] else ", drawn out from their beginning"
    show(
        Text(
            f"{_span(needs['cpu_hours'], lambda h: time_words(3600 * h))} of work on one core, "
            f"{_span(needs['disk_bytes'], size_words)} of rows on disk. Measured with "
            f"{measured['trials']} trials of {measured['trial_s']:.2g} "
            f"±{measured['half_interval_s']:.1g} s{how}, one at a time on this machine. Beside the "
            "trials come Ray's start, the statistics and the report, and compiling where this "
            "version has not run."
        )
    )
    if measured["found"]:
        where = "In these trials" if measured["to_the_end"] else "In their beginning"
        text = f"{where}, on average: {'; '.join(_pilot_words(measured['found'], labels))}."
        shares = [mean for name, mean in measured["found"].items() if is_share(name)]
        if measured["to_the_end"] and shares and min(shares) == 1:
            text += f" They tell no policies apart; {PRESSING}."
        show(Text(text))


def _pilot_words(found: Mapping[str, float], labels: Mapping[str, str]) -> Iterator[str]:
    """What pilots found, by the names of tables."""
    for name, mean in found.items():
        yield f"{labels[name]} " + (f"{100 * mean:.4g} %" if is_share(name) else number(mean))


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
