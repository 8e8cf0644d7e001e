"""Metrics: one declaration gives columns, names, labels, headline and docs/metrics.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from study.scenario import load
from study.zone.engine.record import COUNTERS, ZONE_COUNTERS
from study.zone.trial.metrics import COLUMNS, HEADLINE, LABELS, METRICS, SECTIONS, Label, declared

UNSHOWN = {"deleted", "naps"}
"""Counters that no metric shows."""


def test_the_document_is_what_the_declarations_give(root: Path) -> None:
    """docs/metrics.md is what docs/metrics.py writes: every metric, each with a sentence."""
    written = subprocess.run(
        [sys.executable, root / "docs/metrics.py"], capture_output=True, text=True, check=True
    ).stdout

    assert (root / "docs/metrics.md").read_text() == written
    assert f"same {len(METRICS)} numbers" in written
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| (.+) \|$", written, re.MULTILINE)
    assert [name for name, *_ in rows] == [name for s in SECTIONS for name in declared(s)]


def test_names_are_whole_and_given_once() -> None:
    """No name has a word left that stands for others, and none is declared twice."""
    names = [name for section in SECTIONS for name in declared(section)]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in METRICS)


def test_what_a_shipped_study_claims_has_a_label(root: Path) -> None:
    """Verdicts and answers of the shipped scenarios name metrics in words."""
    files = [*(root / "scenarios").rglob("*.yaml"), root / "docs/article-why.yaml"]
    claimed = {name for file in files for claim in load(file).claims for name in claim.metric}

    assert "rx_attempts" in claimed
    assert claimed - LABELS.keys() == set()


def test_every_label_has_its_metric_and_every_place_one_label() -> None:
    """Labels of a family are those of its members, and no two share a place in the tables."""
    metrics = [metric for section in SECTIONS for metric in declared(section).values()]
    labels = [label for m in metrics for label in (m.label, *m.labels.values()) if label]
    places = [label.place for label in labels if label.place is not None]

    assert sorted(label.text for label in labels) == sorted(LABELS.values())
    assert sorted(places) == list(range(1, len(HEADLINE) + 1))
    assert all(isinstance(label, Label) for label in labels)


def test_every_counter_is_shown() -> None:
    """What the simulation counts comes out as a metric."""
    used = {
        counter
        for name, column in COLUMNS.items()
        for counter in (column.metric.counters or name).split()
    }

    assert {*COUNTERS.names, *ZONE_COUNTERS.names} - used == UNSHOWN


SCENARIO = """\
question: Is it there?
replicates: 2
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { delete_rate: 50/s }
  clock: { ageing: 1s, measure: 1s }
axes:
  kswapd.policy: [count-only, order-aware]
claims:
  - { id: c, says: It is., metric: deleted_extents, side: { kswapd.policy: order-aware },
      against: { kswapd.policy: count-only }, expect: same, matters: 1 }
"""
BEFORE = '    forks = Metric("processes")\n'
CHANGES = {
    "study/zone/trial/metrics.py": (
        BEFORE,
        f'''\
    deleted_extents = Metric("extents", "deleted", label=Label("extents deleted", 0))
    """Extents that programs have deleted."""
{BEFORE}''',
    ),
}
"""Of a new metric: file, what stands there, and what instead."""


@pytest.mark.nightly(part="extending")  # it compiles the simulation anew
def test_a_new_metric_is_one_declaration(
    in_a_changed_copy: Callable[..., str], tmp_path: Path
) -> None:
    """Where a counter is there, a metric takes a change in metrics.py alone: claims, the schema,
    the results, the terminal, the page and the document have it. A new counter is a line in
    engine/record.py and what counts it, which makes three files.
    """
    changed = partial(in_a_changed_copy, CHANGES)
    (tmp_path / "new.yaml").write_text(SCENARIO)
    assert "deleted_extents" in json.dumps(json.loads(changed("-m", "study", "schema")))
    assert "| `deleted_extents` | extents | Extents that programs have deleted |" in changed(
        "docs/metrics.py"
    )
    shown = changed("-m", "study", "run", "new.yaml", "--out", "out", "--no-ray")
    assert "extents deleted" in shown
    page = changed("-c", "import study; print(study.read('out').report().read_text())")
    assert "Extents deleted" in page
    mean = "import study; print(study.read('out').trials['deleted_extents'].mean())"
    assert float(changed("-c", mean)) > 0
