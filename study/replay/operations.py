"""What the rows of a trace do to the free lists, by the rules of the kernel that wrote them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.replay.siblings import NR_TYPES, ZONE_ENDS, Siblings
from study.replay.trace import FAILED_PFN, KNOWN_CODES, PAGEBLOCK_ORDER, Code, Trace
from study.zone.settings import NR_ORDERS

PCP_ORDERS = frozenset({0, 1, 2, 3, PAGEBLOCK_ORDER})
"""Orders that the per-cpu lists keep: costly ones only if they are huge pages (5.13)."""
_PAGES_MAX = ZONE_ENDS[-1][1]
"""Frames up to 256 GB of memory; a pfn beyond is taken for damage."""
_TYPE_MASKS = (0, 7)
"""Bits of the pageblock that a SET_TYPE row sets if it sets the type; 0 if that is not recorded."""
_STEALS_BY_CLAIM = (6, 10)
"""Since this release a steal leaves free pages where they are unless it claims the pageblock."""


@dataclass(frozen=True)
class Span:
    """A zone's name and frames."""

    name: str
    start_pfn: int
    end_pfn: int


@dataclass(frozen=True)
class Ops:
    """What the rows do, one entry an operation on the free lists or a page's user."""

    row: np.ndarray
    op: np.ndarray
    pfn: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    aux: np.ndarray

    def take(self, which: np.ndarray) -> Ops:
        """Those that a mask or an index names."""
        return Ops(
            self.row[which],
            self.op[which],
            self.pfn[which],
            self.order[which],
            self.migratetype[which],
            self.aux[which],
        )


@dataclass(frozen=True)
class Recording:
    """A trace made ready for the allocator.

    claims_only  whether its kernel steals as 6.10 and later do
    """

    ops: Ops
    spans: list[Span]
    claims_only: bool


def operations(trace: Trace, siblings: Siblings, oddities: dict[str, int]) -> Recording:
    """Translate a trace; rows that no kernel writes are left out and counted in oddities."""
    claims_only = _claims_only(trace, siblings)
    ops = _in_range(_translate(trace, oddities, claims_only=claims_only), oddities)
    spans = _spans(ops, siblings)
    return Recording(_within(ops, spans, oddities), spans, claims_only)


def _claims_only(trace: Trace, siblings: Siblings) -> bool:
    """Whether the kernel steals as 6.10 and later do: known by its name, else by its habits."""
    if siblings.release is not None:
        return siblings.release >= _STEALS_BY_CLAIM
    # Up to 6.9 a steal is followed at once by the request that it is for.
    which = (trace.code == Code.ZONE_LOCKED) | (trace.code == Code.EXTFRAG)
    code, order = trace.code[which], trace.order[which]
    steal = np.flatnonzero(code[:-1] == Code.EXTFRAG)
    followed = (code[steal + 1] == Code.ZONE_LOCKED) & (order[steal + 1] == order[steal])
    return bool(steal.size) and followed.mean() < 0.9


