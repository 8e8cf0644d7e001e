"""Writes docs/settings.md from the declarations: python docs/settings.py > docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from study.scenario.machine import reference
from study.scenario.machine.requests import DRIVERS, ActionKeys, RequestKeys
from study.scenario.units import text_of

HEAD = """# Settings

What `base` and `axes` of a scenario may set, {count} keys. How sizes, times, rates and shares are
written is in [scenarios.md](scenarios.md), what the settings stand for in [model.md](model.md).
A key with a star is a policy: how memory is managed, rather than the machine and its load; figures
compare policies. Behind the default stands what kernels set (`kernel: 5.9`), from the version on
that is named. The setting is the field of `Settings` (`study/zone/settings.py`) that the key gives.

`python docs/settings.py` writes this page from `study/zone/settings.py` and, for keys whose words
are not the machine's, `study/scenario/model.py`."""

OF_STUDY = """What stands beside `base`: what varies, how often it runs, and what is to be decided.
The keys of `claims` are those of each entry; [scenarios.md](scenarios.md) has examples."""


def page() -> str:
    """The whole document."""
    group = ""
    keys = reference.keys()
    lines = [HEAD.format(count=len(keys))]
    for key in keys:
        if (own := key.name.partition(".")[0]) != group:
            group = own
            lines += ["", f"## {group}", ""]
            lines += ["| key | what it is | values | default | setting |", "|---|---|---|---|---|"]
        star = "*" if key.is_policy else ""
        default = "; ".join([f"`{key.default}`", *key.by_kernel])
        name = f"`{key.setting}`" if key.setting else ""
        lines.append(f"| `{key.name}`{star} | {key.about} | {key.values} | {default} | {name} |")
        if key.name == "requests":
            lines += [*_of_keys(RequestKeys, "requests.NAME"), *_drivers()]
        if key.name == "actions":
            lines += _of_keys(ActionKeys, "actions")
    lines += ["", "## The study", "", OF_STUDY, "", "| key | what it is | values | default |"]
    lines.append("|---|---|---|---|")
    for key in reference.study_keys():
        lines.append(f"| `{key.name}` | {key.about} | {key.values} | {key.default} |")
    return "\n".join(lines) + "\n"


def _of_keys(model: Any, name: str) -> Iterator[str]:
    """What each of the requests or actions has."""
    yield from ("", f"Each of `{name}`:", "", "| key | default | what it is |", "|---|---|---|")
    for key, field in model.model_fields.items():
        default = "needed" if field.is_required() else text_of(None, (), field.default)
        if field.default == 1_000_000_000:
            default = "1s"
        yield f"| {key} | {default} | {(field.description or '').rstrip('.')} |"


def _drivers() -> Iterator[str]:
    """The drivers whose requests are known, with their sources."""
    yield from ("", "What `driver` may be, and stands for; order, flags and else override it:", "")
    yield from ("| driver | order | flags | else | source |", "|---|---|---|---|---|")
    for name, one in DRIVERS.items():
        flags = one.flags.replace("|", "\\|")
        yield f"| {name} | {one.order} | {flags} | {one.otherwise} | {one.source} |"


if __name__ == "__main__":
    print(page(), end="")
