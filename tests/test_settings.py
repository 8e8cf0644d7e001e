"""Settings: one declaration gives key, bounds, schema, record, page and id."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from study.scenario import load, load_text
from study.scenario.model import fields
from study.zone.settings import declared

IDS = {
    "article": ("d00fae78", "51b39278"),
    "history": ("b1183e2c", "f2f3d7b3"),
    "null-model": ("34cc532b", "fce04ced"),
    "cures": ("cd37fb79", "2364dedb"),
    "smoke": ("65adc0b6", "0cc61e88"),
}
"""First and last cell of shipped scenarios, as their ids are since their last design."""


@pytest.mark.parametrize("name", IDS)
def test_cells_keep_their_ids(root: Path, name: str) -> None:
    """Ids that have been given are those of the same machines for good: results go by them."""
    cells = load(root / "scenarios" / f"{name}.yaml").cells

    assert (cells[0].id, cells[-1].id) == IDS[name]


def test_every_setting_can_be_told_apart() -> None:
    """Names of keys and of constants are given once, and each setting has a sentence."""
    settings = declared().values()
    keys = [one.key for one in settings if one.key]
    constants = [one.constant for one in settings if one.constant]

    assert len(set(keys)) == len(keys)
    assert set(keys) <= set(fields())
    assert len(set(constants)) == len(constants)
    assert [one.name for one in settings if not one.about] == []


def test_every_constant_of_the_record_is_read(root: Path) -> None:
    """A setting that no kernel reads is declared as such, and is not in the record."""
    sources = "".join(path.read_text() for path in (root / "study/zone").rglob("*.py"))
    read = set(re.findall(r"\bz\.(\w+)", sources))

    assert {one.constant for one in declared().values() if one.constant} - read == set()


@pytest.mark.parametrize("key", [one.key for one in declared().values() if one.setting.most])
def test_the_largest_value_is_allowed_and_no_larger_one(key: str) -> None:
    """Bounds are inclusive, and what is beyond is named with its bound."""
    one = next(one for one in declared().values() if one.key == key)
    most, unit = one.setting.most, "ns" if one.unit == "ns" else ""
    assert most is not None
    text = "zone.grouping: on, zone.memory: 256GiB, processes.memory: 1"
    if key == "zone.dma_reserved":
        text += ", zone.dma: 16MiB"
    if key == "costs.refault":
        text += ", user.working_set: 1GiB"
    own = "" if key in text else text + ", "
    load_text(f"base: {{{own}{key}: {most:.0f}{unit}}}", "x.yaml")
    with pytest.raises(ValueError, match=rf"x.yaml:1:\d+: {key} is .+; it must be at most "):
        load_text(f"base: {{{own}{key}: {most + 1:.0f}{unit}}}", "x.yaml")


CHANGES = {
    "study/zone/settings.py": (
        "    swap: bool = setting(True, policy=True)\n",
        '''\
    straight_back: bool = setting(False, policy=True)
    """Freed pages pass the per-cpu lists by."""
    swap: bool = setting(True, policy=True)
''',
    ),
    "study/zone/mm/linux_2_6/percpu.py": (
        "if z.percpu_lists == 0:\n        give_back",
        "if z.percpu_lists == 0 or z.straight_back:\n        give_back",
    ),
    "study/scenario/model.py": (
        'compaction={"proactiveness": 20}',
        'compaction={"proactiveness": 20}, zone={"straight_back": True}',
    ),
}
"""Of a new switch that kernel 5.9 sets: file, what stands there, and what instead."""


RECORD = """
import numpy as np
from study.scenario import load_text
from study.scenario.model import policy_keys
from study.zone.engine.record import MACHINE, set_settings

off = load_text("name: x", "x.yaml").cells[0]
on = load_text("base: {zone.straight_back: on}", "x.yaml").cells[0]
late = load_text("base: {kernel: 5.9}", "x.yaml").cells[0]
z = np.zeros(1, MACHINE)
set_settings(z, on.settings)
print(z["straight_back"][0], off.id, on.id != off.id, "zone.straight_back" in policy_keys())
print(on.settings.memory.straight_back, late.settings.memory.straight_back)
"""


@pytest.mark.nightly(part="extending")  # it compiles the simulation anew
def test_a_new_switch_is_one_declaration_and_its_use(in_a_changed_copy: Callable[..., str]) -> None:
    """Key, schema, page, record and policies have it, and cells keep their ids: a new switch takes
    a change of settings.py and of the function that reads it; a kernel version that sets it makes
    three files.
    """
    changed = partial(in_a_changed_copy, CHANGES)
    assert len(CHANGES) <= 3
    usual = load_text("name: x", "x.yaml").cells[0].id
    told = json.loads(changed("-m", "study", "schema"))["definitions"]["zone.straight_back"]

    assert told["description"] == "Freed pages pass the per-cpu lists by."
    assert told["default"] is False
    assert (
        "| `zone.straight_back`* | Freed pages pass the per-cpu lists by | true, false "
        "| `false`; 5.9: true | `memory.straight_back` |" in (changed("docs/settings.py"))
    )
    assert changed("-c", RECORD).split() == ["1", usual, *["True"] * 4]
