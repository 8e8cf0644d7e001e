"""The command `study plot`."""

from __future__ import annotations

from pathlib import Path

import click

from study.commands.refusal import refuse
from study.commands.results.folder import newest

_FORMATS = ("png", "svg", "pdf")


@click.command()
@click.argument("folder", type=click.Path(), metavar="[DIR]", required=False)
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option(
    "--format", "suffix", type=click.Choice(_FORMATS), default="svg", show_default=True,
    help="Of the files.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False), metavar="FOLDER",
    help="Where to put them.  [default: DIR/figures]",
)  # fmt: skip
def plot(folder: str | None, figures: tuple[str, ...], *, suffix: str, out: str | None) -> None:
    """Write the report's figures as files, for papers and slides.

    FIGURE is tradeoff, curves, forest, success, buddyinfo, indices or zone-map; none means all.
    """
    from study.report.figures import FIGURES, image
    from study.results import ResultsError
    from study.results.errors import disk_errors
    from study.results.files import held_folder, write_bytes_whole
    from study.scenario.errors import did_you_mean
    from study.statistics import read_findings

    if folder is not None and folder in FIGURES and not Path(folder).exists():
        figures = (folder, *figures)
        folder = None
    folder = folder or newest()
    if unknown := {*figures} - {*FIGURES}:
        name = min(unknown)
        hint = did_you_mean(name, list(FIGURES)) or f"; there are {', '.join(FIGURES)}"
        refuse(ResultsError(f"{name} is not a figure{hint}"))
    at_end = click.get_current_context()
    try:
        findings = read_findings(folder)
        target = Path(out) if out else findings.path / "figures"
        shown = target if out else f"{findings.place}/figures"
        if out:
            with disk_errors(f"cannot write {out}"):
                target.mkdir(parents=True, exist_ok=True)
        else:
            # Whoever can write there could make a link of it while a figure is drawn.
            target = at_end.with_resource(held_folder(target))
        for name in figures or FIGURES:
            try:
                drawn = image(name, findings, suffix)
            except ResultsError as reason:
                if figures:
                    raise
                click.echo(f"{name}: not drawn, {reason}")
            else:
                file = f"{name}.{suffix}"
                write_bytes_whole(target / file, drawn, named=Path(f"{shown}/{file}"))
                click.echo(f"{shown}/{file}")
        if not out:
            findings.folder.publish()
    except ResultsError as fault:
        refuse(fault)
