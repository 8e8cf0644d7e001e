"""An oracle that knows how long each kernel page will live; a bound, not a kernel's policy.

With mobility grouping on, kernel pages are told apart by lifetime rather than by whether they can
be reclaimed: those that go soon are asked for as RECLAIMABLE, the others as UNMOVABLE. User pages
stay MOVABLE: how long they live is up to reclaim.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Gfp
from study.zone.settings import Placement

SHORT_NS = 1_000_000_000
"""Lives below a second count as short. Assumed; the pageblocks of long lives then change little
between two runs of kswapd."""


@kernel
def gfp_by_lifetime(z, gfp, lifetime):
    """The flags of a kernel request, its migratetype replaced if the oracle is asked (ns)."""
    if z.placement != Placement.BY_LIFETIME:
        return gfp
    if lifetime < SHORT_NS:
        return gfp | Gfp.RECLAIMABLE
    return gfp & ~Gfp.RECLAIMABLE
