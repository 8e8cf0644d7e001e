"""The commands `study keys`, `study metrics` and `study kernels`: what there is to be named."""

from __future__ import annotations

from dataclasses import asdict

import click

from study.commands.completion import key_names, metric_names
from study.commands.refusal import refuse
from study.printable import json_text

_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON array instead of text."
)

_WHOLE_MOST = 2
"""So many are shown with all that is known of them: a sysctl is a key and stands for one."""
_OF_KEYS = """\b
Examples:
  study keys                  all of them, a line each
  study keys watermarks       those with that in their name
  study keys claims           how a claim is written
  study keys vm.swappiness    one, with all that is known of it
"""
_OF_METRICS = """\b
Examples:
  study metrics                     all of them, a line each
  study metrics refault             those about refaults
  study metrics rx_success_ratio    one
  study metrics mine.yaml           those of its requests, by their names
"""


@click.command(epilog=_OF_KEYS)
@click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=key_names)
@_json_option
def keys(words: tuple[str, ...], *, as_json: bool) -> None:
    """List what a scenario can say; of WORD all that is known: default, bounds, kernels.

    WORD is a key (kswapd.policy, claims.matters), part of one (kswapd), a sysctl
    (vm.min_free_kbytes), a driver (r8169), or words of what it is about (ring size).
    """
    from study.scenario.machine import reference
    from study.scenario.machine.requests import DRIVERS
    from study.terminal.reference import show_key, show_list

    word = " ".join(words)
    known = reference.every_key()
    aliases = [
        (alias, key.name)
        for key in known
        for name in key.sysctls
        for alias in (name, name.removeprefix("vm."))
    ]
    aliases += [(name, "requests.NAME.driver") for name in DRIVERS]
    chosen = reference.matching(known, word, aliases) if word else known
    if not chosen:
        hint = reference.near(word, [*(key.name for key in known), *dict(aliases)])
        refuse(ValueError(f"no key is called {word}, and none is about it{hint}"))
    if as_json:
        click.echo(json_text([asdict(key) for key in chosen], indent=2))
    elif len(chosen) <= _WHOLE_MOST:
        for key in chosen:
            show_key(key)
    else:
        show_list([(key.name, key.about) for key in chosen])
        click.echo("\nAll that is known of one: study keys KEY")


@click.command(epilog=_OF_METRICS)
@click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=metric_names)
@_json_option
def metrics(words: tuple[str, ...], *, as_json: bool) -> None:
    """List what every trial measures; of WORD the unit and the sentence.

    WORD is a metric, part of one, or a word of what it is about. Capitals stand for the members of
    a family: CALLER_attempts is rx_attempts, user_attempts and so on. Of a scenario's file, what
    its requests by name are called in claims.
    """
    from study.scenario.machine import reference
    from study.terminal.reference import show_family, show_list, show_metric

    word = " ".join(words)
    known = reference.metrics()
    if not word:
        chosen = known
    elif word.endswith((".yaml", ".yml")):
        chosen = reference.own_metrics(_requests_of(word))
    else:
        members = reference.metrics(members=True)
        chosen = [one for one in members if one.name == word.strip()]
        if not chosen:
            chosen = reference.matching(known, word)
            # A family stands for its members.
            there = {(one.section, one.about) for one in chosen}
            chosen += [
                one
                for one in members
                if word.lower() in one.label.lower() and (one.section, one.about) not in there
            ]
        chosen = chosen or reference.matching(members, word)
    if not chosen:
        names = (one.name for one in reference.metrics(members=True))
        hint = reference.near(word, names)
        refuse(ValueError(f"no metric is called {word}, and none is about it{hint}"))
    if as_json:
        click.echo(json_text([asdict(one) for one in chosen], indent=2))
    elif len(chosen) <= _WHOLE_MOST:
        for one in chosen:
            show_metric(one)
    else:
        show_list(
            [(one.name, f"{one.about}{f' ({one.label})' * bool(one.label)}") for one in chosen]
        )
        click.echo()
        for family, of_family in reference.families(chosen).items():
            show_family(family, of_family)
        click.echo("Its unit as well: study metrics NAME")


def _requests_of(scenario: str) -> list[str]:
    """The names of a scenario's requests; ends the command if it cannot be read or has none."""
    from study.scenario import ScenarioError, load
    from study.scenario.machine.requests import names_of

    try:
        study = load(scenario)
    except ScenarioError as error:
        refuse(error)
    names = names_of(study.document)
    if not names:
        refuse(ValueError(f"{scenario}: it has no requests by name (requests:)"))
    return names


@click.command()
@_json_option
def kernels(*, as_json: bool) -> None:
    """List the kernels that `kernel:` knows, with what each sets that the one before does not.

    Any other version is taken as the nearest one below it.
    """
    from study.scenario.machine.reference import kernels as known
    from study.terminal.reference import show_kernels

    if as_json:
        click.echo(json_text([asdict(kernel) for kernel in known()], indent=2))
    else:
        show_kernels(known())
