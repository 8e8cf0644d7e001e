"""The command `study presets`."""

from __future__ import annotations

import click

from study.commands.completion import preset_names
from study.commands.refusal import refuse
from study.printable import json_text


@click.command()
@click.argument("name", required=False, shell_complete=preset_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def presets(name: str | None, *, as_json: bool) -> None:
    """List the presets that a scenario can extend, or show what NAME sets and where it is from.

    NAME may be a kind: machine, nic, driver, workload, policy.
    """
    from study.scenario.errors import did_you_mean
    from study.scenario.presets import KINDS
    from study.scenario.presets import presets as all_presets
    from study.terminal.presets import show_list, show_presets

    known = all_presets()
    chosen = [p for p in known.values() if name in (None, p.name, p.name.partition("/")[0])]
    if not chosen:
        holding = [each for each in known if str(name).lower() in each]
        hint = f"; did you mean {', '.join(holding)}?" if holding else ""
        hint = hint or did_you_mean(str(name), [*known, *KINDS])
        hint = hint or f"; the kinds are {', '.join(KINDS)}"
        refuse(ValueError(f"there is no preset {name}{hint}"))
    if as_json:
        told = {p.name: {"about": p.about, "source": p.source, "base": p.base} for p in chosen}
        click.echo(json_text(told, indent=2))
    elif name is None:
        show_list(chosen)
    else:
        show_presets(chosen)
