"""Writes docs/metrics.md from the declarations: python docs/metrics.py > docs/metrics.md."""

from __future__ import annotations

from study.scenario.machine import reference
from study.zone.trial.metrics import METRICS

HEAD = """# What a trial measures

Every trial leaves the same {count} numbers, as columns of `trials/` and by name in claims and in
`study contrasts --metric NAME`. They count the measured phase alone (`clock.measure`, a minute
unless said otherwise); ageing before it leaves no count. Pages are 4 KiB. A ratio of nothing, and
what a setting switches off, is NaN; then `n` in `summary.csv` is smaller. A share lies between 0
and 1.

`python docs/metrics.py` writes this page from `study/zone/trial/metrics.py`."""


def page() -> str:
    """The whole document."""
    lines = [HEAD.format(count=len(METRICS))]
    for section, said in reference.sections().items():
        lines += ["", f"## {section}", "", said, ""]
        lines += ["| metric | unit | what it is |", "|---|---|---|"]
        lines += [
            f"| `{one.name}` | {one.unit} | {one.about} |"
            for one in reference.metrics()
            if one.section == section
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
