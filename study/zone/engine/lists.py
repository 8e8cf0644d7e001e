"""Doubly linked lists through frame.next and frame.prev, with a sentinel row as head.

The idiom of include/linux/list.h: circular, so no branch and no "none" index. A frame is on at
most one list at a time, as struct page has one lru member.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.layout import frames


@kernel(inline=True)
def list_add(z, head, pfn):
    """Put a frame first: it comes right after head."""
    frame = frames(z)
    first = frame[head].next
    frame[pfn].next = first
    frame[pfn].prev = head
    frame[first].prev = pfn
    frame[head].next = pfn


@kernel(inline=True)
def list_add_tail(z, head, pfn):
    """Put a frame last."""
    frame = frames(z)
    last = frame[head].prev
    frame[pfn].prev = last
    frame[pfn].next = head
    frame[last].next = pfn
    frame[head].prev = pfn


@kernel(inline=True)
def list_del(z, pfn):
    """Take a frame off whatever list it is on."""
    frame = frames(z)
    after = frame[pfn].next
    before = frame[pfn].prev
    frame[after].prev = before
    frame[before].next = after
