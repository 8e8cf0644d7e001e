"""The command `study compare`."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import click

from study.commands.completion import metric_names
from study.commands.refusal import refuse
from study.printable import json_text


@click.command()
@click.argument("folder_a", type=click.Path(), metavar="DIR_A")
@click.argument("folder_b", type=click.Path(), metavar="DIR_B")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", shell_complete=metric_names,
    help="Only this; repeatable.",
)  # fmt: skip
@click.option("--cells", "each_cell", is_flag=True, help="Cell by cell instead of level by level.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
@click.option("--html", "page", type=click.Path(), metavar="FILE", help="Write a page instead.")
def compare(
    folder_a: str,
    folder_b: str,
    *,
    metrics: tuple[str, ...],
    each_cell: bool,
    as_json: bool,
    page: str | None,
) -> None:
    """Put two studies side by side: value, value, difference in per cent.

    Cells are matched by their levels. Studies of the same seed are compared within replicates. The
    text is plain and fits a mail; a star marks what differs after Holm's correction.
    """
    from study.report.compared import render_comparison
    from study.results import ResultsError
    from study.results.files import write_whole
    from study.statistics import read_findings
    from study.statistics.compare import compare as compare_studies
    from study.statistics.compare import text

    try:
        found = compare_studies(
            read_findings(folder_a), read_findings(folder_b), metrics=metrics, each_cell=each_cell
        )
        if page is not None:
            write_whole(Path(page), render_comparison(found))
            click.echo(f"Page: {page}")
            return
    except ResultsError as fault:
        refuse(fault)
    if not as_json:
        click.echo(text(found), nl=False)
        return
    rows = [
        {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in vars(line).items()
        }
        for line in found.lines
    ]
    click.echo(json_text(rows, indent=2))
