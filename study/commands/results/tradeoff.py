"""The command `study tradeoff`."""

from __future__ import annotations

import click

from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument
from study.terminal.listing import show


@click.command()
@folder_argument
@click.option(
    "--where", multiple=True, metavar="KEY=LEVEL", help="Only cells of this level; repeatable."
)
@click.option("--all", "everything", is_flag=True, help="All cells, not only the front.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, all columns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, all columns.")
def tradeoff(
    folder: str, *, where: tuple[str, ...], everything: bool, as_csv: bool, as_json: bool
) -> None:
    """Show which cells in DIR no other beats in service and in every cost.

    Service is the share of receive buffers served; costs are pages reclaimed, evicted and
    migrated, refaults, and time lost. The last column says how sure it is.
    """
    from study.results import ResultsError
    from study.results.spreadsheet import to_csv
    from study.statistics import read_findings
    from study.statistics.tradeoff import among

    try:
        findings = read_findings(folder)
        table = among(findings, where)
    except ResultsError as fault:
        refuse(fault)
    if as_json:
        from study.statistics.outline import records

        click.echo(records(table))
        return
    if as_csv:
        click.echo(to_csv(table), nl=False)
        return
    from study.terminal.tables import tradeoff_parts

    show(*tradeoff_parts(table, findings.manifest["axes"], everything=everything))
