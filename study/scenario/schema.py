"""A scenario as a JSON schema, so that an editor completes keys, shows what they mean and marks
mistakes while they are typed.

It says less than the checks of this room: how large a value with a unit may be, which values make
no machine together. What it refuses, they refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from study.scenario.check import groups, known_keys
from study.scenario.claims.keys import ClaimKeys
from study.scenario.compose import ALSO_A_WORD
from study.scenario.machine.requests import OWN_METRICS
from study.scenario.model import Machine
from study.scenario.origin import text_of_key
from study.scenario.presets import presets
from study.scenario.sampling import KINDS, SamplingKeys
from study.scenario.stopping import StoppingKeys
from study.scenario.units import Count
from study.scenario.versions import VERSION_KEYS
from study.zone.trial.metrics import METRICS

Schema = dict[str, Any]
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_COUNT: Schema = TypeAdapter(Count).json_schema()


def _allow_numbers(keys: dict[str, Schema]) -> None:
    """YAML reads version 3.5 as a number: an editor shall take it as well."""
    for key in VERSION_KEYS:
        if "enum" not in keys[key]:
            keys[key]["type"] = ["string", "number"]
            continue
        words = keys[key]["enum"]
        keys[key]["enum"] = words + [float(word) for word in words if word.count(".") == 1]
        keys[key].pop("type", None)


def schema() -> Schema:
    """The JSON schema (draft 7) of a scenario file."""
    models = (Machine, ClaimKeys, StoppingKeys, SamplingKeys)
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/definitions/{model}"
    )
    definitions: Schema = found["$defs"]
    keys = dict(_settings(definitions))
    _allow_numbers(keys)
    del definitions["Machine"]
    _name_metrics(definitions)
    nested = {
        group: _or_null(
            {
                "type": "object",
                "description": f"Settings of {group}.",
                "additionalProperties": False,
                "properties": {
                    key.partition(".")[2]: {"$ref": f"#/definitions/{key}"}
                    for key in keys
                    if key.startswith(f"{group}.")
                },
            }
        )
        for group in sorted(groups())
    }
    dotted = {key: {"$ref": f"#/definitions/{key}"} for key in keys}
    definitions = {
        name: told for name, told in definitions.items() if not name.endswith("Group")
    } | keys
    definitions["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": nested | dotted,
    }
    definitions |= {f"axis.{key}": _axis(key) for key in keys}
    definitions["range"] = _range()
    definitions["preset"] = {"enum": list(presets())}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A scenario of the fragmentation study",
        "description": "docs/scenarios.md explains every part.",
        "type": "object",
        "additionalProperties": False,
        "properties": _sections(list(keys)),
        "definitions": definitions,
    }


def _settings(definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """Each dotted key with its own schema, its default written as a person would."""
    usual = Machine()
    for key in known_keys():
        group, _, name = key.rpartition(".")
        told = dict(definitions["Machine" if not group else _model(group)]["properties"][name])
        text = text_of_key(usual, key)
        told["default"] = {"true": True, "false": False}.get(text, text)
        told.pop("title", None)
        yield key, told


def _model(group: str) -> str:
    model = Machine.model_fields[group].annotation
    assert isinstance(model, type)  # noqa: S101 - a group is a class
    assert issubclass(model, BaseModel)  # noqa: S101
    return model.__name__


def _name_metrics(definitions: Schema) -> None:
    names = {"enum": sorted(METRICS)}
    claim, precision = definitions["ClaimKeys"], definitions["PrecisionKeys"]
    about = claim["properties"]["metric"]["description"]
    short = "|".join(
        own.removesuffix("_ratio") + "(_ratio)?" * own.endswith("_ratio") for own in OWN_METRICS
    )
    own = {"pattern": rf"^requests\.[A-Za-z][A-Za-z0-9_-]{{0,31}}\.({short})$"}
    either = {"type": "string", "anyOf": [names, own]}
    sums = {
        "type": "object",
        "propertyNames": either,
        "additionalProperties": {"type": "number"},
        "minProperties": 1,
    }
    claim["properties"]["metric"] = {"description": about, "anyOf": [either, sums]}
    precision["properties"]["metric"] |= either


def _sections(keys: list[str]) -> Schema:
    presets_or_files = {
        "anyOf": [{"$ref": "#/definitions/preset"}, {"type": "string", "pattern": r"\.ya?ml$"}]
    }
    level = {
        "anyOf": [
            {"$ref": "#/definitions/settings"},
            {"$ref": "#/definitions/preset"},
            {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"$ref": "#/definitions/settings"},
                        {"$ref": "#/definitions/preset"},
                    ]
                },
            },
            {"type": "null"},
        ]
    }
    axis = {key: {"$ref": f"#/definitions/axis.{key}"} for key in keys}
    entry = {
        "type": "object",
        "minProperties": 1,
        "properties": {group: {"type": "object"} for group in sorted(groups())}
        | {key: {"$ref": f"#/definitions/{key}"} for key in keys},
        "additionalProperties": {"type": "string", "description": "A level of a named axis."},
    }
    return {
        "extends": {
            "description": "Presets and files that this one is laid over, in this order.",
            "anyOf": [presets_or_files, {"type": "array", "items": presets_or_files}],
        },
        "name": {
            "description": "Names the results folder; unless given, the name of the file.",
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        },
        "question": {"description": "What the study is to answer.", "type": "string"},
        "seed": {"description": "Of all random streams.", **_COUNT, "default": 1},
        "replicates": {
            "description": "Trials of each cell: a number, or a rule when to stop.",
            "anyOf": [_COUNT, {"$ref": "#/definitions/StoppingKeys"}],
            "default": 5,
        },
        "ranking": {
            "description": "An axis whose levels are ranked by how they serve requests by name.",
            "type": ["string", "null"],
        },
        "requests": {"$ref": "#/definitions/requests"},
        "actions": {"$ref": "#/definitions/actions"},
        "base": {
            "description": "Settings that all cells share, unless an axis says otherwise.",
            "anyOf": [{"$ref": "#/definitions/settings"}, {"type": "null"}],
        },
        "axes": {
            "description": "What varies: every combination of levels is a cell.",
            "type": ["object", "null"],
            "properties": axis
            | {
                group: {
                    "type": "object",
                    "additionalProperties": level if group in ALSO_A_WORD else False,
                    "properties": {
                        key.partition(".")[2]: axis[key]
                        for key in keys
                        if key.startswith(f"{group}.")
                    },
                }
                for group in sorted(groups())
            },
            "additionalProperties": {
                "description": "An axis of your own: levels that set several keys at once.",
                "anyOf": [
                    {"type": "object", "minProperties": 1, "additionalProperties": level},
                    {
                        "type": "array",
                        "minItems": 1,
                        "items": {"$ref": "#/definitions/preset"},
                    },
                    {"type": "null"},
                ],
            },
        },
        "include": {
            "description": "Laid over the cells whose levels it leaves alone, or a cell more.",
            "type": ["array", "null"],
            "items": entry,
        },
        "exclude": {
            "description": "Cells that have all these levels are left out.",
            "type": ["array", "null"],
            "items": entry,
        },
        "sampling": {"$ref": "#/definitions/SamplingKeys"},
        "nuisance": {
            "description": (
                "Axes that are averaged over: each combination of their levels has a load of its "
                "own."
            ),
            "type": ["array", "null"],
            "items": {"type": "string"},
        },
        "recordings": {
            "description": "Recorded loads by the names they have under load.trace; only resolved "
            "scenarios hold them.",
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {key: {"type": "string"} for key in ("name", "digest", "packed")},
                "required": ["name", "digest", "packed"],
                "additionalProperties": False,
            },
        },
        "claims": {
            "description": "What the study is to decide.",
            "type": ["array", "null"],
            "items": {"$ref": "#/definitions/ClaimKeys"},
        },
    }


def _axis(key: str) -> Schema:
    return _or_null(
        {
            "description": f"Levels of {key}, or a range.",
            "anyOf": [
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": f"#/definitions/{key}"},
                },
                {"$ref": "#/definitions/range"},
            ],
        }
    )


def _range() -> Schema:
    ends = {"type": "array", "minItems": 2, "maxItems": 2, "items": _SCALAR}
    return {
        "description": "All values between two ends; see sampling.",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": dict.fromkeys(KINDS, ends),
    }


def _or_null(told: Schema) -> Schema:
    """The schema, or null: with which a file takes away what it inherits."""
    about = {"description": told.pop("description")} if "description" in told else {}
    return {**about, "anyOf": [told, {"type": "null"}]}
