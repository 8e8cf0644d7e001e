"""The command `study report`, and the report at the end of every run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from study.commands.allowing import allow_option
from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument

if TYPE_CHECKING:
    from study.statistics import Findings


@click.command()
@folder_argument
@click.option("--pictures", is_flag=True, help="Take the pictures of the zone anew.")
@allow_option
def report(folder: str, *, pictures: bool, extensions: tuple[str, ...]) -> None:
    """Make report.html in DIR, one file to open in any browser.

    Also for a run that is still going or has partly failed; the page says so.
    """
    from study.report.page import write_report
    from study.report.zone_map import record_zone_maps
    from study.results import ResultsError, study_of
    from study.results.folder import REPORT
    from study.statistics import read_findings

    try:
        findings = read_findings(folder)
        if pictures:
            study = study_of(findings.manifest["scenario"], folder, extensions=extensions)
            if not record_zone_maps(findings, study):
                text = "no picture of a zone: no cell gives its rows again in this version"
                click.echo(f"study: {text}", err=True)
        write_report(findings)
        findings.folder.publish()
    except ResultsError as fault:
        refuse(fault)
    click.echo(f"Report: {findings.place}/{REPORT}")


def report_at_end(findings: Findings, extensions: Sequence[str] = ()) -> str:
    """Take the pictures, write the page, and say where it lies; or why there is none.

    The results are safe on disk by now: whatever goes wrong here must not cost the run.
    """
    from study.results.errors import shell_word
    from study.results.folder import REPORT

    try:
        from study.report.page import write_report
        from study.report.zone_map import record_zone_maps
        from study.results import ResultsError, study_of

        # Who has stopped a run does not want to wait for pictures.
        if findings.manifest["counts"]["finished"] and findings.manifest["state"] != "interrupted":
            # Rows that came from a cluster may be of an extension that is not allowed here.
            with suppress(ResultsError):
                place = str(findings.path)
                record_zone_maps(
                    findings, study_of(findings.manifest["scenario"], place, extensions=extensions)
                )
        write_report(findings)
        findings.folder.publish()
    except KeyboardInterrupt:
        return f"No report: stopped; make it with: study report {shell_word(findings.place)}"
    except Exception as fault:  # noqa: BLE001 - a report is not worth a run
        return f"No report: {type(fault).__name__}: {fault}"
    return f"Report: {findings.place}/{REPORT}"
