"""The colours of pages and lines: told apart by everybody."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from study.report.colours import FREE_ORDERS, OWNERS, SERIES

pytestmark = pytest.mark.quick

# From linear RGB to what is seen without one kind of cone: Machado, Oliveira and Fernandes 2009,
# table 1, severity 1.0.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# IEC 61966-2-1: linear sRGB to CIE XYZ under D65.
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colour: str, vision: str) -> np.ndarray:
    """A colour in CIE L*a*b*, as somebody sees it."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISIONS[vision] @ linear, 0, 1)
    x, y, z = (TO_XYZ @ seen) / WHITE
    fx, fy, fz = (np.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def distance(one: str, other: str, vision: str) -> float:
    """Delta E of 1976; 2.3 is just noticeable, 10 at a glance."""
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))


@pytest.mark.parametrize("vision", VISIONS)
def test_owners_of_pages_are_told_apart(vision):
    """No two classes of the zone map come near each other; file and anonymous are kin."""
    for (name, one), (other_name, other) in combinations(OWNERS.items(), 2):
        kin = {name, other_name} == {"file pages", "anonymous pages"}
        assert distance(one, other, vision) > (10 if kin else 15), (name, other_name)


def test_owners_of_pages_stand_out_from_the_page(root):
    """No class of the zone map is lost on the dark paper of page.css."""
    paper = "#14171A"
    assert f"--paper: {paper.lower()};" in (root / "study/report/templates/page.css").read_text()
    for name, colour in OWNERS.items():
        assert distance(colour, paper, "all cones") > 12, name


@pytest.mark.parametrize("vision", VISIONS)
def test_lines_and_orders_are_told_apart(vision):
    """Lines of a figure, and neighbouring layers of free blocks, differ at a glance."""
    for one, other in combinations(SERIES, 2):
        assert distance(one, other, vision) > 15
    for one, other in pairwise(FREE_ORDERS):
        assert distance(one, other, vision) > 8
    # What serves an order-3 request never looks like what does not.
    for small in FREE_ORDERS[:3]:
        assert all(distance(small, large, vision) > 15 for large in FREE_ORDERS[3:])
