"""The command `study sensitivity`."""

from __future__ import annotations

import click

from study.commands.completion import metric_names
from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument
from study.terminal.listing import show


@click.command()
@folder_argument
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", shell_complete=metric_names,
    help="Of this; repeatable.",
)  # fmt: skip
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, all columns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, all columns.")
def sensitivity(folder: str, *, metrics: tuple[str, ...], as_csv: bool, as_json: bool) -> None:
    """Show which ranges of the study in DIR a metric hangs on.

    First-order and total indices of Sobol with 95 % intervals; unless a metric is named, of the
    first of the headline that varies.
    """
    from study.results import ResultsError
    from study.results.spreadsheet import to_csv
    from study.statistics import read_findings
    from study.statistics.sensitivity import tables_of

    try:
        tables = tables_of(read_findings(folder), metrics)
    except ResultsError as fault:
        refuse(fault)
    if as_json:
        from study.statistics.outline import records

        click.echo(records(*tables))
        return
    if as_csv:
        for index, table in enumerate(tables):
            click.echo(to_csv(table, header=index == 0), nl=False)
        return
    from study.terminal.tables import sensitivity_parts

    for table in tables:
        show(*sensitivity_parts(table))
