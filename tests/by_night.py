"""Long lists of cases: a sample of them runs every time, the rest by night."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sampled(
    cases: Iterable[Any], *, every: int = 0, keep: Collection[Any] = (), part: str = "cases"
) -> list[Any]:
    """The cases as parameters; all but a sample of them are marked for the night.

    Parameters
    ----------
    cases
        As pytest.mark.parametrize takes them; a tuple is one case of several values.
    every
        Each so manieth is kept, from the first one on; 0 keeps none so.
    keep
        Cases that are kept.
    part
        Of .ci/nightly, which runs the others.
    """
    found = []
    for index, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        kept = case in keep or (every > 0 and index % every == 0)
        marks = () if kept else pytest.mark.nightly(part=part)
        found.append(pytest.param(*values, marks=marks))
    return found
