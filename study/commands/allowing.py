"""The option that allows code which a scenario names to be imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def allow_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --allow-extension, as `extensions`."""
    return click.option(
        "--allow-extension",
        "extensions",
        multiple=True,
        metavar="NAME",
        help="Import this module, or MODULE:NAME, if the scenario names it; repeatable.",
    )(command)
