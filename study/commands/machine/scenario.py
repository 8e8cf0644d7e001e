"""The command `study scenario from`: a kernel's report becomes a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from study.commands.machine.why import apply_options, chosen, read_text_of, request_options
from study.commands.refusal import refuse
from study.commands.whole import Whole

if TYPE_CHECKING:
    from study.refusals.report import Found, Report


@click.group()
def scenario() -> None:
    """Make a scenario of what you have: a kernel's report."""


@scenario.command("from")
@click.argument("file", type=click.Path(), metavar="FILE|-")
@request_options
@click.option("--memory", metavar="SIZE", help="The zone's memory, where the text lacks it.")
@click.option("--report", "number", type=Whole(1), metavar="N", help="Which of several.")
def from_report(file: str, memory: str | None, number: int | None, **given: object) -> None:
    """Print a scenario for the machine of a kernel's report, as YAML that `study run` takes.

    FILE is what `study why` reads: dmesg, a mail, /proc/buddyinfo and its like; - is standard
    input. Every line of the scenario says where it comes from. What the report lacks is asked for
    as an option, as `study why` does.

        study scenario from dmesg.txt > mine.yaml && study run mine.yaml

    Exit status: 0 a scenario was printed; 2 there is no report, or none that can be simulated: the
    reason is said.
    """
    from study.refusals.find import find
    from study.scenario import ScenarioError, load_text
    from study.scenario.machine.report import NoScenarioError, Wanted, scenario_of
    from study.scenario.units import pages_from

    try:
        pages = None if memory is None else pages_from(memory)
    except ValueError as problem:
        raise click.UsageError(f"--memory {problem}") from None
    found = find(read_text_of(file))
    zone = given["zone"]
    wanted = Wanted(None if zone is None else str(zone), pages)
    first: ValueError | None = None
    for report in _candidates(found, file, number):
        apply_options(report, given)
        try:
            text = scenario_of(report, file, wanted)
            load_text(text, "the scenario made of it")
        except (NoScenarioError, ScenarioError) as problem:
            first = first or problem
        else:
            click.echo(text, nl=False)
            return
    refuse(ValueError(f"{file}: no scenario: {first}"))


def _candidates(found: Found, file: str, number: int | None) -> list[Report]:
    """The report that is asked for; else all, those first that tell of a refusal.

    Of snapshots in a row the last one comes before the others.
    """
    from study.refusals.render import nothing

    reports = found.reports
    if not reports:
        click.echo(nothing(found, file), err=True)
        refuse(ValueError(f"{file}: no scenario: there is no report in it"))
    if number is None:
        return sorted(reports, key=lambda one: (not one.is_refusal, one.is_older))
    return [chosen(found, number)]
