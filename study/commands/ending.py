"""What is shown when a run has ended, and with which status the command ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from study.commands.refusal import FAILED, STOPPED
from study.commands.results.report import report_at_end
from study.terminal.listing import show

if TYPE_CHECKING:
    from study.statistics import Findings


def end(
    results: Findings,
    *,
    as_json: bool,
    quiet: bool,
    report: bool = True,
    extensions: Sequence[str] = (),
) -> NoReturn:
    """Show the results, make the report unless it is not wanted, and end with the run's status.

    extensions  that may be imported for its pictures
    """
    tables(results, as_json=as_json, quiet=quiet, brief=True)
    if report and (results.manifest["counts"]["finished"] or status_of(results) != STOPPED):
        said = report_at_end(results, extensions)
        if not quiet:
            click.echo(said, err=as_json)
    sys.exit(status_of(results))


def status_of(results: Findings) -> int:
    """The exit status of a run that has ended."""
    return {"complete": 0, "interrupted": STOPPED}.get(results.manifest["state"], FAILED)


def tables(results: Findings, *, as_json: bool, quiet: bool, brief: bool = False) -> None:
    """Show the tables of a results folder, and how to go on if the run was stopped.

    brief  of a run that was stopped show nothing but that
    """
    if as_json:
        from study.printable import json_text
        from study.statistics.outline import outline

        click.echo(json_text(outline(results), indent=2))
        return
    from study.results.errors import shell_word
    from study.terminal.tables import failures, result_parts

    manifest = results.manifest
    counts = manifest["counts"]
    stopped = manifest["state"] == "interrupted"
    # Who stops a run wants to know what is kept and how to go on, not pages of half a study.
    show(*(failures(results) if quiet or (brief and stopped) else result_parts(results)))
    if stopped:
        click.echo(
            f"Stopped: {counts['finished']} of {counts['trials']} trials are kept, "
            "complete and readable."
        )
        click.echo(f"Resume with: study resume {shell_word(results.place)}")
    if not quiet and (commands := _deciding(results)):
        click.echo("To decide what is open, more replicates here:")
        click.echo(f"  {commands[0]}")
        click.echo("or, so that the stated error rate holds, a rule and a new folder:")
        click.echo(f"  {commands[1]}")
    click.echo(f"Results: {results.place}")


_LEAST, _TENS = 20, 10
"""Replicates of a rule before its first look; and what the most of them are a multiple of."""


def _deciding(results: Findings) -> tuple[str, str] | None:
    """The commands that would probably decide a claim that is open; None if there is none, or the
    study was not run by a command or has a rule already.
    """
    from study.results.errors import shell_word
    from study.statistics.findings import looks_of

    manifest = results.manifest
    program, *words = manifest["command"] or ("",)
    by_command = program.endswith("study") and words[:1] == ["run"]
    wanted = [
        (verdict.n + verdict.more, verdict.n + (verdict.more_most or 4 * verdict.more))
        for verdict in results.judged()
        if verdict.verdict == "undecided" and verdict.more
    ]
    if manifest["state"] != "complete" or not by_command or looks_of(manifest) or not wanted:
        return None
    # What stands behind an option may be its value: options are left to who types the command.
    begun = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    kept = [word for word in words[1:begun] if not word.startswith("replicates=")]
    if not kept or (len(words) > begun and any("=" in word for word in words[begun:])):
        return None
    asked = [shell_word(word) for word in kept]
    here = max(least for least, _ in wanted)
    most = -(-max(*(most for _, most in wanted), _LEAST + _TENS) // _TENS) * _TENS
    rule = shell_word(f"replicates={{min: {_LEAST}, max: {most}, until: claims}}")
    return (
        f"study run {' '.join(asked)} replicates={here} --out {shell_word(results.place)} --extend",
        f"study run {' '.join(asked)} {rule}",
    )
