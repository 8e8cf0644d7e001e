"""Processor time until a list of claims is decided, in today's design and in that of before.

    python -m benchmarks.time_to_verdict POOL [--replicates 24] [--seeds 20] [--most 80] [KEY=...]

Both are the article's study (scenarios/article.yaml) with `replicates: until: claims`, on seeds
that no other run has. Before: 88 cells that all meet one load, aged for 240 s and measured for
60 s. Now: the cells, loads and times of the scenario. The list was fixed before any run of this
benchmark: the article's claims without those that hold by construction and those on what never
happens. Claims on service and the others are studies of their own.

Each design is run once, in turns of a replicate, into a pool of rows below POOL; a pool that is
there is gone on with. A study is then a draw from the pool, with replacement, replicate by
replicate and with all cells of a replicate together: its stopping rule looks at what it has drawn
and wants more, as in a run, and it has taken the processor time of the trials it looked at.
That stands for hours of runs, and is what a bootstrap of runs is: what the pool does not hold, no
study sees. A claim that is given up, or open at the most replicates, is named: its study has taken
at least what it took.

What a claim would take if it could stop anywhere is told besides: the variance of its difference
times the processor time of its cells, before to now, with the interval of a ratio of variances.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np
import pandas as pd
from scipy import stats

import study
from study.fanout.trial import run_trial
from study.scenario import load_text
from study.scenario.write import yaml_text
from study.statistics import replicates_wanted
from study.statistics.verdict import judge
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    from study.scenario import Claim, Study, Trial
    from study.scenario.stopping import Stopping

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
SEED = 700_001
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


def filled(pool: Path, replicates: int, overrides: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Rows of both designs, run in this process in turns; `processor_s` is a trial's time."""
    pool.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[pd.DataFrame]] = {}
    for replicate in range(replicates):
        for design, document in designs((*SERVICE, *OTHERS)).items():
            path = pool / f"{design}-{replicate:03}.parquet"
            if not path.exists():
                text = yaml_text({**document, "seed": SEED, "replicates": replicates})
                asked = load_text(text, f"{design}.yaml", overrides)
                rows = [timed(t) for t in asked.trials() if t.replicate == replicate]
                pd.DataFrame(rows).to_parquet(path)
                print(f"{path}: {sum(row['processor_s'] for row in rows):.1f} s", flush=True)
            tables.setdefault(design, []).append(pd.read_parquet(path))
    return {design: pd.concat(parts, ignore_index=True) for design, parts in tables.items()}


def timed(trial: Trial) -> dict[str, Any]:
    """Run one trial, and time it."""
    began = time.process_time()
    row = run_trial(trial)
    took = time.process_time() - began
    return {
        "cell": row.cell, "processor_s": took, "replicate": row.replicate, "seed": row.seed,
        "status": row.status, "error": row.error, **row.metrics,
    }  # fmt: skip


