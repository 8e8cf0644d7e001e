"""Writes docs/settings.md from the declarations: python docs/settings.py > docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo

from study.scenario.check import in_units
from study.scenario.machine.requests import DRIVERS, ActionKeys, RequestKeys
from study.scenario.model import KERNELS, POLICY, Machine, OneOf, fields
from study.scenario.origin import text_of_key
from study.scenario.units import text_of
from study.zone.settings import declared

HEAD = """# Settings

What `base` and `axes` of a scenario may set, {count} keys. How sizes, times, rates and shares are
written is in [scenarios.md](scenarios.md), what the settings stand for in [model.md](model.md).
A key with a star is a policy: how memory is managed, rather than the machine and its load; figures
compare policies. Behind the default stands what kernels set (`kernel: 5.9`), from the version on
that is named. The setting is the field of `Settings` (`study/zone/settings.py`) that the key gives.

`python docs/settings.py` writes this page from `study/zone/settings.py` and, for keys whose words
are not the machine's, `study/scenario/model.py`."""

READ_BY = {
    "pages_from": "size",
    "bytes_from": "size",
    "nanoseconds_from": "time",
    "per_second_from": "rate",
    "pages_per_ms_from": "speed",
    "bits_per_second_from": "line rate",
    "share_from": "share",
    "count_from": "whole number",
    "number_from": "number",
    "switch_from": "true, false",
    "kbytes_from": "kB, or a size",
    "_kernel": "a version from 2.6.8 on",
    "_buddyinfo": "any form of a buddy list",
    "_requests": "names and requests, below",
}
BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"))


def marks(field: FieldInfo) -> list[Any]:
    """Everything that is attached to the type of a key, or to one of its alternatives."""
    arms = [mark for arm in get_args(field.annotation) for mark in getattr(arm, "__metadata__", ())]
    return [*field.metadata, *arms]


def values(key: str, field: FieldInfo) -> str:
    """What the key may be: words, or a kind of quantity and its bounds."""
    said = []
    for mark in marks(field):
        if isinstance(mark, OneOf):
            said.append(", ".join(mark.words))
        name = getattr(getattr(mark, "func", None), "__name__", "")
        said += [READ_BY[name]] if name in READ_BY else []
    for mark in marks(field):
        for bound, words in BOUNDS:
            if hasattr(mark, bound):
                said.append(f"{words} {in_units(key, getattr(mark, bound))}")
    return ", ".join(dict.fromkeys(said))


def by_kernel(key: str) -> Iterator[str]:
    """From which kernel on the key is set to what, where that is not the default."""
    group, _, name = key.partition(".")
    before = None
    for kernel, bundle in KERNELS.items():
        value = bundle.get(group, {}).get(name)
        if value != before and before is not None:
            text = {True: "true", False: "false"}.get(value, value)
            yield f"{kernel}: {text}"
        before = value


def page() -> str:
    """The whole document."""
    usual, group = Machine(), ""
    settings = {one.key: one.name for one in declared().values()}
    lines = [HEAD.format(count=len(fields()))]
    for key, field in fields().items():
        if (own := key.partition(".")[0]) != group:
            group = own
            lines += ["", f"## {group}", ""]
            lines += ["| key | values | default | setting | what it is |", "|---|---|---|---|---|"]
        star = "*" if POLICY in field.metadata else ""
        default = "; ".join([f"`{text_of_key(usual, key) or '()'}`", *by_kernel(key)])
        name = f"`{settings[key]}`" if key in settings else ""
        about = (field.description or "").rstrip(".")
        lines.append(f"| `{key}`{star} | {values(key, field)} | {default} | {name} | {about} |")
        if key == "requests":
            lines += [*_of_keys(RequestKeys, "requests.NAME"), *_drivers()]
        if key == "actions":
            lines += _of_keys(ActionKeys, "actions")
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
