"""Results as JSON."""

from __future__ import annotations

import json
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from study.results.summary import axis_and_metric_names
from study.statistics.contrasts import OverCells
from study.statistics.effects import Effect, main_effects
from study.statistics.findings import Findings, plain_verdicts
from study.statistics.headline import headline_of

if TYPE_CHECKING:
    import pandas as pd


def records(*tables: pd.DataFrame) -> str:
    """Rows of tables as a JSON list of objects; what is not a number there is null."""
    rows = [row for table in tables for row in json.loads(table.to_json(orient="records"))]
    return json.dumps(rows, indent=2)


def outline(results: Findings) -> dict[str, Any]:
    """The same for machines: how the run ended, and every main effect on the headline metrics."""
    manifest = results.manifest
    axes, _ = axis_and_metric_names(results.columns)
    names = [name for name, _ in headline_of(results)]
    effects = [
        effect
        for axis in axes
        for effect in main_effects(results.columns, axis=axis, metrics=names, cells=results.cells)[
            0
        ]
    ]
    return {
        "path": results.place,
        "name": manifest["name"],
        "state": manifest["state"],
        "fingerprint": manifest["fingerprint"],
        "counts": manifest["counts"],
        "elapsed_s": manifest.get("elapsed_s"),
        "failures": manifest["failures"],
        "answer": {"kind": results.answer.kind, "text": results.answer.text},
        "verdicts": plain_verdicts(results.judged()),
        "drift": json.loads(results.drift[results.drift["drifts"]].to_json(orient="records")),
        "effects": [
            {
                name: value if not isinstance(value, float) or isfinite(value) else None
                for name, value in _flat(effect).items()
            }
            for effect in effects
        ],
    }


def _flat(effect: Effect) -> dict[str, Any]:
    """An effect's fields, with those of what its cells show beside them."""
    fields = dict(vars(effect))
    return fields | vars(fields.pop("over_cells") or OverCells(0, 0, nan, nan, 0, 0, nan))
