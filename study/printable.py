"""Text without the characters that a terminal obeys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,32}m")


def printable(text: str) -> str:
    """The same text on one line, without control characters.

    Those are the C0 and C1 controls (ESC, BEL, the start of OSC), what changes the direction of
    writing, what has no width, lone surrogates and line separators: all that Unicode does not call
    printable. Each becomes a question mark.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def printable_lines(text: str) -> str:
    """As printable(), but line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def without_colours(text: str) -> str:
    """The same text without the sequences that colour it, which others put into their logs."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Plain values as JSON, which has neither NaN nor infinities: null stands for them."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
