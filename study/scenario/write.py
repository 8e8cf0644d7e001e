"""A resolved scenario as YAML that says the same when it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from study.scenario.read import SCALARS

# What YAML 1.1 takes for the end of a line, and folds into a space.
_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """SafeDumper that keeps every letter of a word."""


def _word(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if _BREAKS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _word)
# What our reader takes for more than a word is quoted too: 1e3 is a number in YAML 1.2 alone.
for _tag, _pattern, _first in SCALARS:
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def yaml_text(scenario: Mapping[str, Any] | None) -> str:
    """The text of a scenario file, keys in the order given."""
    # Words that are booleans in YAML 1.1 come quoted, so that either version reads words.
    return yaml.dump(scenario, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88)
