"""What a command says when it cannot do what it was asked."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

FAILED = 1
BAD_INPUT = 2
STOPPED = 130


def refuse(fault: Exception, *, status: int = BAD_INPUT) -> NoReturn:
    """Say why on the error stream, line by line, and end with this status."""
    for line in str(fault).splitlines():
        click.echo(f"study: {line}", err=True)
    sys.exit(status)