def _translate(trace: Trace, oddities: dict[str, int], *, claims_only: bool) -> Ops:
    """One entry for each thing a row does, in the order of the rows."""
    from study.zone.trial.feed import Op

    code, order = trace.code, trace.order
    failed = (code == Code.ALLOC) & (trace.pfn == FAILED_PFN)
    refused = (code == Code.ISOLATE) & (trace.aux == 0)
    known = np.isin(code, list(KNOWN_CODES))
    oddities["failed_allocations"] += int(failed.sum())
    oddities["refused_isolations"] += int(refused.sum())
    oddities["unknown_events"] += int((~known).sum())
    by_pcp = np.isin(order, list(PCP_ORDERS))
    freed_at_once = (code == Code.FREE_ONE) & ~by_pcp
    # Without the probe that tells of types, a steal tells whether it took the pageblock over.
    owned = (code == Code.EXTFRAG) & (trace.aux >> 16 & 1 == 1) & ~(code == Code.SET_TYPE).any()
    owned_twice = owned & (trace.aux & 0xFF > PAGEBLOCK_ORDER)
    steps = [
        (Op.RETYPE, _before_request(trace, owned) if claims_only else owned),
        (Op.RETYPE, owned_twice),
        (Op.REQUEST, code == Code.ZONE_LOCKED),
        (Op.STOLEN if claims_only else Op.FALLBACK, code == Code.EXTFRAG),
        (Op.ENTER, (code == Code.PCPU_DRAIN) | (code == Code.FREE_ONE)),
        (Op.ISOLATE, (code == Code.ISOLATE) & ~refused),
        (Op.RETYPE, (code == Code.SET_TYPE) & np.isin(trace.aux, _TYPE_MASKS)),
        (Op.ALLOCATED, (code == Code.ALLOC) & ~failed),
        (Op.FREED, code == Code.FREE),
    ]
    if not freed_at_once.any():
        # Large blocks go past the per-cpu lists; only newer kernels say so by free_one_page.
        steps.append((Op.ENTER, (code == Code.FREE) & ~by_pcp))
    rows = [np.flatnonzero(which) for _, which in steps]
    row = np.concatenate(rows)
    op = np.repeat([int(step) for step, _ in steps], [len(r) for r in rows])
    # Of one row, the free comes before the block enters the lists.
    by_row = np.argsort(row, kind="stable")
    pfn = trace.pfn[row]
    pfn[len(rows[0]) : len(rows[0]) + len(rows[1])] += 1 << PAGEBLOCK_ORDER
    row, op, pfn = row[by_row], op[by_row], pfn[by_row]
    migratetype = trace.migratetype[row]
    told = trace.code[row] == Code.PCPU_DRAIN
    if not claims_only:
        told |= trace.code[row] == Code.FREE_ONE
    migratetype = np.where((op == Op.ENTER) & ~told, -1, migratetype)
    order = np.where(op == Op.RETYPE, 0, trace.order[row])
    aux = np.where(trace.code[row] == Code.EXTFRAG, trace.aux[row] & 0xFF, trace.aux[row])
    return Ops(row, op, pfn, order, migratetype, aux)


def _before_request(trace: Trace, owned: np.ndarray) -> np.ndarray:
    """The rows at which pageblocks changed hands: since 6.10 a claim is told after its request."""
    served = owned[1:] & (trace.code[:-1] == Code.ZONE_LOCKED)
    served &= (trace.pfn[:-1] == trace.pfn[1:]) & (trace.order[:-1] == trace.order[1:])
    moved = owned.copy()
    moved[1:][served] = False
    moved[:-1][served] = True
    return moved


def _in_range(ops: Ops, oddities: dict[str, int]) -> Ops:
    """Leave out rows that no kernel writes."""
    from study.zone.trial.feed import Op

    typed = np.isin(ops.op, [Op.REQUEST, Op.FALLBACK, Op.STOLEN, Op.RETYPE])
    good = (ops.order >= 0) & (ops.order < NR_ORDERS) & (ops.pfn >= 0) & (ops.pfn < _PAGES_MAX)
    good &= (ops.migratetype < NR_TYPES) & ((ops.migratetype >= 0) | ~typed)
    shift = np.clip(ops.order, 0, NR_ORDERS)
    good &= ops.pfn & ((np.int64(1) << shift) - 1) == 0
    oddities["rows_out_of_range"] += len(np.unique(ops.row[~good]))
    return ops.take(good)


def _spans(ops: Ops, siblings: Siblings) -> list[Span]:
    """The zones and where they lie."""
    lists = siblings.start or siblings.end
    if lists is not None:
        spans = [Span(name, z.start_pfn, z.end_pfn) for name, z in lists.zones.items()]
        return sorted(spans, key=lambda span: span.start_pfn)
    last = int((ops.pfn + (1 << ops.order)).max()) if len(ops.pfn) else 1
    spans, start = [], 0
    for name, end in ZONE_ENDS:
        if last > start:
            spans.append(Span(name, start, min(end, last)))
        start = end
    return spans


def _within(ops: Ops, spans: list[Span], oddities: dict[str, int]) -> Ops:
    """Leave out blocks that lie in no zone."""
    inside = np.zeros(len(ops.pfn), bool)
    for span in spans:
        inside |= (ops.pfn >= span.start_pfn) & (ops.pfn + (1 << ops.order) <= span.end_pfn)
    # A pageblock's first frame may lie before a zone that begins inside it.
    from study.zone.trial.feed import Op

    inside |= ops.op == Op.RETYPE
    oddities["rows_out_of_range"] += len(np.unique(ops.row[~inside]))
    return ops.take(inside)