def drawn(pool: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    """`most` replicates of the pool, with replacement; all cells of a replicate stay together."""
    picks = random.integers(pool["replicate"].max() + 1, size=most)
    order = pd.DataFrame({"replicate": picks, "place": range(most)})
    return (
        order.merge(pool, on="replicate")
        .drop(columns="replicate")
        .rename(columns={"place": "replicate"})
    )


def decided(asked: Study, table: pd.DataFrame) -> tuple[float, int, list[str]]:
    """(processor time, trials, claims left open) of the study that has drawn this table."""
    rule = cast("Stopping", asked.stopping)
    cells = {cell.id: cell.levels for cell in asked.cells}
    wanted = dict.fromkeys(cells, LEAST)
    while True:
        seen = table[table["replicate"] < table["cell"].map(wanted)]
        more = replicates_wanted(rule, seen, cells, asked.claims)
        if not more:
            break
        wanted |= more
    judged = judge(asked.claims, seen, cells, looks=rule.looks(), most=rule.most)
    open_ = [
        claim.id
        for claim, verdict in zip(asked.claims, judged, strict=True)
        if verdict.verdict == "undecided"
    ]
    return float(seen["processor_s"].sum()), len(seen), open_


def variance_and_cost(asked: Study, claim: Claim, pool: pd.DataFrame) -> tuple[float, float]:
    """Variance of a claim's difference over replicates, in a minute, and time of its cells.

    Of several sides that it is held against, the one that is known worst.
    """
    levels = {cell.id: cell.levels for cell in asked.cells}
    metric = sum(pool[name] * factor for name, factor in claim.metric.items())
    values = pool.assign(value=metric).pivot(index="replicate", columns="cell", values="value")
    seconds = pool.groupby("cell")["processor_s"].mean()
    minutes = asked.cells[0].settings.clock.measure_ns / 60e9
    found = []
    for comparison in claim.comparisons(levels):
        side, reference = (
            values[list(weights)] @ pd.Series(weights, dtype=float)
            for weights in (comparison.side, comparison.reference)
        )
        unit = minutes if is_counted(claim.metric) else 1.0
        variance = ((side - reference) / unit).var()
        found.append((float(variance), float(seconds[comparison.cells].sum())))
    return max(found)


def is_counted(metric: Mapping[str, float]) -> bool:
    """Does it grow with the window? Shares, means and ratios do not."""
    return not any(
        is_share(name) or name.endswith(("_mean", "_per_block", "_block")) for name in metric
    )


@click.command()
@click.argument("pool", type=click.Path(file_okay=False, path_type=Path))
@click.option("--replicates", type=click.IntRange(min=2), default=24, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--most", type=click.IntRange(min=10), default=80, show_default=True)
@click.argument("overrides", nargs=-1)
def main(pool: Path, replicates: int, seeds: int, most: int, overrides: tuple[str, ...]) -> None:
    """Fill POOL with both designs, draw SEEDS studies of each; print times and ratios."""
    from study.fanout import prepare_simulation

    prepare_simulation()
    tables = filled(pool, replicates, overrides)
    until = {"min": LEAST, "max": most, "until": "claims"}
    for name, claims in LISTS.items():
        took: dict[str, list[float]] = {}
        asked = {
            design: load_text(
                yaml_text({**document, "replicates": until}), f"{design}.yaml", overrides
            )
            for design, document in designs(claims).items()
        }
        for seed in range(seeds):
            for design, one in asked.items():
                random = np.random.default_rng((SEED, seed, design == "now"))
                seconds, trials, open_ = decided(one, drawn(tables[design], most, random))
                took.setdefault(design, []).append(seconds)
                row = {
                    "list": name, "seed": seed, "design": design,
                    "seconds": round(seconds, 1), "trials": trials, "undecided": open_,
                }  # fmt: skip
                print(json.dumps(row), flush=True)
        for design, seconds_each in took.items():
            print(
                f"{name}, {design}: {statistics.median(seconds_each):.0f} s "
                f"({min(seconds_each):.0f} to {max(seconds_each):.0f})"
            )
        for index, claim in enumerate(asked["now"].claims):
            (v0, s0), (v1, s1) = (
                variance_and_cost(one, one.claims[index], tables[design])
                for design, one in asked.items()
            )
            low, high = stats.f.ppf((0.025, 0.975), replicates - 1, replicates - 1)
            ratio = v0 * s0 / (v1 * s1)
            print(
                f"{claim.id}: variance {v0 / v1:.2g} times less in cells that take "
                f"{s1 / s0:.2g} times as long: {ratio:.2g} times less in all "
                f"({low * ratio:.2g} to {high * ratio:.2g})"
            )
        ratios = [b / n for b, n in zip(took["before"], took["now"], strict=True)]
        print(
            f"{name}: {statistics.median(ratios):.2g} times less "
            f"({min(ratios):.2g} to {max(ratios):.2g}); goal {GOALS[name]:g}"
        )


if __name__ == "__main__":
    main()
