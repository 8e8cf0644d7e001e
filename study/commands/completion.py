"""The command `study completion`, and what the shell may complete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from click import Context, Parameter

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, files and setting keys.

    For bash, in ~/.bashrc: eval "$(study completion bash)"
    """
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root()
    if kind is None:
        sys.exit(2)
    click.echo(kind(root.command, {}, "study", "_STUDY_COMPLETE").source())


def keys(_context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """What may stand before the = of an override."""
    from study.scenario.check import known_keys
    from study.scenario.override import STUDY_GROUPS, STUDY_KEYS

    known = (*STUDY_KEYS, *STUDY_GROUPS, *known_keys())
    return [CompletionItem(f"{key}=") for key in known if key.startswith(begun)]


def preset_names(_context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """Names of presets and of their kinds."""
    from study.scenario.presets import KINDS, presets

    known = presets()
    return [
        CompletionItem(name, help=known[name].about if name in known else None)
        for name in (*KINDS, *known)
        if name.startswith(begun)
    ]


def key_names(_context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """Names of keys, and of sysctls."""
    from study.scenario.machine.reference import keys as known

    return [
        CompletionItem(name, help=key.about)
        for key in known()
        for name in (key.name, *key.sysctls)
        if name.startswith(begun)
    ]


def metric_names(_context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """Names of metrics."""
    from study.scenario.machine.reference import metrics as known

    return [
        CompletionItem(metric.name, help=metric.about)
        for metric in known(members=True)
        if metric.name.startswith(begun)
    ]
