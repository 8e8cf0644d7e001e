"""Axes stand as columns beside others, and none is called like one of these."""

from __future__ import annotations

import pytest

from study.scenario import ScenarioError, load_text
from study.scenario.compose import RESERVED
from study.statistics.tradeoff import front_rows
from study.zone.trial.metrics import METRICS

AXES = """\
replicates: 2
axes:
  NAME: { a: { kswapd.policy: count-only }, b: { kswapd.policy: order-aware } }
"""


def test_no_axis_is_called_like_a_column_beside_it(make_findings) -> None:
    """Every column of trials, summary and trade-off that is no axis and no metric is reserved."""
    metrics = ("rx_success_ratio", "reclaimed_pages", "moved_pages", "refaults", "time_lost_share")
    findings = make_findings(
        AXES.replace("NAME", "policy"), lambda _levels, _replicate: dict.fromkeys(metrics, 0.5)
    )
    tables = (findings.trials, findings.summary, findings.tradeoff, front_rows(findings.tradeoff))
    columns = {name for table in tables for name in table.columns} - {"policy"}

    assert columns <= {*RESERVED, *METRICS}


@pytest.mark.parametrize("name", ["mean", "n", "note", "gain", "refaults_low", "rx_failures"])
def test_such_an_axis_is_refused(name: str) -> None:
    """Its levels would be lost: the scenario says so before anything is run."""
    with pytest.raises(ScenarioError, match=f"an axis cannot be called {name}"):
        load_text(AXES.replace("NAME", name), "x.yaml")
