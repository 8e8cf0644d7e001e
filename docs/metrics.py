"""Writes docs/metrics.md from the declarations: python docs/metrics.py > docs/metrics.md."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

from study.zone.trial import metrics

HEAD = """# What a trial measures

Every trial leaves the same {count} numbers, as columns of `trials/` and by name in claims and in
`study contrasts --metric NAME`. They count the measured phase alone (`clock.measure`, a minute
unless said otherwise); ageing before it leaves no count. Pages are 4 KiB. A ratio of nothing, and
what a setting switches off, is NaN; then `n` in `summary.csv` is smaller. A share lies between 0
and 1.

`python docs/metrics.py` writes this page from `study/zone/trial/metrics.py`."""


def sentences() -> Iterator[tuple[str, str]]:
    """Name and sentence of every section and every metric, as they stand in the source."""
    for section in ast.parse(inspect.getsource(metrics)).body:
        if not isinstance(section, ast.ClassDef):
            continue
        yield section.name, " ".join((ast.get_docstring(section) or "").split())
        for above, below in zip(section.body, section.body[1:], strict=False):
            match above, below:
                case ast.Assign([ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                    yield name, " ".join(text.split())


def page() -> str:
    """The whole document."""
    said = dict(sentences())
    lines = [HEAD.format(count=len(metrics.METRICS))]
    for section in metrics.SECTIONS:
        title = re.sub("(?<=[a-z])(?=[A-Z])", " ", section.__name__).capitalize()
        lines += ["", f"## {title}", "", said[section.__name__], ""]
        lines += ["| metric | unit | what it is |", "|---|---|---|"]
        for name, metric in metrics.declared(section).items():
            lines.append(f"| `{name}` | {metric.unit} | {said[name].rstrip('.')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
