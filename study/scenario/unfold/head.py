"""The first pass: what the study is called and asks, and how often it runs each cell."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from study.scenario.check import findings
from study.scenario.errors import did_you_mean, shown
from study.scenario.head import SECTIONS, Head
from study.scenario.machine.requests import names_of
from study.scenario.model import Machine
from study.scenario.stopping import Stopping
from study.scenario.unfold.faults import Faults


def read_head(raw: dict[str, Any], faults: Faults) -> tuple[Head, Stopping | None]:
    """The study's own keys, and the rule under `replicates:` if there is one."""
    stopping = _stopping(raw, faults)
    allowed = (*Head.model_fields, *SECTIONS)
    for key in raw:
        if key not in allowed:
            where = did_you_mean(key, allowed)
            if key in Machine.model_fields:
                where = f"; settings of the machine stand under base: base.{key}"
            faults.add((key,), f"{shown(key)} is not a key of a scenario{where}")
    try:
        return Head.model_validate({k: v for k, v in raw.items() if v is not None}), stopping
    except ValidationError as error:
        for path, text in findings(error):
            faults.add(path, _in_better_words(raw, str(path[0]), text))
        return Head(), stopping


def _stopping(raw: dict[str, Any], faults: Faults) -> Stopping | None:
    """The rule under `replicates:`, whose least number then stands there instead."""
    asked = raw.get("replicates")
    if not isinstance(asked, dict):
        return None
    raw["replicates"] = None
    try:
        stopping = Stopping.from_plain(asked, names_of(raw))
    except ValidationError as error:
        said = findings(error, lambda key: f"{key} is not a key of replicates", within="replicates")
        for path, text in said:
            hint = "; it is claims, or { metric: NAME, half_width: NUMBER }"
            faults.add(("replicates", *path), text + hint * (path == ("until",)))
        return None
    axes = raw.get("axes")
    axes = axes if isinstance(axes, dict) else {}
    if stopping.axis is not None and stopping.axis not in axes:
        faults.add(
            ("replicates", "until", "axis"),
            f"replicates.until.axis is {shown(stopping.axis)}, which is no axis"
            f"{did_you_mean(stopping.axis, axes)}",
        )
    if stopping.metric is None and not raw.get("claims"):
        faults.add(("replicates", "until"), "replicates.until is claims, but there are none")
    raw["replicates"] = stopping.least
    return stopping


def _in_better_words(raw: dict[str, Any], key: str, text: str) -> str:
    """A finding about the study's own keys, in better words where there are any."""
    found = shown(raw[key])
    if key == "name" and isinstance(raw[key], int | float):
        return f"name is {found}; it must be text; put it in quotes"
    if key == "name":
        return (
            f"name is {found}; it names a folder: letters, digits, dot, dash and underscore, "
            "at most 64"
        )
    if key == "replicates" and "greater than" in text:
        return f"replicates is {found}; it must be at least 1"
    return text
