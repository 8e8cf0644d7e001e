"""Which cells the figures of policies compare: by the keys that the levels of an axis set."""

from __future__ import annotations

import html
import re

import pytest

from study.report import select
from study.report.figures.policies import Looks
from study.report.page import render
from study.results.manifest import new_manifest
from study.scenario import load_text
from study.scenario.matrix import named_axes
from study.scenario.model import KERNELS, policy_keys


def manifest_of(axes: str) -> dict:
    """The manifest of a study of these axes."""
    return new_manifest(load_text(f"axes:\n{axes}", "x.yaml"), simulation="", command=[])


def compared(axes: str) -> list[dict]:
    """The levels of the cells that figures of policies show."""
    manifest = manifest_of(axes)
    return list(select.compared_cells(manifest["cells"], named_axes(manifest["scenario"])).values())


SEVERAL = """\
  kswapd.policy: [count-only, order-aware]
  compaction.direct: [off, all]
  zone.grouping: [off, on]
"""


def test_every_setting_of_a_kernel_is_a_policy() -> None:
    """What `kernel` sets, and `kernel` itself, tells policies apart."""
    bundles = [pair for kernel in KERNELS.values() for pair in kernel.items()]
    keys = {f"{group}.{key}" for group, settings in bundles for key in settings}

    assert {"kernel", *keys} <= policy_keys()


@pytest.mark.parametrize(
    "axis",
    ["compaction.direct: [off, all]", "zone.grouping: [off, on]", "reclaim.lumpy: [false, true]",
     "zone.placement: [buddy, best-fit]", "zone.swap: [true, false]", "defrag.order: [2, 3]",
     "watermarks.marks: [2.6.8, 2.6.10]"],
)  # fmt: skip
def test_the_first_level_of_a_policy_is_not_held(axis: str) -> None:
    """Cells that differ in any policy are compared, each with its load held."""
    rest = "processes.fork_rate: [20/s, 40/s]\n  defrag.mode: [rmap-evict, rmap-migrate]"

    found = compared(f"  {axis}\n  {rest}\n")

    assert len(found) == 4
    assert {levels["processes.fork_rate"] for levels in found} == {"20/s"}


def test_all_cells_of_several_policies_are_compared() -> None:
    """Three axes of policies make eight marks, and no two of them have the same name."""
    manifest = manifest_of(SEVERAL)
    cells = select.compared_cells(manifest["cells"])
    names = [Looks(cells).name(cell) for cell in cells]

    assert len(cells) == len(set(names)) == 8
    assert names[0] == "count-only, compaction.direct off, zone.grouping off"
    assert names[-1] == "order-aware, compaction.direct all, zone.grouping on"


@pytest.mark.parametrize(
    ("named", "levels"),
    [("cure: { none: {}, grouping: { zone.grouping: on }, array: { nic.receive: page-array } }", 3),
     ("policy: [policy/stock, policy/order-aware, policy/evict-inline]", 3),
     ("min_free: { stock: null, more: { watermarks: { min: 468, low: 936, high: 1404 } } }", 2)],
)  # fmt: skip
def test_an_axis_with_names_goes_by_what_its_levels_set(named: str, levels: int) -> None:
    """Levels of the author's own that differ in policies are compared, whatever they are called."""
    found = compared(f"  {named}\n  processes.fork_rate: [20/s, 40/s]\n")

    assert len(found) == levels
    assert {levels["processes.fork_rate"] for levels in found} == {"20/s"}


@pytest.mark.parametrize(
    "load",
    ["machine: [machine/i386-1gb, machine/i386-256mb]", "zone.memory: [880MiB, 440MiB]",
     "kswapd.speed: [200/ms, 100/ms]", "stacks.size: [8KiB, 4KiB]",
     "pc: { old: { kernel: 2.6.8, nic.mtu: 1500 }, new: { kernel: 2.6.9, nic.mtu: 9000 } }"],
)  # fmt: skip
def test_machine_and_load_are_held(load: str) -> None:
    """What there is and who asks for it is the same in all cells of such a figure."""
    found = compared(f"  {load}\n{SEVERAL}")

    assert len(found) == 8
    assert len({levels[load.partition(":")[0]] for levels in found}) == 1


def test_the_page_says_what_is_held(results) -> None:
    """The page names the levels of machine and load that its figures rest on, and no policy."""
    said = html.unescape(render(results)).replace("\N{NO-BREAK SPACE}", " ")
    held = re.findall(r"Held in all marks: (.*?) (\d+) other cells are in the table", said)

    # Once for each figure of policies: the trade-off, and requests by order.
    assert len(held) == 2
    assert all("card <i>" in levels and "kswapd.policy" not in levels for levels, _ in held)
    assert {number for _, number in held} == {"2"}
    assert said.count("Other axes are averaged over; held: kernel 2.6.8 and its load.") == 1
