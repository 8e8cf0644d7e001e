"""Kernel versions are words: YAML reads 3.5 as a number, and nobody should have to quote it."""

from __future__ import annotations

from typing import Any

from study.scenario.model import OneOf, fields
from study.scenario.read import Written

VERSION_KEYS = frozenset(
    ["kernel"]
    + [
        key
        for key, field in fields().items()
        for kind in field.metadata
        if isinstance(kind, OneOf) and kind.words[0][0].isdigit()
    ]
)


def spell_versions(value: Any, key: str = "") -> Any:
    """A document in which every number under a version's key is the word it was written as.

    key  the dotted key of the value, as far as it is known; keys may be nested or dotted
    """
    if isinstance(value, dict):
        return {
            name: spell_versions(below, _within(key, str(name))) for name, below in value.items()
        }
    if isinstance(value, list):
        return [spell_versions(item, key) for item in value]
    if key in VERSION_KEYS and isinstance(value, float):
        return value.text if isinstance(value, Written) else str(value)
    return float(value) if isinstance(value, Written) else value


def _within(key: str, name: str) -> str:
    """A dotted key; what stands above the groups (base, axes, claims) does not count."""
    joined = f"{key}.{name}"
    return joined if joined in VERSION_KEYS else name
