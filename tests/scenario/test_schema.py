"""The JSON schema: what an editor is told is what the checks allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from study.scenario import ScenarioError, load_text
from study.scenario.check import known_keys, machine_of
from study.scenario.read import read_text
from study.scenario.schema import schema
from study.scenario.versions import spell_versions

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


def test_the_example_names_the_schema_from_where_it_lies(
    validator: Draft7Validator, root: Path
) -> None:
    """The scenario of the example package has the editor's line too, and satisfies the schema."""
    path = root / "examples" / "own-policies" / "own-policies.yaml"
    line = path.read_text().splitlines()[0]

    assert (path.parent / line.partition("$schema=")[2]).samefile(root / "scenarios/schema.json")
    assert not wrong(validator, path.read_text())


def test_every_key_is_explained(validator: Draft7Validator) -> None:
    """Each setting stands in the schema by its dotted and by its nested name, with its default and
    a sentence.
    """
    told = validator.schema
    settings = told["definitions"]["settings"]["properties"]

    for key in known_keys():
        assert settings[key] == {"$ref": f"#/definitions/{key}"}
        assert "default" in told["definitions"][key]
        assert told["definitions"][key].get("description"), key
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
        "replicates: many",
        "base: {zone: {memory: 64MB}}",
        "base: {clock: {ageing: 60}}",
        "base: {clock: {ageing: 2m}}",
        "base: {nic: {rx_rate: 15Hz, line_rate: 1Gbps}}",
        "base: {user: {written: 10}}",
        "base: {user: {zipf: -1}}",
        "base: {nic: {ring: on}}",
        "base: {reclaim: {lumpy: ja}}",
        "axes: {clock.ageing: [60s, 90]}",
    ],
)
def test_what_the_schema_refuses_is_a_fault(validator: Draft7Validator, text: str) -> None:
    """Marks in the editor are mistakes: the checks refuse the same text."""
    assert wrong(validator, text)
    with pytest.raises(ScenarioError):
        load_text(text, "x.yaml")


VALUES = (
    "0", "1", "3", "64", "0.5", "1e3", "1_000", "'1,000'", ".5", "+2", "true", "off", "yes", "OFF",
    "64MiB", "64 mib", "8KiB", "64 pages", "64Pages", "5us", "10ms", "2 MIN", "20/s", "5 /min",
    "3%", "200 pages/ms", "1Gbit/s", "64MB", "2m", "15Hz", "2.6.8", "3.5", "linear", "tg3", "lru",
    "null",
    "0 0 0 0 0 0 0 0 0 0 0", "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", "[1, 2]", "none", "cheapest",
    "2.6.35", "buddy", "count-only", "daemon", "kmalloc",
)  # fmt: skip


@pytest.mark.parametrize("key", known_keys())
def test_no_value_that_a_key_may_have_is_marked(validator: Draft7Validator, key: str) -> None:
    """What the checks take satisfies the schema, in whatever way it is written."""
    taken = []
    group, _, name = key.partition(".")
    for value in VALUES:
        told = spell_versions(read_text(f"{{{key}: {value}}}", "x.yaml").value)[key]
        if machine_of({group: {name: told} if name else told})[0] is not None:
            taken.append(value)
            assert not wrong(validator, f"base: {{{key}: {value}}}"), value

    assert taken
