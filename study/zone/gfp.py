"""Flags of a request by name, and the bits that the zone knows them by; numpy is not loaded."""

from __future__ import annotations

# Bits of engine.enums.Gfp; tests/zone/test_named.py holds them equal.
_BITS = {
    "WAIT": 0x10, "HIGH": 0x20, "RETRY_MAYFAIL": 0x400, "REPEAT": 0x400, "NOFAIL": 0x800,
    "NORETRY": 0x1000, "RECLAIMABLE": 0x80000, "MOVABLE": 0x100000,
}  # fmt: skip
KNOWN_FLAGS = frozenset(_BITS)
"""Flags of a request that the zone knows, by the names of study.refusals.gfp."""
_IO_FS = 0xC0
_NOFS = 0x200


def gfp_of(flags: frozenset[str]) -> int:
    """The zone's bits (engine.enums.Gfp) for flags by name; those without effect are left out.

    Parameters
    ----------
    flags
        As study.refusals.gfp names them: WAIT, FS, MOVABLE, ...
    """
    bits = 0
    for name in flags & KNOWN_FLAGS:
        bits |= _BITS[name]
    if "WAIT" in flags:
        bits |= _IO_FS
        if "FS" not in flags:
            bits |= _NOFS
    return bits


def spelled(gfp: int) -> str:
    """Flags that have these bits, as a scenario writes them: GFP_ATOMIC, GFP_KERNEL|__GFP_NORETRY.

    Parameters
    ----------
    gfp
        Bits of engine.enums.Gfp.
    """
    if gfp & _BITS["WAIT"]:
        words = ["GFP_NOFS" if gfp & _NOFS else "GFP_KERNEL"]
    else:
        words = ["GFP_ATOMIC" if gfp & _BITS["HIGH"] else "GFP_NOWAIT"]
    more = ("RETRY_MAYFAIL", "NOFAIL", "NORETRY", "RECLAIMABLE", "MOVABLE")
    return "|".join(words + [f"__GFP_{name}" for name in more if gfp & _BITS[name]])
