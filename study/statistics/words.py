"""Numbers and verdicts as text: in one line, and in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import floor, isfinite, log10
from typing import TYPE_CHECKING

from study.statistics.intervals import CONFIDENCE
from study.statistics.verdict import REPLICATES_LEAST
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    from study.statistics.verdict import Verdict


def footnote(verdicts: Sequence[Verdict], *, alpha: float) -> str:
    """What the verdicts rest on, in one sentence or two.

    alpha  chance of a wrong verdict at one look: 5 %, shared by the looks there can be
    """
    asked = [verdict for verdict in verdicts if verdict.verdict != "not asked"]
    text = ""
    if asked:
        n = max(verdict.n for verdict in asked)
        looks = round((1 - CONFIDENCE) / alpha)
        text = (
            f"{n} replicates, compared within each. At least {100 * CONFIDENCE:g} % of such "
            f"studies say nothing wrong (Holm over {len(asked)} claim{'s' * (len(asked) > 1)}"
            f"{f', {looks} looks' * (looks > 1)}). [ ]: interval of {100 * (1 - alpha):.4g} %."
        )
        if n < REPLICATES_LEAST:
            text = f"{n} replicate{'s' * (n != 1)}: fewer than {REPLICATES_LEAST} decide nothing."
    skipped = [verdict for verdict in verdicts if verdict.verdict == "not asked"]
    if skipped and not asked:
        return f"No claim can be judged: {skipped[0].note}."
    if skipped:
        text += f" {len(skipped)} more claim{'s' * (len(skipped) > 1)}: this study lacks the cells."
    return text


def evidence(verdict: Verdict, *, most: int) -> str:
    """The figures behind a verdict, in one line.

    most  replicates that claims rest on; one that has fewer says so
    """
    parts = []
    if isfinite(verdict.estimate):
        if _is_sum(verdict):
            parts.append(f"{verdict.metric}: {_signed(verdict.estimate)}{_interval(verdict)}")
        else:
            of = f"{100 * verdict.share:g} % of " if verdict.share != 1 else ""
            of += f"the gain from {verdict.baseline} to " if verdict.baseline else ""
            parts.append(
                f"{verdict.metric} {number(verdict.side)} against {of}{number(verdict.other)}: "
                f"{_signed(verdict.estimate)}{_interval(verdict)}"
            )
        if verdict.margin:
            parts.append(f"{number(verdict.margin)} matters")
    if verdict.verdict == "undecided" and verdict.more is not None:
        parts.append(_still_needed(verdict.more, verdict.minutes))
    if verdict.note:
        parts.append(verdict.note)
    if 0 < verdict.n < most:
        parts.append(_fewer(verdict.n))
    return "; ".join(parts)


def statement(verdict: Verdict, labels: Mapping[str, str], *, most: int) -> str:
    """The same in sentences, for who does not know the metrics by name.

    labels  metric -> what to call it; others are called by their names, underscores as spaces
    """
    said: list[str] = []
    if isfinite(verdict.estimate):
        said += _comparison(verdict, _in_words(verdict.metric, labels))
    if verdict.note:
        said.append(verdict.note)
    if verdict.verdict == "undecided" and verdict.more is not None:
        said.append(f"{_still_needed(verdict.more, verdict.minutes)} would probably decide it")
    if 0 < verdict.n < most:
        said.append(_fewer(verdict.n))
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in said)


def _comparison(verdict: Verdict, metric: str) -> Iterator[str]:
    """What was compared, the difference with its interval, and what would not matter."""
    # Shares of one are told in per cent.
    share = is_share(verdict.metric) and not _is_sum(verdict)
    factor, unit, points = (100.0, " %", " points") if share else (1.0, "", "")

    def figure(value: float) -> str:
        value *= factor
        return "0.000" if 0 < abs(value) < 0.0005 else number(value)

    found = "+" * (verdict.estimate > 0) + figure(verdict.estimate) + points
    if isfinite(verdict.low) and isfinite(verdict.high):
        found += f" [{figure(verdict.low)} to {figure(verdict.high)}]"
    if _is_sum(verdict):
        yield f"{metric}: {found}"
    else:
        of = f"{100 * verdict.share:g} % of " if verdict.share != 1 else ""
        of += f"the gain from {verdict.baseline} to " if verdict.baseline else ""
        yield f"{metric}: {figure(verdict.side)}{unit} against {of}{figure(verdict.other)}{unit}"
        yield f"difference {found}"
    if verdict.margin:
        least = figure(verdict.margin)
        yield f"less than {least}{points.removesuffix('s' * (least == '1'))} would not matter"


def _in_words(metric: str, labels: Mapping[str, str]) -> str:
    """A metric, or a weighted sum of some, with every name replaced by what it is called."""
    times = re.sub(r"(?<![\d.])([\d.]+) (?=[a-z])", "\\1 \N{MULTIPLICATION SIGN} ", metric)
    return re.sub(
        r"[a-z]\w+", lambda name: labels.get(name[0], name[0].replace("_", " ")), times
    ).replace(" - ", " \N{MINUS SIGN} ")


def _is_sum(verdict: Verdict) -> bool:
    metric = verdict.metric
    return " + " in metric or " - " in metric or metric[0].isdigit()


def _still_needed(more: int, minutes: float | None) -> str:
    text = f"about {more:,} more replicate{'s' * (more > 1)}"
    return text if minutes is None else f"{text}, {duration(minutes)}"


def _fewer(n: int) -> str:
    return f"{n} replicate{'s' * (n > 1)}"


def duration(minutes: float) -> str:
    """A time in the unit that fits it: '40 s', '12 min', '3 h', '5 days'."""
    if minutes < 1.5:
        return f"{max(60 * minutes, 1):.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} days"


def number(value: float) -> str:
    """A number with three digits that count."""
    if not isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e6 or (size and size < 1e-4):
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 1000 else digits(value, 3)


def _signed(value: float) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def _interval(verdict: Verdict) -> str:
    if not (isfinite(verdict.low) and isfinite(verdict.high)):
        return ""
    return f" [{number(verdict.low)}, {number(verdict.high)}]"


def with_half(mean: float, *, half: float) -> str:
    """A mean and its half-width, in one unit and to the same decimal, as '20.8k ±2.3k'."""
    if not isfinite(mean):
        return "-"
    factor, unit = _unit(mean)
    if not isfinite(half):
        return digits(mean / factor, 4) + unit
    if half == 0:
        return f"{digits(mean / factor, 4)}{unit} ±0"
    scaled = half / factor
    before_point = len(str(int(abs(mean / factor))))
    decimals = min(max(1 - floor(log10(scaled)), 0), 5 - before_point)
    shown = f"{scaled:.{decimals}f}{unit}"
    if float(f"{scaled:.{decimals}f}") == 0:
        shown = f"<{10.0**-decimals:.{decimals}f}{unit}"
    # "z": what rounds to nothing has no sign.
    return f"{mean / factor:z.{decimals}f}{unit} ±{shown}"


def _unit(value: float) -> tuple[float, str]:
    size = abs(value)
    for limit, factor, unit in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M")):
        if size >= limit:
            return factor, unit
    return (1e3, "k") if size >= 1e4 else (1.0, "")


def digits(value: float, digits: int) -> str:
    """At most so many digits that count, without trailing zeros."""
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1 else f"{value:.0f}"
