"""The command `study summary`."""

from __future__ import annotations

import click

from study.commands.ending import tables
from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument


@click.command()
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no tables.")
def summary(folder: str, *, as_json: bool) -> None:
    """Show the tables of the results folder DIR again."""
    from study.results import ResultsError
    from study.statistics import read_findings

    try:
        tables(read_findings(folder), as_json=as_json, quiet=False)
    except ResultsError as fault:
        refuse(fault)
