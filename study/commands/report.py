"""The command `study report`, and the report at the end of every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from study.commands.refusal import refuse

if TYPE_CHECKING:
    from study.scenario import Study
    from study.statistics import Findings


@click.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.argument("scenario", type=click.Path(), required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def report(folder: str, scenario: str | None, overrides: tuple[str, ...]) -> None:
    """Make report.html in DIR, one file to open in any browser.

    Also for a run that is still going or has partly failed; the page says so. With SCENARIO (and
    the overrides) of the run, the pictures of the zone are taken anew.
    """
    from study.report.page import write_report
    from study.report.zone_map import record_zone_maps
    from study.results import ResultsError
    from study.scenario import ScenarioError, load
    from study.statistics import read_findings

    try:
        findings = read_findings(folder)
        if scenario is not None:
            study = load(scenario, overrides)
            if not record_zone_maps(findings, study):
                click.echo(
                    f"study: no picture of a zone: no cell of {scenario} gives the rows of "
                    f"{folder}",
                    err=True,
                )
        path = write_report(findings)
    except (ResultsError, ScenarioError) as fault:
        refuse(fault)
    click.echo(f"Report: {path}")


def report_at_end(findings: Findings, study: Study) -> str:
    """Take the pictures, write the page, and say where it lies; or why there is none.

    The results are safe on disk by now: whatever goes wrong here must not cost the run.
    """
    try:
        from study.report.page import write_report
        from study.report.zone_map import record_zone_maps

        # Who has stopped a run does not want to wait for pictures.
        if findings.manifest["counts"]["finished"] and findings.manifest["state"] != "interrupted":
            record_zone_maps(findings, study)
        return f"Report: {write_report(findings)}"
    except KeyboardInterrupt:
        return f"No report: stopped; make it with: study report {findings.path}"
    except Exception as fault:  # noqa: BLE001 - a report is not worth a run
        return f"No report: {type(fault).__name__}: {fault}"
