"""The command `study status`."""

from __future__ import annotations

from typing import Any

import click

from study.commands.refusal import refuse
from study.commands.results.folder import folder_argument
from study.printable import json_text, printable
from study.terminal.progress import clock


@click.command()
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def status(folder: str, *, as_json: bool) -> None:
    """Tell how far the run in DIR is, from the folder alone."""
    from study.results import ResultsError
    from study.results.status import status_of
    from study.transport import open_folder

    try:
        found = status_of(open_folder(folder))
    except ResultsError as fault:
        refuse(fault)
    if as_json:
        click.echo(json_text(found, indent=2))
        return
    click.echo("\n".join(map(printable, _lines(found))))


def _lines(found: dict[str, Any]) -> list[str]:
    from study.results.errors import shell_word

    counts = found["counts"]
    lines = [
        f"{found['name']}: {found['state']}",
        f"{counts['finished']} of {counts['trials']} trials finished"
        + (f", {counts['failed']} of them failed" if counts["failed"] else ""),
        f"{counts['cells']} cells, {found['cells_whole']} of them with all replicates",
    ]
    if found["trial_s"]:
        lines.append(f"{found['trial_s']:.3g} s of work a trial, last written {found['written']}")
    if found["left_s"]:
        rate = found["trials_per_s"]
        lines.append(f"{rate:.3g} trials/s so far, {clock(found['left_s'])} left at that rate")
    lines += [
        f"failed: {f['cell']} replicate {f['replicate']}: {f['error']}" for f in found["failures"]
    ]
    lines += [f"not counted: {part}" for part in found["left_out"]]
    if found["state"] in ("stopped", "interrupted"):
        lines.append(f"Resume with: study resume {shell_word(found['path'])}")
    return lines
