"""The command `study schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON schema of scenarios, for editors.

    With a language server for YAML, a first line in the scenario is enough:

    # yaml-language-server: $schema=schema.json
    """
    from study.scenario.schema import schema as scenario_schema

    click.echo(json.dumps(scenario_schema(), indent=2))
