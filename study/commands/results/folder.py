"""The results folder that a command reads: DIR, or the newest one here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter


def folder_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument DIR, as `folder`; left out, it is the newest in results/."""
    return click.argument(
        "folder", type=click.Path(), metavar="[DIR]", required=False, callback=_or_newest
    )(command)


def newest() -> str:
    """The newest results folder in results/, named on standard error.

    Raises click.UsageError where there is none.
    """
    from study.results.folder import newest_in

    found = newest_in("results")
    if found is None:
        raise click.UsageError("give a results folder DIR; there is none in results/ here")
    click.echo(f"DIR is {found}, the newest one", err=True)
    return str(found)


def _or_newest(context: Context, _parameter: Parameter, given: str | None) -> str | None:
    return given if given is not None or context.resilient_parsing else newest()
