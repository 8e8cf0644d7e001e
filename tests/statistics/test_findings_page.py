"""The tables of docs/findings.md come from results folders by a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCENARIO = """
replicates: 8
axes: { kswapd.policy: [count-only, order-aware] }
claims:
  - id: serves-more
    says: It serves more.
    metric: rx_success_ratio
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: more
    matters: 0.01
"""


def test_verdicts_of_two_studies_stand_side_by_side(root: Path, make_findings) -> None:
    """A row a claim: the word and the figures of the first folder, then those of the second."""

    def gaining(gain: float):
        return lambda levels, replicate: {
            "rx_success_ratio": 0.7
            + (gain + 0.001 * (replicate % 3)) * (levels["kswapd.policy"] == "order-aware")
        }

    folders = [
        str(make_findings(SCENARIO, gaining(gain), name=name).path)
        for name, gain in (("even", 0.2), ("uneven", -0.1))
    ]
    told = subprocess.run(
        [sys.executable, "docs/findings.py", "verdicts", *folders],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    row = next(line for line in told.splitlines() if "It serves more" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "supported"
    assert cells[2].startswith("0.901 against 0.7, +0.2")
    assert cells[3] == "**contradicted**"
    assert cells[4].startswith("0.601 against 0.7, -0.0")
    assert f"{folders[1]}: 1 contradicted" in told
