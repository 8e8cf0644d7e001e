"""What a study that looks more than once may risk at each look.

The chance of a wrong verdict, alpha, is spent by information: after a share t of the largest
number of replicates t^1.5 of it (the power family of Kim and DeMets 1987, Biometrika 74:149), and
each look gets what was spent since the one before. Added up (Bonferroni's inequality) that keeps
to alpha whatever the looks have in common, and it scales with alpha, as Holm's correction over
claims needs it. The last of four doublings works at 65 % of alpha instead of 25 %: 1.11 times the
replicates of O'Brien and Fleming's spending where equal parts need 1.39; and the first still
decides what is plain.
"""

from __future__ import annotations

from collections.abc import Sequence

SPENDING = 1.5


def spent_at(n: int, looks: Sequence[int]) -> float:
    """Share of alpha for the look after n replicates.

    Parameters
    ----------
    n
        Replicates that a claim rests on; between two looks the later one counts.
    looks
        Numbers of replicates of all looks there can be, ascending; none or one: all of alpha.

    Returns
    -------
    float
        Above 0; over all looks they add up to 1.
    """
    if len(looks) < 2:
        return 1.0
    before = 0.0
    for look in looks[:-1]:
        share = float((look / looks[-1]) ** SPENDING)
        if n <= look:
            return share - before
        before = share
    return 1.0 - before
