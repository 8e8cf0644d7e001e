"""What a command's --help shows, and what the shell completes."""

from __future__ import annotations

import re
import shlex

import pytest
from click.testing import CliRunner

from study.cli import main

COMMANDS = [name for name, command in main.commands.items() if not command.hidden]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_can_be_typed(name: str) -> None:
    """Within 80 columns; each is a command line that is understood as it stands."""
    told = CliRunner().invoke(main, [name, "--help"], terminal_width=80).output
    _, _, shown = told.partition("Example")
    lines = [line.strip() for line in shown.splitlines()[1:] if line.strip()]

    assert lines
    assert all(len(line) <= 80 for line in told.splitlines())
    for line in lines:
        typed = re.search(rf"study {name}( [^\s|>)]+)*", line)
        assert typed, line
        _, _, *words = shlex.split(typed[0])
        if words:
            main.commands[name].make_context(name, words).close()
