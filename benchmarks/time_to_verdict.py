"""Processor time until a list of claims is decided, in today's design and in that of before.

    python -m benchmarks.time_to_verdict [--seeds 20] [--most 80] [KEY=VALUE...]

Both are the article's study (scenarios/article.yaml) with `replicates: until: claims`, on seeds
that no other run has. Before: 88 cells that all meet one load, aged for 240 s and measured for
60 s. Now: the cells, loads and times of the scenario. The list was fixed before any run of this
benchmark: the article's claims without those that hold by construction and those on what never
happens. Claims on service and the others are studies of their own; designs take turns, seed by
seed. A claim that is given up, or open at the most replicates, is named: its study has taken at
least what it took.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import click

import study
from study.scenario.write import yaml_text

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "article.yaml"
SERVICE = ("order-aware-serves-more", "rmap-serves-more", "daemon-keeps-most")
OTHERS = (
    "stock-kswapd-rests",
    "order-aware-frees-many-more",
    "order-aware-keeps-more-free",
    "rmap-pages-per-block",
    "rmap-takes-fewer-pages",
    "inline-throws-out-useful",
    "inline-raises-refaults",
    "daemon-takes-fewer-pages",
    "daemon-throws-out-less",
    "stacks-wait",
    "stacks-reclaim",
    "receive-buffers-fail",
)
LISTS = {"service": SERVICE, "others": OTHERS}
GOALS = {"service": 8.0, "others": 3.0}
"""Times less than before."""
COUNTED = (
    "order-aware-frees-many-more",
    "stacks-wait",
    "stacks-reclaim",
    "receive-buffers-fail",
)
"""Claims whose margin is a number of events, so that it hangs on the window."""
FIRST_SEED = 700_001
LEAST = 5


def designs(wanted: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The scenario in both designs, with these of its claims."""
    now: dict[str, Any] = deepcopy(dict(study.load(SCENARIO).document))
    now["claims"] = [claim for claim in now["claims"] if claim["id"] in wanted]
    before: dict[str, Any] = deepcopy(now)
    del before["nuisance"]
    before["base"]["clock"] = {"ageing": "240s", "measure": "60s"}
    before["exclude"] = [
        one for one in now["exclude"] if not {"nic.receive", "stacks.size"} & {*one}
    ]
    for claim in before["claims"]:
        if claim["id"] in COUNTED:
            claim["matters"] /= 4
    return {"before": before, "now": now}


def processor_seconds(
    document: Mapping[str, Any], *, seed: int, most: int, overrides: tuple[str, ...]
) -> tuple[float, int, list[str]]:
    """(processor time, trials, claims left open) of one study, run in this process."""
    replicates = {"min": LEAST, "max": most, "until": "claims"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "design.yaml"
        path.write_text(yaml_text({**document, "seed": seed, "replicates": replicates}))
        began = time.process_time()
        found = study.run(path, *overrides, out=Path(folder) / "out", ray=False)
        took = time.process_time() - began
        verdicts = found.verdicts
        return took, len(found.trials), list(verdicts["id"][verdicts["verdict"] == "undecided"])


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--most", type=click.IntRange(min=10), default=80, show_default=True)
@click.option("--only", type=click.Choice(list(LISTS)), help="One of the two lists.")
@click.argument("overrides", nargs=-1)
def main(seeds: int, most: int, only: str | None, overrides: tuple[str, ...]) -> None:
    """Run both designs on SEEDS seeds each, up to MOST replicates; print times and ratios."""
    from study.fanout import prepare_simulation

    prepare_simulation()
    for name in [only] if only else LISTS:
        took: dict[str, list[float]] = {}
        ratios = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            for design, document in designs(LISTS[name]).items():
                seconds, trials, open_ = processor_seconds(
                    document, seed=seed, most=most, overrides=overrides
                )
                took.setdefault(design, []).append(seconds)
                row = {
                    "list": name, "seed": seed, "design": design,
                    "seconds": round(seconds, 1), "trials": trials, "undecided": open_,
                }  # fmt: skip
                print(json.dumps(row), flush=True)
            ratios.append(took["before"][-1] / took["now"][-1])
        for design, seconds_each in took.items():
            print(
                f"{name}, {design}: {statistics.median(seconds_each):.0f} s "
                f"({min(seconds_each):.0f} to {max(seconds_each):.0f})"
            )
        print(
            f"{name}: {statistics.median(ratios):.2g} times less "
            f"({min(ratios):.2g} to {max(ratios):.2g}); goal {GOALS[name]:g}"
        )


if __name__ == "__main__":
    main()
