"""docs/metrics.md explains what a trial measures: every metric, and none that is not there."""

import re
from pathlib import Path

from study.zone.names import METRICS

CALLERS = ("user", "stack", "page_table", "slab", "huge", "rx", "tx", "source")
PLACES = {"CALLER": CALLERS, "SLEEPER": CALLERS[:5]}


def explained(root: Path) -> set[str]:
    """Names in the first column of the tables, with what their capitals stand for."""
    found = set()
    for line in (root / "docs/metrics.md").read_text().splitlines():
        if not line.startswith("| `"):
            continue
        for name in re.findall(r"`([\w]+)`", line.split("|")[1]):
            place = [word for word in PLACES if word in name]
            if place:
                found |= {name.replace(place[0], one) for one in PLACES[place[0]]}
            elif "orderN" in name:
                first = 1 if name.startswith("probe_") else 0
                found |= {name.replace("orderN", f"order{n}") for n in range(first, 11)}
            else:
                found.add(name)
    return found


def test_every_metric_is_explained(root: Path) -> None:
    """The document and the code name the same metrics, and agree on how many."""
    assert explained(root) == set(METRICS)
    assert f"same {len(METRICS)} numbers" in (root / "docs/metrics.md").read_text()
