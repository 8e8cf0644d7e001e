"""Options that bound what a single trial may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from study.fanout import Limits


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --time-limit and --memory-limit."""
    time = click.option(
        "--time-limit", metavar="TIME", help="Give up a trial that takes longer: 30s, 10min."
    )
    memory = click.option(
        "--memory-limit", metavar="SIZE", help="Give up a trial that takes more: 2GiB."
    )
    return time(memory(command))


def limits_from(time_limit: str | None, memory_limit: str | None) -> Limits:
    """The limits as given, with units. Raises click.BadParameter for what is no time or size."""
    from study.fanout import Limits
    from study.scenario.units import bytes_from, nanoseconds_from

    time_s = memory_bytes = None
    try:
        if time_limit is not None:
            time_s = nanoseconds_from(time_limit) / 1e9
        if memory_limit is not None:
            memory_bytes = bytes_from(memory_limit)
    except ValueError as fault:
        name = "--time-limit" if memory_limit is None or time_s is None else "--memory-limit"
        raise click.BadParameter(f"it {fault}", param_hint=name) from None
    return Limits(time_s=time_s, memory_bytes=memory_bytes)
