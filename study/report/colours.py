"""Colours that are told apart with every kind of colour vision, on white and on black.

Okabe and Ito's palette (2008), without its yellow, which vanishes on white.
"""

from __future__ import annotations

INK = "#101112"
"""Text and the reference; becomes the reader's text colour on the page."""
PAPER = "#fefdfe"
"""The ground; becomes the page's."""
LINES = "#c9cacb"
"""Grid lines and frames."""

SERIES = (INK, "#E69F00", "#D55E00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")

FREE_ORDERS = (
    *("#8C2D04", "#D55E00", "#F5B865"),
    *("#C7E9DD", "#8FD3BC", "#52BD9A", "#1FA67E", "#008A66", "#00705C", "#005666", "#003C52"),
)
"""Free blocks by order, 0 to 10: warm below order 3, then ever deeper green."""

OWNERS = {
    "file pages": "#C3CFDB",
    "anonymous pages": "#8FA3B8",
    "kernel (stacks, page tables, slab)": "#D55E00",
    "network card": "#B0307A",
    "free, order 0 or per-cpu": "#FFF34D",
    "free, orders 1 and 2": "#C6E03A",
    "free, orders 3 to 5": "#27B68A",
    "free, orders 6 to 10": "#006B4F",
    "reserved at boot": "#44494E",
}
"""The zone map's classes, in the order of its legend."""
