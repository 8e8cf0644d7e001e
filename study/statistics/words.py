"""Numbers and verdicts as text: in one line, and in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import floor, isfinite, log10
from typing import TYPE_CHECKING

from study.intervals import CONFIDENCE
from study.statistics.verdict import REPLICATES_LEAST, TESTED
from study.zone.trial.metrics import LABELS, is_share

if TYPE_CHECKING:
    from study.statistics.verdict import Verdict


_PAIRING_LEAST = 2.0
"""Factor of replicates saved by pairing from which it is mentioned."""


def footnote(verdicts: Sequence[Verdict], *, looks: int = 1, extended: int = 0) -> str:
    """How sure the verdicts are, in a few sentences.

    Parameters
    ----------
    verdicts
        On all claims of a study.
    looks
        How often its stopping rule may look at the rows.
    extended
        How often cells or replicates were added to it by a person, not by that rule.

    Returns
    -------
    str
        On one line, without the verdicts themselves.
    """
    judged = [verdict for verdict in verdicts if verdict.has_cells]
    text = ""
    if judged:
        n = max(verdict.n for verdict in judged)
        assurance = _assurance(judged, looks, extended)
        text = " ".join([f"{n} replicates, compared within each.", *assurance])
        if n < REPLICATES_LEAST:
            text = f"{n} replicate{'s' * (n != 1)}: fewer than {REPLICATES_LEAST} decide nothing."
    skipped = [verdict for verdict in verdicts if verdict not in judged]
    if skipped and not judged:
        return f"No claim can be judged: {skipped[0].note}."
    if skipped:
        text += f" {len(skipped)} more claim{'s' * (len(skipped) > 1)}: this study lacks the cells."
    return text


def _assurance(judged: Sequence[Verdict], looks: int, extended: int) -> Iterator[str]:
    """Sentences: how often such verdicts are wrong, which of them have no such rate, what the
    brackets in tables are, and whether the claims stood before the rows.
    """
    tested = [verdict for verdict in judged if verdict.verdict in TESTED]
    seen = [verdict for verdict in judged if verdict.verdict in ("always seen", "never seen")]
    if tested:
        yield (
            f"At least {100 * CONFIDENCE:g} % of such studies say nothing wrong "
            f"(Holm over {len(tested)} claim{'s' * (len(tested) > 1)}"
            f"{f', {looks} looks' * (looks > 1)}) while differences are not skewed; "
            f"the most skewed here has {_most_skewed(tested):.1f}."
        )
    if tested and extended:
        times = "once" if extended == 1 else f"{extended} times"
        yield (
            f"The study was extended {times}: if its verdicts were read before and led to that, "
            "such studies say something wrong more often."
        )
    if seen:
        which = " or ".join(dict.fromkeys(verdict.verdict for verdict in seen))
        yield (
            f"What was {which} is said of replicates and not tested: the mean may differ by what "
            "no replicate showed."
        )
    levels = sorted({round(100 * verdict.confidence, 2) for verdict in judged})
    shown = f"{levels[0]:g}" if len(levels) == 1 else f"{levels[0]:g} to {levels[-1]:g}"
    yield f"[ ]: interval of {shown} %, each by itself."
    late = sum(verdict.stood == "after" for verdict in judged)
    if any(verdict.stood == "before" for verdict in judged) and not late:
        yield "The claims stood before the first row."
    elif late:
        which = "The claims were" if late == len(judged) else f"{late} of {len(judged)} claims were"
        yield f"{which} written, or changed, after rows were there."


def _most_skewed(tested: Sequence[Verdict]) -> float:
    skews = [one.skew for one in tested if isfinite(one.skew)]
    return max(skews, key=abs, default=0.0)


def evidence(verdict: Verdict, labels: Mapping[str, str] = LABELS, *, most: int) -> str:
    """The figures behind a verdict, in one line.

    Parameters
    ----------
    verdict
        On a claim of which the study has the cells.
    labels
        Metric -> what to call it; others keep their names.
    most
        Replicates of the claim that has the most; one with fewer says how many.

    Returns
    -------
    str
        Parts with semicolons between them.
    """
    parts = []
    metric = _labelled(verdict.metric, labels)
    if isfinite(verdict.estimate):
        if _is_sum(verdict):
            parts.append(f"{metric}: {_signed(verdict.estimate)}{_interval(verdict)}")
        else:
            of = f"{100 * verdict.share:g} % of " if verdict.share != 1 else ""
            of += f"the gain from {verdict.baseline} to " if verdict.baseline else ""
            side, other = numbers_apart(verdict.side, verdict.other)
            parts.append(
                f"{metric}: {side} against {of}{other}, "
                f"{_signed(verdict.estimate)}{_interval(verdict)}"
            )
        if verdict.margin:
            parts.append(f"{number(verdict.margin)} matters")
    if verdict.more is not None and _is_open(verdict):
        parts.append(_needed(verdict, verdict.more))
    if verdict.note:
        parts.append(verdict.note)
    if 0 < verdict.n < most:
        parts.append(_fewer(verdict.n))
    return "; ".join(parts)


def statements(verdicts: Sequence[Verdict], labels: Mapping[str, str]) -> list[tuple[Verdict, str]]:
    """The verdicts on claims that could be judged, each with its figures as statement() has them.

    Parameters
    ----------
    verdicts
        On all claims of a study.
    labels
        As for statement().

    Returns
    -------
    list of tuple
        (verdict, sentences), in the same order.
    """
    judged = [verdict for verdict in verdicts if verdict.has_cells]
    most = max((verdict.n for verdict in judged), default=0)
    return [(verdict, statement(verdict, labels, most=most)) for verdict in judged]


def statement(verdict: Verdict, labels: Mapping[str, str], *, most: int) -> str:
    """The figures behind a verdict, in sentences, for readers who do not know the metrics by name.

    Parameters
    ----------
    verdict
        On a claim of which the study has the cells.
    labels
        Metric -> what to call it; of others the name is used, underscores as spaces.
    most
        As for evidence().

    Returns
    -------
    str
        One paragraph.
    """
    sentences: list[str] = []
    if isfinite(verdict.estimate):
        sentences += _comparison(verdict, in_words(verdict.metric, labels))
    if verdict.pairing >= _PAIRING_LEAST:
        sentences.append(
            f"compared within replicates it takes {verdict.pairing:.2g} times fewer of them "
            f"[{verdict.pairing_low:.2g} to {verdict.pairing_high:.2g}]"
        )
    if verdict.note:
        sentences.append(verdict.note)
    if verdict.more is not None and _is_open(verdict):
        sentences.append(f"to decide it: {_needed(verdict, verdict.more)}")
    if 0 < verdict.n < most:
        sentences.append(_fewer(verdict.n))
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in sentences)


def _comparison(verdict: Verdict, metric: str) -> Iterator[str]:
    """What was compared, the difference with its interval, and what would not matter."""
    # Shares (of 1) are shown in per cent.
    share = is_share(verdict.metric) and not _is_sum(verdict)
    factor, unit, points = (100.0, " %", " points") if share else (1.0, "", "")

    def figure(value: float) -> str:
        value *= factor
        return "0.000" if 0 < abs(value) < 0.0005 else number(value)

    found = "+" * (verdict.estimate > 0) + figure(verdict.estimate) + points
    if _has_interval(verdict):
        found += f" [{figure(verdict.low)} to {figure(verdict.high)}]"
    if _is_sum(verdict):
        yield f"{metric}: {found}"
    else:
        of = f"{100 * verdict.share:g} % of " if verdict.share != 1 else ""
        of += f"the gain from {verdict.baseline} to " if verdict.baseline else ""
        side, other = figure(verdict.side), figure(verdict.other)
        if side == other:
            side, other = numbers_apart(verdict.side * factor, verdict.other * factor)
        yield f"{metric}: {side}{unit} against {of}{other}{unit}"
        yield f"difference {found}"
    if verdict.margin:
        least = figure(verdict.margin)
        yield f"less than {least}{points.removesuffix('s' * (least == '1'))} would not matter"


def in_words(metric: str, labels: Mapping[str, str]) -> str:
    """A metric, or a weighted sum of some, with every name replaced by what it is called."""
    return _labelled(metric, labels).replace("_", " ")


def _labelled(metric: str, labels: Mapping[str, str]) -> str:
    """A metric, or a weighted sum of some, with labels for names; those without one stay."""
    times = re.sub(r"(?<![\d.])([\d.]+) (?=[a-z])", "\\1 \N{MULTIPLICATION SIGN} ", metric)
    named = re.sub(r"[a-z]\w+", lambda name: labels.get(name[0], name[0]), times)
    return named.replace(" - ", " \N{MINUS SIGN} ")


def _is_sum(verdict: Verdict) -> bool:
    metric = verdict.metric
    return " + " in metric or " - " in metric or metric[0].isdigit()


def _needed(verdict: Verdict, more: int) -> str:
    return still_needed(more, verdict.more_most, verdict.minutes, verdict.minutes_most)


def still_needed(
    more: int, most: int | None, minutes: float | None, minutes_most: float | None
) -> str:
    """How many more replicates would decide a claim, and how long they take.

    Parameters
    ----------
    more, most
        The range of their number; most is None if perhaps no number would do.
    minutes, minutes_most
        What so many take; None if that is not known.

    Returns
    -------
    str
        As '20 to 80 more replicates, 3 min to 10 min'.
    """
    if most is None:
        text = f"at least {more:,} more replicates, perhaps no number"
    elif more == most:
        text = f"about {more:,} more replicate{'s' * (more > 1)}"
    else:
        text = f"{more:,} to {most:,} more replicates"
    if minutes is None:
        return text
    least = duration(_one_digit(minutes))
    if most is None or minutes_most is None:
        return f"{text}; {least} or more"
    longest = duration(_one_digit(minutes_most))
    return f"{text}, {least}" if least == longest else f"{text}, {least} to {longest}"


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")


def _is_open(verdict: Verdict) -> bool:
    """Is it undecided, with replicates enough to estimate how many more it takes?"""
    return verdict.verdict == "undecided" and verdict.n >= REPLICATES_LEAST


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
    """A number with three significant digits; from 1,000 to a million to the nearest integer."""
    if not isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e6 or (size and size < 1e-4):
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 1000 else digits(value, 3)


_DIGITS_MOST = 9


def numbers_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers as number() has them, with more digits, up to nine, where they would look alike.

    Of what is served, 0.99996 and 1 are not the same.
    """
    texts = number(one), number(other)
    more = 3
    while texts[0] == texts[1] and one != other and isfinite(one + other) and more < _DIGITS_MOST:
        more += 1
        texts = digits(one, more), digits(other, more)
    return texts


