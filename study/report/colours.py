"""Colours that are told apart with every kind of colour vision, on white and on black.

Lines and marks have Okabe and Ito's palette (2008), without its yellow, which vanishes on white.
The colours of pages are chosen so that no two of them come near each other, as tests measure, with
the colour vision of one in twenty men too (Machado, Oliveira and Fernandes 2009).
"""

from __future__ import annotations

INK = "#101112"
"""Text and the reference; becomes the reader's text colour on the page."""
PAPER = "#fefdfe"
"""The ground; becomes the page's."""
LINES = "#c9cacb"
"""Grid lines and frames."""
FAINT = "#7d7e7f"
"""What is shown but says little: intervals that hold 0."""

SERIES = (INK, "#E69F00", "#D55E00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")

FREE_ORDERS = (
    *("#A63603", "#F08A1D", "#FFBE5C"),
    *("#93D9A0", "#5CBF8A", "#33A585", "#168B7F", "#0C7276", "#0C5B6B", "#12455E", "#172F4F"),
)
"""Free blocks by order, 0 to 10: warm below order 3, then ever deeper green."""

USED = {
    "file pages": "#DCE2E8",
    "anonymous pages": "#B9C4CF",
    "kernel (stacks, page tables, slab)": "#4B2E83",
    "network card": "#E6399B",
    "reserved at boot": "#746448",
}
"""Pages in use by owner: pale what can be thrown out or moved, deep what stays where it is; none
is near the dark paper of a page.
"""

OWNERS = USED | {
    "free, order 0 or per-cpu": FREE_ORDERS[0],
    "free, orders 1 and 2": FREE_ORDERS[1],
    "free, orders 3 to 5": FREE_ORDERS[4],
    "free, orders 6 to 10": FREE_ORDERS[7],
}
"""The zone map's classes, in the order of its legend."""
