"""The JSON schema: what an editor is told is what the checks allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from study.scenario import ScenarioError, load_text
from study.scenario.check import known_keys
from study.scenario.read import read_text
from study.scenario.schema import schema

HEADER = "# yaml-language-server: $schema=schema.json"
SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    told = schema()
    Draft7Validator.check_schema(told)
    return Draft7Validator(told)


def wrong(validator: Draft7Validator, text: str) -> bool:
    value: Any = read_text(text, "x.yaml").value
    return not validator.is_valid(value)


def test_the_schema_beside_the_scenarios_is_of_this_version(root: Path) -> None:
    """scenarios/schema.json is what `study schema` prints."""
    assert json.loads((root / "scenarios" / "schema.json").read_text()) == schema(), (
        "run: study schema > scenarios/schema.json"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_name_the_schema_and_satisfy_it(
    validator: Draft7Validator, path: Path
) -> None:
    """The first line tells an editor of the schema, and the schema has nothing against the file."""
    text = path.read_text()

    assert text.splitlines()[0] == HEADER
    assert [e.message for e in validator.iter_errors(read_text(text, path.name).value)] == []
    assert yaml.safe_load(text)["name"] == path.stem


def test_every_key_is_explained(validator: Draft7Validator) -> None:
    """Each setting stands in the schema by its dotted and by its nested name, with its default."""
    told = validator.schema
    settings = told["definitions"]["settings"]["properties"]

    for key in known_keys():
        assert settings[key] == {"$ref": f"#/definitions/{key}"}
        assert "default" in told["definitions"][key]
        group, _, name = key.partition(".")
        if name:
            assert settings[group]["anyOf"][0]["properties"][name] == settings[key]


@pytest.mark.parametrize(
    "text",
    [
        "extends: [nic/e1000-9000, other.yaml]",
        "base: {nic.mtu: 1500, zone: {memory: 64MiB}}",
        "axes: {nic: {mtu: [1500]}, card: {a: {nic.ring: 8}, b: nic/tg3-1500, c: null}}",
        "axes: {policy: [policy/stock, policy/order-aware], user.zipf: {uniform: [0.6, 1.2]}}",
        "replicates: {min: 5, max: 10, until: {metric: rx_failures, half_width: 3}}",
    ],
)
def test_what_a_scenario_may_say_the_schema_allows(validator: Draft7Validator, text: str) -> None:
    """Both ways to write a key, presets, named levels, ranges and stopping rules."""
    assert not wrong(validator, text)


@pytest.mark.parametrize(
    "text",
    [
        "bse: {}",
        "base: {nic: {mtuu: 1500}}",
        "base: {nic.mtuu: 1500}",
        "base: {kswapd: {policy: piggin}}",
        "axes: {nic.mtu: 9000}",
        "axes: {nic.mtuu: [9000]}",
        "axes: {card: {a: {nic.mtuu: 1}}}",
        "axes: {card: [nic/e100]}",
        "extends: nic/e100",
        "claims: [{id: a}]",
        "replicates: {until: {metric: rx_failurs, half_width: 3}}",
    ],
)
def test_what_the_schema_refuses_is_a_fault(validator: Draft7Validator, text: str) -> None:
    """Marks in the editor are mistakes: the checks refuse the same text."""
    assert wrong(validator, text)
    with pytest.raises(ScenarioError):
        load_text(text, "x.yaml")
