"""From a network card's driver and MTU to the order of its buffers, by the rules of 2.6.8."""

from __future__ import annotations

from study.zone.settings import PAGE_BYTES

L1_LINE = 128
"""Bytes of a Pentium 4's first-level cache line, to which skb data is aligned."""
SHARED_INFO = 160
"""sizeof(struct skb_shared_info) on i386 (include/linux/skbuff.h, 2.6.8)."""
HEADROOM = 16
"""What dev_alloc_skb adds (include/linux/skbuff.h, 2.6.8)."""
REPLACING = frozenset({"tg3"})
"""Drivers that lose a frame rather than its buffer if no other is to be had (tg3_rx)."""
SCATTER_GATHER = frozenset({"e1000", "tg3", "acenic", "s2io", "ixgb"})
"""Drivers that send a frame as fragments and have the card add its checksum, without which the
stack makes it linear (NETIF_F_SG with NETIF_F_HW_CSUM in e1000_probe, from the 82543 on, and
ixgb_probe; with NETIF_F_IP_CSUM in tg3_init_one, acenic_probe_one, s2io_init_nic; net/core/dev.c,
2.6.8)."""
IP_ALIGN = 2
ETHERNET = 18
"""Header and checksum of a frame."""
GAP = 20
"""Preamble and inter-frame gap, in bytes on the wire."""
TRANSPORT_HEADROOM = 128
"""Room for headers in a linear frame to be sent (MAX_TCP_HEADER, roughly; net/ipv4/tcp.c)."""

S2IO_HEADERS = 22
"""Ethernet II, 802.2 and SNAP: 14 + 3 + 5 bytes (drivers/net/s2io.h)."""

MTU_LIMITS = {
    "e1000": (68, 16_110),
    "tg3": (68, 9_000),
    "acenic": (68, 9_000),
    "s2io": (46, 9_600),
    "ixgb": (68, 16_110),
}
"""Smallest and largest MTU of each driver (0x3F00 less header in e1000_main.c and ixgb.h; tg3.h;
acenic.h, ACE_JUMBO_MTU; s2io.h, MIN_MTU and MAX_PYLD_JUMBO)."""


def kmalloc_order(size: int) -> int:
    """Order of the slab that holds a kmalloc object of `size` bytes (mm/slab.c, 2.6.8).

    Classes are powers of two; up to 4096 bytes a slab is one page.
    """
    order = 0
    while PAGE_BYTES << order < size:
        order += 1
    return order


def skb_order(length: int) -> int:
    """Order of a socket buffer's data: aligned length plus skb_shared_info (alloc_skb, 2.6.8)."""
    aligned = -(-length // L1_LINE) * L1_LINE
    return kmalloc_order(aligned + SHARED_INFO)


def rx_order(driver: str, mtu: int) -> int:
    """Order of one linear receive buffer.

    e1000 and ixgb pick a buffer of 2048, 4096, 8192 or 16384 bytes for the largest frame
    (e1000_change_mtu); tg3 and acenic have one size for standard and one for jumbo frames
    (tg3_alloc_rx_skb; ACE_STD_BUFSIZE, ACE_JUMBO_BUFSIZE); s2io takes what a frame needs
    (fill_rx_buffers). An MTU beyond MTU_LIMITS has the largest buffer, for want of one that fits.
    """
    if driver == "tg3":
        buffer = 1_536 + 66 if mtu <= 1_500 else 9_046 + 2 + 64
        return skb_order(buffer + HEADROOM)
    if driver == "acenic":
        largest = 1_500 if mtu <= 1_500 else 9_000
        return skb_order(largest + ETHERNET + IP_ALIGN + HEADROOM)
    if driver == "s2io":
        return skb_order(mtu + S2IO_HEADERS + IP_ALIGN + HEADROOM)
    frame = mtu + ETHERNET
    buffer = 2_048
    if frame > 1_518:
        buffer = next(size for size in (4_096, 8_192, 16_384) if frame <= size or size == 16_384)
    return skb_order(buffer + IP_ALIGN + HEADROOM)


def tx_order(mtu: int) -> int:
    """Order of one frame made linear to be sent (skb_linearize; tcp_sendmsg without SG)."""
    return skb_order(mtu + TRANSPORT_HEADROOM)


def transmit(driver: str) -> str:
    """How frames are sent unless a scenario says it."""
    return "scatter-gather" if driver in SCATTER_GATHER else "linear"


def frame_pages(mtu: int) -> int:
    """Order-0 pages that hold one frame as fragments."""
    return -(-(mtu + ETHERNET) // PAGE_BYTES)


def wire_ns(mtu: int, bits_per_second: float) -> int:
    """Time of one full frame on the wire."""
    return max(1, round((mtu + ETHERNET + GAP) * 8 * 1e9 / bits_per_second))
