"""The command `study verdicts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from study.commands.refusal import refuse
from study.commands.results.folder import newest
from study.printable import json_text
from study.terminal.listing import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from study.scenario.claims.comparison import Claim


@click.command()
@click.argument("folder", type=click.Path(), metavar="[DIR]", required=False)
@click.argument("scenario", type=click.Path(), required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, all columns.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of text.")
def verdicts(folder: str | None, scenario: str | None, *, as_csv: bool, as_json: bool) -> None:
    """Say what the results in DIR decide.

    With SCENARIO, its claims are judged instead of those the study was run with: claims change no
    trial, so they can be made afterwards.
    """
    if folder is not None and scenario is None and folder.endswith((".yaml", ".yml")):
        folder, scenario = None, folder
    folder = folder or newest()
    from study.results import ResultsError
    from study.scenario import ScenarioError, load_claims
    from study.scenario.machine.requests import names_of
    from study.statistics import read_findings
    from study.statistics.findings import plain_verdicts

    try:
        findings = read_findings(folder)
        names = names_of(findings.manifest["scenario"])
        claims: Sequence[Claim] | None = load_claims(scenario, names=names) if scenario else None
        judged = findings.judged(claims)
    except (ResultsError, ScenarioError) as fault:
        refuse(fault)
    if as_json:
        click.echo(json_text(plain_verdicts(judged), indent=2))
        return
    if as_csv:
        from study.results.spreadsheet import to_csv
        from study.statistics.verdict import verdict_table

        click.echo(to_csv(verdict_table(judged)), nl=False)
        return
    if not judged:
        click.echo("The scenario makes no claims.")
        return
    from study.terminal.verdicts import verdict_parts

    show(*verdict_parts(judged, findings.footnote(judged), findings.labels))
    if claims is not None and findings.claims() and any(verdict.n for verdict in judged):
        click.echo(
            "Beside the claims of the study itself: each of the two lists is wrong in at most 5 "
            "% of\n"
            "studies, both together in at most 10 %."
        )
