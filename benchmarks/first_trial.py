"""A run that says when its first trial is done.

python -m benchmarks.first_trial OUT in-process | ray
"""

from __future__ import annotations

import sys

from benchmarks.startup import SCENARIO
from study.runs import Options, Watcher, run_study
from study.scenario import load


class Saying(Watcher):
    """Prints a line as soon as a trial has finished."""

    def advance(self, finished: int, failed: int) -> None:  # noqa: ARG002
        """Some have."""
        print("done", flush=True)


if __name__ == "__main__":
    out, way = sys.argv[1:]
    study = load(SCENARIO, ["replicates=1"])
    ray = way == "ray"
    run_study(study, f"{out}/out", Options(ray=ray, workers=2 if ray else None), watcher=Saying())
