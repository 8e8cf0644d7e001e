"""What a study says, in a few sentences that a person would say.

It is about policies, the axes that somebody chooses, or all axes if none is one; what else is known
to matter comes after them. Of each axis a level is named that is known to serve more than another:
of such levels the one that serves most, against the first level if it is known to serve more than
that. A difference is known if it is significant in the table of contrasts (5 % for all differences
of the headline metrics together, Holm; less for each look of a study that looks several times). So
of studies whose policies are all alike at most one in twenty names a difference. Each number is one
of a contrast, or a mean over the cells that it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from study.intervals import CONFIDENCE
from study.results.expected import nuisance_of
from study.scenario.machine.requests import by_column, names_of
from study.scenario.matrix import named_axes, policies_of
from study.scenario.trial import level_name
from study.statistics.contrasts import (
    LEVELS_MOST,
    MARKED_LEAST,
    axis_pairs,
    both_sides,
    levels_of,
    significant,
)
from study.statistics.drift import clock_of
from study.statistics.effects import mean_and_bounds
from study.statistics.looks import spent_at
from study.statistics.measured import Measured
from study.statistics.sensitivity import sampled_axes
from study.statistics.tradeoff import GAIN
from study.statistics.verdict import more_than, replicates_for, size_bounds
from study.statistics.words import number, share_with_interval, still_needed
from study.zone.trial.metrics import LABELS, is_service

if TYPE_CHECKING:
    import pandas as pd

    from study.results import Tables
    from study.results.trials import TrialColumns

Kind = Literal["difference known", "no difference known", "nothing refused", "nothing to compare"]
COSTS = ("reclaimed_pages", "moved_pages", "refaults")
_FURTHER_MOST = 2
_UNTESTED_MOST = 3
"""Pairs of levels that are named."""
PRESSING = (
    "what would press it: more of them a second (nic.rx_rate), less memory (zone.memory), a larger "
    "working set (user.working_set), longer ageing (clock.ageing)"
)


@dataclass(frozen=True)
class Answer:
    """What a study says.

    Parameters
    ----------
    kind
        'difference known' if a level is known to serve more than another one.
    text
        Sentences.
    differences
        (axis, level, level that it is known to serve more than): policies first, and of those the
        one that makes the largest difference.
    """

    kind: Kind
    text: str
    differences: tuple[tuple[str, Any, Any], ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Mean:
    """Share served at a level, with its 95 % interval, in so many replicates."""

    level: Any
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class _OnAxis:
    """What is known of one axis: a level, one that it serves more than, and levels as good.

    The means are of the cells that differ in this axis alone.
    """

    axis: str
    best: _Mean
    other: _Mean
    difference: float
    open: tuple[Any, ...]


def answer_of(
    results: Tables,
    *,
    contrasts: pd.DataFrame,
    verdicts: Sequence[str],
    looks: Sequence[int],
    seconds: float | None,
) -> Answer:
    """The answer of a study, finished or not.

    Parameters
    ----------
    results
        Its rows.
    contrasts
        As contrast_table() gives them.
    verdicts
        One word for each of its claims whose cells the study has.
    looks
        Numbers of replicates after which it looks at its rows.
    seconds
        Wall time that one more trial takes; None if that is not known.
    """
    manifest, trials = results.manifest, results.columns
    metric = _service(trials)
    if metric is None:
        return Answer("nothing to compare", "No trial has finished that asked for memory.")
    what = _what(metric, manifest["scenario"])
    finished = trials.finished(metric)[metric]
    values = finished.dropna()
    counted = f"{len(values):,} trials"
    if len(values) < len(finished):
        counted = f"{len(values):,} of {len(finished):,} trials that asked for any"
    if (values == 1).all():
        return Answer(
            "nothing refused",
            f"No cell refused anything: all {what} were served in all {counted}, so "
            f"this load does not tell policies apart; {PRESSING}.",
        )
    skipped = {*sampled_axes(manifest), *nuisance_of(manifest)}
    axes = [axis for axis in manifest["axes"] if axis not in skipped]
    choices = policies_of(axes, named_axes(manifest["scenario"])) or axes
    cells = results.cells
    axes = [axis for axis in axes if len(levels_of(cells, axis)) > 1]
    if not {*axes} & {*choices}:
        many = len(cells) > 1
        text = f"{100 * values.mean():.4g} % of {what} are served, and no policies are compared"
        return Answer(
            "nothing to compare",
            text + ("; `study sensitivity` tells which range matters." if many else "."),
        )
    pairs = _Pairs(contrasts, metric, looks, seconds, Measured(trials, cells))
    known = [found for axis in axes if (found := pairs.known(axis))]
    # Policies first, then the machine and its load.
    known.sort(key=lambda found: (found.axis not in choices, -abs(found.difference)))
    sentences = list(_claims(verdicts))
    if not known:
        sentences += pairs.undecided(choices, what, cells=len(cells))
        return Answer("no difference known", " ".join(sentences))
    windows = clock_of(manifest, "measure")
    sentences.append(_largest_difference(known[0], what, pairs, costs=len({*windows.values()}) < 2))
    sentences += [_further(found) for found in known[1 : _FURTHER_MOST + 1]]
    told = {found.axis for found in known}
    unknown = [axis for axis in choices if axis not in told and axis in pairs.axes]
    if unknown:
        sentences.append(f"{_listed(unknown)}: no difference known.")
    sentences += pairs.left_out(choices)
    averaged_over = [axis for axis in axes if axis not in {found.axis for found in known[:1]}]
    sentences.append(_scope(manifest["scenario"]["base"], averaged_over, varied=manifest["axes"]))
    if len(values) < len(finished):
        sentences.append(f"Of {counted}.")
    return Answer(
        "difference known",
        " ".join(sentences),
        tuple((found.axis, found.best.level, found.other.level) for found in known),
    )


class _Pairs:
    """The contrasts between levels, by axis and metric."""

    def __init__(
        self,
        table: pd.DataFrame,
        metric: str,
        looks: Sequence[int],
        seconds: float | None,
        measured: Measured,
    ) -> None:
        of_axes = table[(table["kind"] == "axis") & table["metric"].isin([metric, *COSTS])]
        self.metric = metric
        spent = np.array([spent_at(int(n), looks) for n in of_axes["n"]])
        of_axes = of_axes.assign(differs=significant(of_axes, (1 - CONFIDENCE) * spent))
        self.rows: dict[tuple[str, str, Any, Any], dict[str, Any]] = {}
        for values in of_axes.itertuples(index=False):
            row = dict(zip(of_axes.columns, values, strict=True))
            self.rows[row["metric"], row["axis"], row["level"], row["against"]] = row
        self.seconds = seconds
        self.measured = measured

    def row(self, metric: str, axis: str, one: Any, other: Any) -> dict[str, Any] | None:
        """The contrast of two levels; turned if the table has it the other way round."""
        row = self.rows.get((metric, axis, one, other))
        if row is not None:
            return row
        row = self.rows.get((metric, axis, other, one))
        if row is None:
            return None
        turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
        for name, of in (
            ("ratio", "ratio"),
            ("ratio_low", "ratio_high"),
            ("ratio_high", "ratio_low"),
        ):
            turned[name] = 1 / row[of] if row[of] else float("nan")
        return row | turned

    def known(self, axis: str) -> _OnAxis | None:
        """What is known of an axis; None if nothing is."""
        levels = levels_of(self.measured.cells, axis)
        gains = {
            level: {
                other: float(row["difference"])
                for other in levels
                if (row := self.row(self.metric, axis, level, other)) is not None
                and row["differs"]
                and row["difference"] > 0
            }
            for level in levels
        }
        gains = {level: worse for level, worse in gains.items() if worse}
        if not gains:
            return None
        beaten = {level for worse in gains.values() for level in worse}
        first = levels[0]
        best = max(
            gains,
            key=lambda level: (
                level not in beaten,
                len(gains[level]),
                gains[level].get(first, max(gains[level].values())),
            ),
        )
        worse = gains[best]
        # The first level is the machine as it is; where that serves most, the worst is named.
        other = first if first in worse else max(worse, key=lambda level: worse[level])
        as_good = [
            level
            for level in levels
            if level != best
            and level not in worse
            and best not in gains.get(level, {})
            and (row := self.row(self.metric, axis, best, level)) is not None
            and row["n"] >= MARKED_LEAST
        ]
        means = self._means(axis, best, other)
        return _OnAxis(axis, *means, worse[other], tuple(as_good))

    def _means(self, axis: str, best: Any, other: Any) -> tuple[_Mean, _Mean]:
        """Of two levels, over the cells that differ in their axis alone."""
        values = self.measured.values(self.metric)
        pair = next(
            pair
            for pair in axis_pairs(self.measured.cells, [axis])
            if {pair.level, pair.against} == {best, other}
        )
        left, right, _ = both_sides(self.measured, values, pair)
        by_level = {pair.level: left, pair.against: right}
        one, two = (
            _Mean(
                level,
                *mean_and_bounds(by_level[level], share=True)[:3],
                int(np.isfinite(by_level[level]).sum()),
            )
            for level in (best, other)
        )
        return one, two

    @property
    def axes(self) -> list[str]:
        """Axes of which levels were held against each other."""
        return list(
            dict.fromkeys(axis for metric, axis, _, _ in self.rows if metric == self.metric)
        )

    def left_out(self, axes: Sequence[str]) -> Iterator[str]:
        """Axes of which nothing was tested, and levels without a value."""
        apart = [axis for axis in axes if axis not in self.axes]
        if apart:
            yield (
                f"{_listed(apart)}: not compared level by level (more than {LEVELS_MOST} levels, "
                "or no settings in common); claims and `study tradeoff` do."
            )
        for axis in axes:
            if axis in apart:
                continue
            levels = levels_of(self.measured.cells, axis)
            counts = {
                frozenset((one, other)): int(row["n"])
                for one, other in combinations(levels, 2)
                if (row := self.row(self.metric, axis, one, other)) is not None
            }
            n = {level: max((c for pair, c in counts.items() if level in pair), default=0)
                 for level in levels}  # fmt: skip
            without = [level for level in levels if n[level] < MARKED_LEAST]
            if without and len(without) < len(n):
                yield (
                    f"Nothing is known of {axis} {_listed([*map(level_name, without)])}: fewer "
                    f"than {MARKED_LEAST} replicates have a value beside another level's."
                )
            untested = [
                f"{level_name(one)} with {level_name(other)}"
                for one, other in combinations([each for each in levels if each not in without], 2)
                if counts.get(frozenset((one, other)), 0) < MARKED_LEAST
            ]
            if untested:
                named, more = untested[:_UNTESTED_MOST], len(untested) - _UNTESTED_MOST
                yield (
                    f"Not compared on {axis}: {', '.join(named)}"
                    + (f" and {more} pairs more" if more > 0 else "")
                    + " (no settings in common, or too few replicates)."
                )

    def undecided(self, axes: Sequence[str], what: str, *, cells: int) -> Iterator[str]:
        """That nothing is known, and how many more replicates would probably decide."""
        axes_tested = [axis for axis in axes if axis in self.axes]
        rows = [
            row
            for (metric, axis, _, _), row in self.rows.items()
            if metric == self.metric and axis in axes
        ]
        seen = [row for row in rows if row["n"] >= MARKED_LEAST]
        # A difference that is 0 in every replicate has no p-value.
        tested = [row for row in seen if isfinite(row["p"])]
        if rows and not seen:
            yield f"Undecided: fewer than {MARKED_LEAST} replicates decide nothing."
        elif seen and not tested:
            makes = "make" if len(axes_tested) > 1 else "makes"
            n = min(int(row["n"]) for row in seen)
            yield (
                f"{_listed(axes_tested)} {makes} no difference to the {what} served in any of {n} "
                "replicates."
            )
        elif tested:
            yield self._nearest(tested, what, cells)
        yield from self.left_out(axes)

    def _nearest(self, tested: Sequence[Mapping[str, Any]], what: str, cells: int) -> str:
        nearest = min(tested, key=lambda row: row["p"])
        needed = self._needed(nearest, len(tested), cells)
        n = max(int(row["n"]) for row in tested)
        return (
            f"Undecided: after {n} replicates no policy is known to serve more {what} than "
            f"another. Nearest to it: {nearest['axis']} {level_name(nearest['level'])} against "
            f"{level_name(nearest['against'])}, {_points(nearest)}; {needed}."
        )

    def _needed(self, row: Mapping[str, Any], tests: int, cells: int) -> str:
        from scipy import stats

        n = int(row["n"])
        size = float(stats.t.isf(row["p"] / 2, n - 1)) / sqrt(n)
        low, high = size_bounds(size, n)
        alpha = (1 - CONFIDENCE) / tests
        least, most = replicates_for([high], alpha), replicates_for([low], alpha)
        if least is None:
            return "no number of replicates would decide it"
        more, more_most = more_than(n, least, most)
        each = self.seconds * cells / 60 if self.seconds else None
        minutes = each * more if each else None
        minutes_most = each * more_most if each and more_most else None
        return f"to decide it: {still_needed(more, more_most, minutes, minutes_most)}"


def _service(trials: TrialColumns) -> str | None:
    """The share of requests served that the study is about; None if nobody asked for memory.

    The first one of which trials differ, or else that is not 1, or else that there is.
    """
    shares = [name for name in trials.columns if is_service(name) and name.endswith("served_ratio")]
    names = dict.fromkeys((*GAIN, *shares, *filter(is_service, trials.columns)))
    found = {name: set(trials[name].dropna()) for name in names if name in trials}
    found = {name: values for name, values in found.items() if values}
    differing = [name for name, values in found.items() if len(values) > 1]
    refused = [name for name, values in found.items() if values != {1}]
    return next(iter((*differing, *refused, *found)), None)


def _what(metric: str, scenario: Mapping[str, Any]) -> str:
    """Whose requests they are."""
    for column, name in by_column(names_of(scenario)).items():
        if metric.startswith(f"{column}_"):
            return f"requests of {name}"
    label = LABELS.get(metric, metric.replace("_", " "))
    return label.removesuffix(" served")


def _claims(verdicts: Sequence[str]) -> Iterator[str]:
    """How many claims came out how."""
    if verdicts:
        counts = [f"{list(verdicts).count(word)} {word}" for word in dict.fromkeys(verdicts)]
        yield f"Claims: {', '.join(counts)}."


def _share(level: _Mean) -> str:
    return share_with_interval(level.mean, level.low, level.high, n=level.n)


def _points(row: Mapping[str, Any]) -> str:
    return (
        f"{100 * row['difference']:+.3g} points [{100 * row['low']:.3g} to {100 * row['high']:.3g}]"
    )


def _largest_difference(found: _OnAxis, what: str, pairs: _Pairs, *, costs: bool) -> str:
    """The largest difference, and what it costs, unless cells are measured for other times."""
    best, other = found.best, found.other
    text = (
        f"{found.axis} {level_name(best.level)} serves {_share(best)} of {what}, "
        f"{level_name(other.level)} {_share(other)}"
    )
    costs_said = []
    for metric in COSTS if costs else ():
        row = pairs.row(metric, found.axis, best.level, other.level)
        if row is None or not (row["mean"] or row["mean_against"]):
            continue
        name = LABELS.get(metric, metric)
        if isfinite(row["ratio"]):
            bounds = (
                f" [{row['ratio_low']:.3g} to {row['ratio_high']:.3g}]"
                if row["ratio_low"] < row["ratio_high"]
                else ""
            )
            costs_said.append(f"{row['ratio']:.3g}{bounds} times the {name}")
        elif isfinite(row["difference"]):
            gap = row["difference"]
            costs_said.append(f"{number(abs(gap))} {'fewer' if gap < 0 else 'more'} {name}")
    if costs_said:
        text += f", for {_listed(costs_said)}"
    text += "."
    if found.open:
        text += (
            f" As good, as far as is known: {_listed([level_name(level) for level in found.open])}."
        )
    return text


def _further(found: _OnAxis) -> str:
    best, other = found.best, found.other
    return (
        f"{found.axis} {level_name(best.level)} serves {_share(best)}, "
        f"{level_name(other.level)} {_share(other)}."
    )


def _scope(base: Mapping[str, Any], averaged_over: Sequence[str], *, varied: Sequence[str]) -> str:
    """What the numbers are means over, and the machine that they hold for."""
    averaged = f"means over {_listed(averaged_over)}; " if averaged_over else ""
    held = f"kernel {base['kernel']}" if "kernel" not in varied and "kernel" in base else ""
    said = f"{averaged}{held or 'the rest'} and the load of the scenario are held."
    return said[0].upper() + said[1:]


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
