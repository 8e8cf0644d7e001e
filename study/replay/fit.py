"""The synthetic load that comes nearest to a trace's demand, and how near it comes.

    pages of files       touches of a working set far larger than memory: nearly each is a request;
                         where they come in bursts, at the rates of the first half, piece by piece
    pages of programs    processes, each with as many private pages as come at once
    single kernel pages  slab pages
    larger blocks        requests by name: those four kinds that ask for most memory

The first half of a trace is fitted by its moments and quartiles, nothing is searched for; the
second is there to be held against. What the fit would ask for is drawn by the laws of
study.zone.load.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.replay.demand import Demand
from study.zone.demand import Use, is_plausible
from study.zone.gfp import gfp_of, spelled
from study.zone.settings import REQUESTS_MAX

WORKING_SET = 8.0
"""Times the zone's memory that files are read of: seven touches in eight then miss."""
WINDOWS_US = (10_000, 1_000_000)
"""In these requests are counted, to see how they come in bursts: the first is fitted.

kswapd is woken and has freed something within some milliseconds: more at once than that has to be
served from what is free.
"""
_PIECES_MOST = 1_000
"""Of the rates of a half: for ten seconds of it they are as fine as the finest window."""
_DRAWN_S = 120.0
_DRAWS_MOST = 1e6
_QUARTER_DEVIATION = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""
_SIGMA_MOST, _BURST_MOST, _PROCESS_PAGES_MOST = 10.0, 4_096.0, 256.0
_PROCESSES_MOST = 4_096
_FILE, _ANON = int(Use.FILE), int(Use.ANON)
_RECLAIMABLE = gfp_of(frozenset({"RECLAIMABLE"}))
FILES, PROGRAMS, SLAB = "pages of files", "pages of programs", "single kernel pages"


@dataclass(frozen=True)
class Features:
    """What a stream of requests is like.

    Parameters
    ----------
    rate
        Requests per second.
    holds_ms
        Quartiles of how long they are kept; infinite where the end was not seen. None: left to
        reclaim.
    spread
        Variance of their number over its mean, in each of WINDOWS_US: 1 for a Poisson stream, more
        in bursts, NaN where there are not two windows.
    """

    rate: float
    holds_ms: tuple[float, ...] | None
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Part:
    """One source of load: the half that was fitted, the fit, and the half that was not."""

    name: str
    first: Features
    fit: Features
    second: Features


@dataclass(frozen=True)
class Fit:
    """A synthetic load.

    Parameters
    ----------
    base
        Of a scenario.
    parts
        Its sources.
    orders
        Order -> its share of all requests in the first half, in the fit, and in the second half.
    left_out
        Requests of the first half that no source stands for.
    requests
        Of the first half.
    """

    base: dict[str, Any]
    parts: list[Part]
    orders: dict[int, tuple[float, float, float]]
    left_out: int
    requests: int


@dataclass(frozen=True)
class _Law:
    """What a source draws: bursts of a mean size, kept for lognormal times."""

    rate: float
    burst: float
    median_us: float
    sigma: float
    together: bool = False
    """Is a burst kept as one?"""
    even: bool = False
    """Do they come at equal distances?"""
    pieces: tuple[tuple[int, float], ...] = ()
    """us, and requests a second in them, over and over; none: the rate is always the same."""


