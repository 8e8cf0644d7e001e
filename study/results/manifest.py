"""The manifest: what made a results folder, and how far it got."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.scenario import Study

FORMAT = 1
"""Layout of the folder and of its tables; a reader refuses a newer one."""

_WORDS = ("name", "question", "claims")
_PACKAGES = ("ray", "numba", "numpy", "pandas", "pyarrow", "scipy")


def fingerprint_of(document: Mapping[str, Any], simulation: str) -> str:
    """Name of everything that decides the rows: the resolved scenario, the simulation, the format.

    32 hex digits. What the study is called, asks and claims is left out: it changes no row.
    """
    settings = {key: value for key, value in document.items() if key not in _WORDS}
    decisive = {"document": settings, "simulation": simulation, "format": FORMAT}
    return hashlib.blake2b(_canonical(decisive).encode(), digest_size=16).hexdigest()


def new_manifest(study: Study, *, simulation: str, command: Iterable[str]) -> dict[str, Any]:
    """The manifest of a run that is about to start.

    simulation  digest of the simulation's sources
    """
    return {
        "format": FORMAT,
        "name": study.name,
        "question": study.question,
        "state": "running",
        "fingerprint": fingerprint_of(study.document, simulation),
        "simulation": simulation,
        "seed": study.seed,
        "replicates": study.replicates,
        "created": now(),
        "finished": None,
        "command": list(command),
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "counts": {
            "cells": len(study.cells),
            "trials": len(study.cells) * study.replicates,
            "finished": 0,
            "failed": 0,
        },
        "trial_seconds": 0.0,
        "failures": [],
        "headline": [],
        "axes": [str(axis) for axis in study.axes],
        "cells": {cell.id: dict(cell.levels) for cell in study.cells},
        "scenario": json.loads(_canonical(study.document)),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that shape the results."""
    found = {"python": platform.python_version(), "study": _version("fragmentation-study")}
    return found | {name: _version(name) for name in _PACKAGES}


def now() -> str:
    """The time, as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
