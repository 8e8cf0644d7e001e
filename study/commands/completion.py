"""The command `study completion`, and what the shell may complete."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from click import Context, Parameter

    from study.scenario import Study

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


def keys(context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """What may stand before the = of an override, the scenario's own axes first, and their levels
    behind it.
    """
    from study.scenario.check import known_keys
    from study.scenario.override import STUDY_GROUPS, STUDY_KEYS

    axes = _axes(context)
    axis, equals, level = begun.partition("=")
    before = context.params.get("overrides") or ()
    if not equals and before and "=" not in before[-1]:
        # bash takes = for a word of its own, and asks for what comes behind it.
        return [CompletionItem(one) for one in axes.get(before[-1], ()) if one.startswith(begun)]
    if equals:
        found = [one for one in axes.get(axis, ()) if one.startswith(level)]
        return [CompletionItem(f"{axis}={one}") for one in found]
    known = dict.fromkeys((*axes, *STUDY_KEYS, *STUDY_GROUPS, *known_keys()))
    return [CompletionItem(f"{key}=") for key in known if key.startswith(begun)]


def cells(context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """Ids of the scenario's cells, with their levels."""
    study = _study(context)
    return [
        CompletionItem(cell.id, help=", ".join(f"{k} {v}" for k, v in cell.levels.items()))
        for cell in (study.cells if study else ())
        if cell.id.startswith(begun)
    ]


def folder_axes(context: Context, _parameter: Parameter, begun: str) -> list[CompletionItem]:
    """Axes of the results in DIR, or of the newest."""
    from study.results import ResultsError
    from study.results.folder import newest_in, open_local

    try:
        axes = open_local(_given(context, "folder") or newest_in("results") or ".").manifest
    except ResultsError:
        return []
    return [CompletionItem(axis) for axis in axes["axes"] if axis.startswith(begun)]


def _given(context: Context, name: str) -> str | None:
    """The command's first argument; behind an option that lacks its value click keeps it aside."""
    return context.params.get(name) or next(iter(context.args), None)


def _axes(context: Context) -> Mapping[str, Sequence[str]]:
    """Axis of the scenario -> its levels as words; nothing while it cannot be read."""
    study = _study(context)
    return {axis: [*map(str, levels)] for axis, levels in study.axes.items()} if study else {}


def _study(context: Context) -> Study | None:
    """The scenario on the command line; None while it cannot be read."""
    from study.scenario import ScenarioError, load

    path = _given(context, "scenario")
    try:
        return load(path) if path else None
    except ScenarioError:
        return None


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
    from study.scenario.machine.reference import every_key

    return [
        CompletionItem(name, help=key.about)
        for key in every_key()
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
