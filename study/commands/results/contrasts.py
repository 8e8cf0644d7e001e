"""The command `study contrasts`."""

from __future__ import annotations

import click

from study.commands.completion import folder_axes, metric_names
from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument
from study.terminal.listing import show


@click.command()
@folder_argument
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", shell_complete=metric_names,
    help="Only this; repeatable.",
)  # fmt: skip
@click.option(
    "--axis", "axes", multiple=True, metavar="KEY", shell_complete=folder_axes,
    help="Only this; repeatable.",
)  # fmt: skip
@click.option("--cells", "each_cell", is_flag=True, help="Single cells, not averages over them.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, all columns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, all columns.")
def contrasts(
    folder: str,
    *,
    metrics: tuple[str, ...],
    axes: tuple[str, ...],
    each_cell: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show every difference between levels in DIR, with interval, ratio, effect size and p.

    The file contrasts.csv in DIR has them all; unless metrics are named, those of the headline are
    shown.
    """
    from study.results import ResultsError
    from study.results.spreadsheet import to_csv
    from study.statistics import read_findings
    from study.statistics.headline import chosen_contrasts
    from study.statistics.outline import records
    from study.terminal.tables import contrast_parts

    try:
        findings = read_findings(folder)
        chosen = chosen_contrasts(findings, metrics=metrics, axes=axes, each_cell=each_cell)
    except ResultsError as fault:
        refuse(fault)
    if as_json:
        click.echo(records(chosen))
        return
    if as_csv:
        click.echo(to_csv(chosen), nl=False)
        return
    show(*contrast_parts(findings, chosen, each_cell=each_cell))