def fit(demand: Demand) -> Fit:
    """Fit the first half of a trace.

    Raises
    ------
    ValueError
        There is too little to fit: a half without requests.
    """
    middle = demand.length_us // 2
    first = demand.take(demand.at_us < middle, middle)
    second = demand.take(demand.at_us >= middle, demand.length_us - middle)
    if not len(first.at_us) or not len(second.at_us):
        raise ValueError("a half of it has no requests: too little to fit a load to")
    if not is_plausible(len(first.at_us), int(first.at_us[-1]), first.length_us):
        raise ValueError("its times are those of no machine")
    names = _names(first)
    parts, base, laws = [], _idle(), {}
    for name in dict.fromkeys([FILES, PROGRAMS, SLAB, *names.values()]):
        of_first, of_second = (_of(name, half, names) for half in (first, second))
        if not of_first.any():
            continue
        law = _law(name, first, of_first)
        laws[name] = (law, 0 if name in (FILES, PROGRAMS, SLAB) else _kind_of(name, names)[0])
        _enter(base, name, law, first, of_first, names)
        holds = name != FILES
        parts.append(
            Part(
                name,
                _features(first, of_first, 0, holds=holds),
                _drawn(law),
                _features(second, of_second, middle, holds=holds),
            )
        )
    taken = sum(int(_of(part.name, first, names).sum()) for part in parts)
    return Fit(
        {group: keys for group, keys in base.items() if keys},
        parts,
        _orders(first, second, laws),
        len(first.at_us) - taken,
        len(first.at_us),
    )


def _idle() -> dict[str, dict[str, Any]]:
    """Settings with which nobody asks for anything."""
    return {
        "user": {"touch_rate": "0/s", "drift_rate": "0/s", "delete_rate": "0/s"},
        "processes": {"fork_rate": "0/s"},
        "stacks": {},
        "slab": {"rate": "0/s"},
        "nic": {"rx_rate": "0/s", "tx_rate": "0/s"},
        "requests": {},
    }


def _names(half: Demand) -> dict[tuple[int, int], str]:
    """Kind (order and flags) -> name, of the kinds of larger blocks that ask for most memory."""
    larger = half.order > 0
    pages: Counter[tuple[int, int]] = Counter()
    for order, gfp in zip(half.order[larger].tolist(), half.gfp[larger].tolist(), strict=True):
        pages[order, gfp] += 1 << order
    names: dict[tuple[int, int], str] = {}
    for order, gfp in sorted(kind for kind, _ in pages.most_common(REQUESTS_MAX)):
        word = spelled(gfp).partition("|")[0].removeprefix("GFP_").lower()
        name = f"order{order}-{word}"
        same = sum(known.startswith(name) for known in names.values())
        names[order, gfp] = f"{name}-{same + 1}" if same else name
    return names


def _kind_of(name: str, names: dict[tuple[int, int], str]) -> tuple[int, int]:
    return next(kind for kind, known in names.items() if known == name)


def _of(name: str, half: Demand, names: dict[tuple[int, int], str]) -> np.ndarray:
    """Which requests of a half a source stands for."""
    which: np.ndarray
    if name == FILES:
        which = (half.order == 0) & (half.use & _FILE > 0)
    elif name == PROGRAMS:
        which = (half.order == 0) & (half.use & _ANON > 0)
    elif name == SLAB:
        which = (half.order == 0) & (half.use & (_FILE | _ANON) == 0)
    else:
        order, gfp = _kind_of(name, names)
        which = (half.order == order) & (half.gfp == gfp)
    return which


def _holds_us(half: Demand, which: np.ndarray) -> np.ndarray:
    kept: np.ndarray = np.where(half.ended | ~half.served, half.hold_us, np.inf)[which]
    return kept


def _law(name: str, half: Demand, which: np.ndarray) -> _Law:
    """The parameters that a source takes from a half."""
    seconds = half.length_us / 1e6
    rate = which.sum() / seconds
    if name == FILES:
        return _Law(rate, 1.0, 1.0, 0.0, even=True, pieces=_pieces(half, which))
    low, median, high = np.quantile(_holds_us(half, which), (0.25, 0.5, 0.75), method="lower")
    if not math.isfinite(median):
        median = float(half.length_us)
    low, median = max(low, 1.0), max(median, 1.0)
    sigma = math.log(median / min(low, median)) / (_QUARTER_DEVIATION / 2)
    if math.isfinite(high):
        sigma = math.log(max(high, low) / low) / _QUARTER_DEVIATION
    sigma = min(sigma, _SIGMA_MOST)
    if name == SLAB:
        return _Law(rate, 1.0, median, sigma)
    spread = _spread(half.at_us[which], half.length_us, WINDOWS_US[0])
    burst = 1.0 if math.isnan(spread) else min(max((spread + 1) / 2, 1.0), _BURST_MOST)
    if name == PROGRAMS:
        pages = float(round(min(burst, _PROCESS_PAGES_MOST)))
        return _Law(rate, pages, median, sigma, together=True)
    # 0 would mean an exponential time.
    return _Law(rate, burst, median, max(sigma, 0.01))


