"""A resolved scenario as YAML that says the same when it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def yaml_text(scenario: Mapping[str, Any]) -> str:
    """The text of a scenario file, keys in the order given."""
    # Words that are booleans in YAML 1.1 come quoted, so that either version reads words.
    return yaml.safe_dump(dict(scenario), sort_keys=False, allow_unicode=True, width=88)
