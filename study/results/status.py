"""How far a run is, or was when it ended: from its folder alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from study.results.errors import disk_errors
from study.results.folder import MANIFEST, Folder, opened
from study.results.trials import read_outcomes


def status_of(results: Folder | str | os.PathLike[str]) -> dict[str, Any]:
    """State, counts and failures of a results folder, as plain values.

    state  'running', 'stopped' (nobody writes any more, though the run never ended: it was killed,
           or lost its machine), 'interrupted', 'failed' or 'complete'

    The counts are those of the parts on disk, trials_per_s is over all the time that runs took, and
    left_s what the rest takes at that rate; left_out names parts that are not of this study, or
    cannot be read, and are not counted. Raises ResultsError when the folder is none.
    """
    folder = opened(results)
    manifest = folder.manifest
    state: str = manifest["state"]
    if state == "running" and not folder.is_being_written():
        state = "stopped"
    trials, left_out = read_outcomes(folder)
    with disk_errors(f"cannot read {folder.path / MANIFEST}"):
        written = _written(folder.path / MANIFEST)
    failed = trials[trials["status"] == "failed"]
    per_cell = trials["cell"].value_counts()
    done = len(trials)
    elapsed = manifest.get("elapsed_s") or 0.0
    rate = done / elapsed if elapsed else 0.0
    wanted = manifest["counts"]["trials"]
    seconds = manifest.get("trial_seconds") or 0.0
    return {
        "path": folder.place,
        "name": manifest["name"],
        "state": state,
        "counts": {
            **manifest["counts"],
            "finished": done,
            "failed": len(failed),
        },
        "cells_whole": int((per_cell >= manifest["replicates"]).sum()),
        "trials_per_s": rate,
        "left_s": max(wanted - done, 0) / rate if rate else None,
        "trial_s": seconds / done if done else 0.0,
        "failures": failed[["cell", "replicate", "error"]].head(5).to_dict("records"),
        "left_out": left_out,
        "written": written,
    }


_LAST_S = datetime.max.replace(tzinfo=UTC).timestamp() - 1


def _written(file: os.PathLike[str]) -> str:
    stamp = os.stat(file).st_mtime  # noqa: PTH116 - a plain path is not promised
    # A file may say that it is of any year, and a calendar ends.
    stamp = min(max(stamp, 0.0), _LAST_S)
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")