def _pieces(half: Demand, which: np.ndarray) -> tuple[tuple[int, float], ...]:
    """The rates of a half in windows, those that are alike together; none if it has no bursts."""
    at_us, length_us = half.at_us[which], half.length_us
    windows = length_us // WINDOWS_US[0]
    # A Poisson stream's spread is 1, give or take three times its own deviation.
    if windows < 2 or _spread(at_us, length_us, WINDOWS_US[0]) <= 1 + 3 * math.sqrt(2 / windows):
        return ()
    window_us = max(WINDOWS_US[0], -(-length_us // (1_000 * _PIECES_MOST)) * 1_000)
    counts = np.bincount(at_us // window_us)[: length_us // window_us].tolist()
    pieces: list[tuple[int, float]] = []
    for count in counts + [0] * (length_us // window_us - len(counts)):
        rate = count * 1e6 / window_us
        if pieces and pieces[-1][1] == rate:
            pieces[-1] = (pieces[-1][0] + window_us, rate)
        else:
            pieces.append((window_us, rate))
    return tuple(pieces)


def _enter(
    base: dict[str, dict[str, Any]],
    name: str,
    law: _Law,
    half: Demand,
    which: np.ndarray,
    names: dict[tuple[int, int], str],
) -> None:
    """Write a source's settings."""
    life = {"lifetime": _time(law.median_us), "lifetime_sigma": round(law.sigma, 3)}
    if name == FILES:
        written = float((half.use[which] & int(Use.WRITTEN) > 0).mean())
        base["user"] |= {
            "working_set": WORKING_SET, "zipf": 0, "anonymous": "0%", "mapped": "0%",
            "touch_rate": _rate(law.rate * WORKING_SET / (WORKING_SET - 1)),
            "written": f"{100 * written:.2f}%",
        }  # fmt: skip
        if law.pieces:
            base["user"]["touch_profile"] = [
                [f"{us // 1_000}ms", f"{rate * WORKING_SET / (WORKING_SET - 1):.4g}/s"]
                for us, rate in law.pieces
            ]
    elif name == PROGRAMS:
        forks = law.rate / law.burst
        live = forks * law.median_us / 1e6 * math.exp(min(law.sigma, 3) ** 2 / 2)
        base["processes"] |= {
            "fork_rate": _rate(forks), **life, "memory": f"{law.burst:.0f} pages",
            "page_tables": 0, "most": int(min(max(2 * live, 1_024), _PROCESSES_MOST)),
        }  # fmt: skip
        base["stacks"]["size"] = "4KiB"
    elif name == SLAB:
        reclaimable = float((half.gfp[which] & _RECLAIMABLE > 0).mean())
        base["slab"] |= {
            "rate": _rate(law.rate), **life, "reclaimable": f"{100 * reclaimable:.2f}%",
        }  # fmt: skip
    else:
        order, gfp = _kind_of(name, names)
        base["requests"][name] = {
            "order": order, "flags": spelled(gfp), "rate": _rate(law.rate),
            "hold": _time(law.median_us), "hold_sigma": round(law.sigma, 3),
            "burst": round(law.burst, 2),
        }  # fmt: skip


def _rate(per_s: float) -> str:
    return f"{per_s:.3f}/s" if per_s >= 1 else f"{60 * per_s:.6g}/min"


def _time(us: float) -> str:
    return f"{us / 1e3:.3f}ms"


def _spread(at_us: np.ndarray, length_us: int, window_us: int) -> float:
    """Variance over mean of how many come in each whole window."""
    windows = length_us // window_us
    if windows < 2:
        return math.nan
    # Of days most windows may be empty.
    window, counts = np.unique(at_us // window_us, return_counts=True)
    counts = counts[window < windows]
    mean = counts.sum() / windows
    variance = max((counts**2).sum() / windows - mean**2, 0.0)
    return float(variance / mean) if mean else math.nan


def _described(at_us: np.ndarray, holds_us: np.ndarray | None, length_us: int) -> Features:
    quartiles = None
    if holds_us is not None and len(holds_us):
        found = np.quantile(holds_us, (0.25, 0.5, 0.75), method="lower") / 1e3
        quartiles = tuple(float(value) for value in found)
    spread = tuple(_spread(at_us, length_us, window) for window in WINDOWS_US)
    return Features(len(at_us) * 1e6 / length_us, quartiles, spread)


def _features(half: Demand, which: np.ndarray, begun_us: int, *, holds: bool) -> Features:
    kept = _holds_us(half, which) if holds else None
    return _described(half.at_us[which] - begun_us, kept, half.length_us)


def _drawn(law: _Law) -> Features:
    """What the source asks for, drawn by its law for a while."""
    dice = np.random.default_rng(1)
    drawn_s = min(_DRAWN_S, _DRAWS_MOST / law.rate)
    length_us = max(int(drawn_s * 1e6), 1)
    if law.pieces:
        return _described(*_touched(law, dice, length_us))
    if law.even:
        at = np.arange(0, length_us, max(1e6 / law.rate, 1.0)).astype(np.int64)
        return _described(at, None, length_us)
    bursts = dice.poisson(law.rate / law.burst * drawn_s)
    sizes = dice.geometric(1 / law.burst, bursts)
    at = np.repeat(np.sort(dice.integers(0, length_us, bursts)), sizes)
    lives = dice.lognormal(math.log(law.median_us), law.sigma, bursts if law.together else len(at))
    return _described(at, np.repeat(lives, sizes) if law.together else lives, length_us)


def _touched(law: _Law, dice: np.random.Generator, length_us: int) -> tuple[np.ndarray, None, int]:
    """Misses of touches at the rates of the pieces: when, and in how long a time of whole turns."""
    turn_us = sum(us for us, _ in law.pieces)
    misses = (WORKING_SET - 1) / WORKING_SET
    begins = np.cumsum([0, *(us for us, _ in law.pieces)])
    touches = [
        begun + np.arange(0, us, 1e6 * misses / rate)
        for begun, (us, rate) in zip(begins.tolist(), law.pieces, strict=False)
        if rate
    ]
    once = np.concatenate(touches)
    turns = max(min(length_us // turn_us, int(_DRAWS_MOST / len(once))), 1)
    every = (once + turn_us * np.arange(turns)[:, np.newaxis]).reshape(-1)
    return every[dice.random(len(every)) < misses].astype(np.int64), None, turns * turn_us


def _orders(
    first: Demand, second: Demand, laws: dict[str, tuple[_Law, int]]
) -> dict[int, tuple[float, float, float]]:
    """Order -> its share of the requests: in the halves, and in what the sources ask for."""
    asked: Counter[int] = Counter()
    for law, order in laws.values():
        asked[order] += law.rate  # type: ignore[assignment]
    whole = sum(asked.values())
    shares = [np.bincount(half.order, minlength=11) / len(half.order) for half in (first, second)]
    return {
        order: (float(shares[0][order]), asked[order] / whole, float(shares[1][order]))
        for order in range(11)
        if shares[0][order] or shares[1][order]
    }