def _signed(value: float) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def _has_interval(verdict: Verdict) -> bool:
    """Has the difference an interval? What is the same in every replicate has none."""
    return isfinite(verdict.low) and isfinite(verdict.high) and verdict.low < verdict.high


def _interval(verdict: Verdict) -> str:
    if not _has_interval(verdict):
        return ""
    return f" [{number(verdict.low)}, {number(verdict.high)}]"


def with_interval(mean: float, low: float, high: float) -> str:
    """A mean and half of its interval, as '20.8k ±2.3k'.

    Where the mean is one end of the interval, as of shares that are all 1, the mean and the other
    end: '1 (≥0.98)'.
    """
    half = (high - low) / 2
    if isfinite(half) and half > 0 and mean in (low, high):
        side = "\N{LESS-THAN OR EQUAL TO}" if mean == low else "\N{GREATER-THAN OR EQUAL TO}"
        return f"{digits(mean, 4)} ({side}{digits(high if mean == low else low, 2)})"
    return with_half(mean, half=half)


_SHARE_DECIMALS = 8


def share_with_interval(
    mean: float, low: float, high: float, *, n: int, between: str = " to "
) -> str:
    """A share and its interval in per cent, as '86.4 % [80.1 to 92.3]'.

    Of 0 or 1 in each of `n` replicates that is said instead: '100 % (in each of 10 replicates)'.
    What else is known is a bound of how often that is so, not of the share; tables have it. Other
    shares have one decimal, or more, up to four, where the interval is so narrow that they are
    known, and up to eight where it would read 0 or 100 and is not.
    """
    known = isfinite(low) and low < high
    if known and mean in (0, 1):
        return f"{100 * mean:.0f} % (in each of {n} replicates)"
    half = 50 * (high - low) if known else 0.0
    decimals = min(max(-floor(log10(half)), 1), 4) if half else 2
    # 99.99 % is not 100 %, however little is known of it: somebody was refused.
    while decimals < _SHARE_DECIMALS and 0 < mean < 1 and round(100 * mean, decimals) in (0, 100):
        decimals += 1
    shown = [_decimal(100 * value, decimals) for value in (mean, low, high)]
    return f"{shown[0]} %" + f" [{shown[1]}{between}{shown[2]}]" * known


def _decimal(value: float, decimals: int) -> str:
    """A number to so many decimals, without trailing zeros; what rounds to zero has no sign."""
    text = f"{value:z.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


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
    # Format option z: what rounds to zero has no minus sign.
    return f"{mean / factor:z.{decimals}f}{unit} ±{shown}"


def _unit(value: float) -> tuple[float, str]:
    size = abs(value)
    for limit, factor, unit in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M")):
        if size >= limit:
            return factor, unit
    return (1e3, "k") if size >= 1e4 else (1.0, "")


def digits(value: float, digits: int) -> str:
    """A number with at most so many significant digits, without trailing zeros."""
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1 else f"{value:.0f}"
