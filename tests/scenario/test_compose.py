"""Scenarios made of others: extends, presets, named levels, and where each value comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.scenario import ScenarioError, Study, load, load_text
from study.scenario.load import unfold
from study.scenario.machine.requests import DRIVERS
from study.scenario.presets import KINDS, presets

pytestmark = pytest.mark.quick

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files by name; the path of the last one."""

    def of(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / f"{list(files)[-1]}.yaml"

    return of


def faults(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path, overrides)
    return [line.replace(f"{path.parent}/", "") for line in str(caught.value).splitlines()]


def levels(study: Study) -> list[dict[str, object]]:
    return [dict(cell.levels) for cell in study.cells]


def test_a_file_is_laid_over_what_it_extends(write: Write) -> None:
    """Settings merge key by key, the later wins; null takes a value away; name is not inherited."""
    path = write(
        common="name: c\nquestion: Why?\nseed: 3\nbase:\n  nic: {mtu: 1500, ring: 64}\n"
        "  clock: {ageing: 1s}",
        second="seed: 4\nbase: {nic: {ring: 32}, user: {zipf: 0.5}}",
        mine="extends: [common.yaml, second.yaml]\nbase: {nic.mtu: 4000, user: {zipf: null}}",
    )
    study = load(path)
    base = study.document["base"]

    assert (study.name, study.question, study.seed) == ("mine", "Why?", 4)
    assert (base["nic"]["mtu"], base["nic"]["ring"]) == (4000, 32)
    assert base["clock"]["ageing"] == "1s"
    assert base["user"]["zipf"] == 0.9


def test_lists_are_added_to_and_axes_replaced(write: Write) -> None:
    """Axes are replaced as a whole and removed with null; entries follow the inherited ones; a
    claim with the id of an inherited one replaces it.
    """
    claim = (
        "{{id: {}, says: {}, metric: rx_failures, side: {{nic.mtu: 1500}}, against: 0, "
        "expect: same, matters: 1}}"
    )
    path = write(
        below="axes: {nic.mtu: [1500, 4000, 9000], nic.ring: [8, 16], stacks.size: [4KiB, 8KiB]}\n"
        "exclude: [{nic.mtu: 9000, nic.ring: 8}, {nic.mtu: 4000}]\n"
        f"claims: [{claim.format('a', 'old')}, {claim.format('b', 'kept')}]",
        mine="extends: below.yaml\naxes: {nic.mtu: [1500, 9000], stacks.size: null}\n"
        "exclude: [{nic.mtu: 9000, nic.ring: 16}]\n"
        f"claims: [{claim.format('a', 'new')}, {claim.format('c', 'mine')}]",
    )
    study = load(path)

    assert list(study.axes) == ["nic.mtu", "nic.ring"]
    assert levels(study) == [{"nic.mtu": 1500, "nic.ring": 8}, {"nic.mtu": 1500, "nic.ring": 16}]
    assert [(claim.id, claim.says) for claim in study.claims] == [
        ("a", "new"), ("b", "kept"), ("c", "mine"),
    ]  # fmt: skip


def test_faults_name_the_file_they_stand_in(write: Write) -> None:
    """A wrong value is told where it is written, be it in an extended file; all at once."""
    path = write(
        below="base:\n  nic: {mtu: many}",
        mine="extends: below.yaml\nbase:\n  zone: {memroy: 1GiB}",
    )

    assert sorted(faults(path)) == [
        "below.yaml:2:9: nic.mtu is many; a number looks like 256",
        "mine.yaml:3:10: zone.memroy is not a setting; did you mean zone.memory?",
    ]


def test_all_faults_of_all_kinds_are_told_at_once() -> None:
    """An unknown preset, setting, level, key of the study and override do not hide one another."""
    text = (
        "extends: nic/e100-9000\nbse: {}\nbase: {zone.memory: much}\naxes:\n"
        "  card: {a: {nic.ringg: 3}, b: {nic.mtu: 1}, c: nic/none}\n  defrag.order: [11, x]\n"
        "include: [{nic.driver: e100}]"
    )
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "x.yaml", ["seeed=3", "nic.driver=tg4"])

    told = str(caught.value)
    for words in (
        "x.yaml:1:1: extends nic/e100-9000",
        "x.yaml:2:1: bse",
        "x.yaml:3:8: zone.memory is much",
        "x.yaml:5:14: nic.ringg is not a setting; did you mean nic.ring?",
        "x.yaml:5:46: card has nic/none",
        "x.yaml:6:22: defrag.order is x",
        "x.yaml:7:12: nic.driver is e100",
        "override 'seeed=3': seeed is not a setting",
        "override 'nic.driver=tg4': nic.driver is tg4",
    ):
        assert words in told, told


def test_circles_and_missing_files_are_named(write: Write) -> None:
    """A circle is shown as such; a missing file and an unknown preset with the nearest name."""
    path = write(
        a="extends: b.yaml",
        b="extends: a.yaml",
        mine="extends: [a.yaml, mine.yaml, bb.yaml, nic/e1000-900, 7, ../..]",
    )

    assert faults(path) == [
        "b.yaml:1:1: extends a.yaml, which goes round in a circle: a.yaml -> b.yaml -> a.yaml",
        ("mine.yaml:1:19: extends mine.yaml, which goes round in a circle: mine.yaml -> mine.yaml"),
        "mine.yaml:1:30: extends bb.yaml: no such file; did you mean b.yaml?",
        (
            "mine.yaml:1:39: extends nic/e1000-900, which is neither a .yaml file nor a preset; "
            "did you mean nic/e1000-9000?"
        ),
        "mine.yaml:1:54: extends 7, which is neither a file nor a preset",
        (
            "mine.yaml:1:57: extends ../.., which is neither a .yaml file nor a preset; "
            f"`study presets` lists all {len(presets())}"
        ),
    ]


def test_a_setting_that_an_inherited_axis_has_is_without_effect(write: Write) -> None:
    """Base cannot change what the extended file varies; giving the axis anew can."""
    below = "axes: {nic.mtu: [1500, 9000], card: {a: {nic.ring: 8}, b: {nic.ring: 9}}}"
    path = write(below=below, mine="extends: below.yaml\nbase: {nic: {mtu: 4000, ring: 3}}")

    assert faults(path) == [
        "mine.yaml:2:14: nic.mtu has no effect here: the axis nic.mtu sets it (below.yaml:1:8)",
        "mine.yaml:2:25: nic.ring has no effect here: the axis card sets it (below.yaml:1:31)",
    ]
    path.write_text("extends: below.yaml\naxes: {card: null, nic.mtu: [1500]}\nbase.nic.ring: 3")
    assert len(faults(path)) == 1
    path.write_text("extends: below.yaml\naxes: {card: null, nic.mtu: [1500]}\nbase: {nic.ring: 3}")
    assert [cell.settings.nic.ring for cell in load(path).cells] == [3]


def test_a_named_axis_sets_several_keys_at_once() -> None:
    """Levels of an axis of the author's own are settings, presets, or both; claims, exclude and
    overrides go by their names.
    """
    text = """
    axes:
      card:
        small: { nic: { mtu: 1500, ring: 16 } }
        large: [nic/tg3-9000, { nic.ring: 64 }]
        usual: null
      policy: [policy/stock, policy/order-aware]
    exclude: [{ card: usual, policy: order-aware }]
    claims:
      - { id: x, says: s, metric: rx_failures, side: { card: large }, against: { card: small },
          expect: more, matters: 1 }
    """
    study = load_text(text, "x.yaml")
    told = {
        (c.levels["card"], c.levels["policy"]): (c.settings.nic.rx_order, c.settings.nic.ring)
        for c in study.cells
    }

    assert told == {
        ("small", "stock"): (0, 16), ("small", "order-aware"): (0, 16),
        ("large", "stock"): (2, 64), ("large", "order-aware"): (2, 64),
        ("usual", "stock"): (3, 256),
    }  # fmt: skip
    cut = load_text(text, "x.yaml", ["card=[large, small]", "policy=stock"])
    assert levels(cut) == [
        {"card": "large", "policy": "stock"}, {"card": "small", "policy": "stock"},
    ]  # fmt: skip
    again = load_text(json.dumps(study.document), "manifest.json")
    assert again.cells == study.cells
    assert again.document == study.document


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "axes: {card: {a: {nic.mtu: 1}, b: {nic.mtuu: 2}}}",
            "x.yaml:1:36: nic.mtuu is not a setting; did you mean nic.mtu?",
        ),
        (
            "axes: {card: {a: {nic.mtu: 100}, b: {nic.mtu: 20}}}",
            "x.yaml:1:38: nic.mtu is 20; e1000 takes 68 to 16,110 bytes",
        ),
        (
            "axes: {card: {a: {nic.mtu: 100}, b: nic/e1000}}",
            ("x.yaml:1:34: card has nic/e1000, which is no preset; did you mean nic/e1000-9000?"),
        ),
        (
            "axes: {card: {a: {nic.mtu: 100}}, nic.mtu: [200]}",
            "x.yaml:1:35: nic.mtu and card both set nic.mtu",
        ),
        (
            "axes: {cell: {a: {nic.mtu: 100}}}",
            "x.yaml:1:8: an axis cannot be called cell: the tables use the word",
        ),
        (
            "axes: {card: {10: {nic.mtu: 100}}}",
            "x.yaml:1:15: card has the level 10, which reads as no word; begin it with a letter",
        ),
        (
            f"axes: {{card: {{{'a' * 61}: {{nic.mtu: 100}}}}}}",
            f"x.yaml:1:15: card has the level {'a' * 57}..., which has more than 60 letters",
        ),
        (
            "axes: {card: {a: {nic.mtu: 100}}}\nexclude: [{card: b}]",
            "x.yaml:2:12: card has no level b; it has a",
        ),
        (
            "axes: {card: {a: {nic.mtu: 100}}}\nexclude: [{crad: a}]",
            "x.yaml:2:12: crad is not a setting; did you mean card?",
        ),
        ("base: {nic.mtu: 1, nic: {mtu: 2}}", "x.yaml:1:8: nic.mtu stands here a second time"),
        (
            "axes: {nic.mtu: [1], nic: {mtu: [2]}}",
            "x.yaml:1:28: nic.mtu stands here a second time",
        ),
        (
            "axes: {defrag.interval: [1s, 2s]}",
            "x.yaml:1:8: defrag.interval makes no difference in any cell: defrag.mode is off",
        ),
        ("axes: {kernal: [2.6.8]}", "x.yaml:1:8: kernal is not a setting; did you mean kernel?"),
        ("axes: {card: {}}", "x.yaml:1:8: card has no levels"),
        (
            "axes: {policy: [stock, order-aware]}",
            "x.yaml:1:8: policy has stock, which is no preset; did you mean policy/stock?",
        ),
        (
            "axes: {machine: machine/i386-64mb}",
            (
                "x.yaml:1:8: machine is machine/i386-64mb; an axis is a list of levels: "
                "[machine/i386-64mb, ...]"
            ),
        ),
        (
            "axes: {card: [nic/tg3-9000, {nic.ring: 8}]}",
            (
                "x.yaml:1:8: card is not a setting; levels of an axis of your own are presets or "
                "have names: {a: {nic.mtu: 1500}}"
            ),
        ),
        # Without effect.
        (
            "axes: {card: {a: {nic.mtu: 9000}, b: null}}",
            "x.yaml:1:35: card b makes the same machine as card a",
        ),
        (
            "axes: {zone.memory: [1GiB, 1024MiB]}",
            "x.yaml:1:28: zone.memory 1024MiB makes the same machine as zone.memory 1GiB",
        ),
        (
            "axes: {nic.mtu: [1500, 9000]}\ninclude: [{nic.mtu: 1500}]",
            "x.yaml:2:11: this entry adds nothing: a cell has nic.mtu 1500",
        ),
        (
            "axes: {nic.mtu: [1500, 9000]}\nexclude: [{nic.mtu: 1500}, {nic.mtu: 1500}]",
            "x.yaml:2:28: this entry excludes nothing: no cell that is left has nic.mtu 1500",
        ),
    ],
)
def test_mistakes_with_axes_are_told_where_they_stand(text: str, line: str) -> None:
    """Unknown keys, impossible values, clashes and idle axes: file, line, column, what is wrong."""
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "x.yaml")

    assert line in str(caught.value).splitlines()


SMALL = """
base: { nic: { mtu: 1500, ring: 16 }, stacks.size: 8KiB }
axes:
  card: { a: { nic.rx_hold: 1ms }, b: { nic.rx_hold: 2ms } }
  processes.fork_rate: [1/s, 2/s]
"""


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["nic.mtu=9000", "nic.mtu=1499"],
         "'nic.mtu=9000': has no effect: 'nic.mtu=1499' behind it sets nic.mtu as well"),
        (["nic.rx_hold=3ms"],
         "'nic.rx_hold=3ms': has no effect: nic.rx_hold is set by the axis card (x.yaml:4:3)"),
        (["defrag.budget=64 pages"],
         "'defrag.budget=64 pages': has no effect: defrag.mode is off"),
        (["card=c"], "'card=c': card has no level c; it has a, b"),
        (["crad=a"], "'crad=a': crad is not a setting; did you mean card?"),
    ],
)  # fmt: skip
def test_an_override_without_effect_is_a_fault(overrides: list[str], line: str) -> None:
    """What changes no cell is refused, with the reason; what changes one is taken."""
    with pytest.raises(ScenarioError) as caught:
        load_text(SMALL, "x.yaml", overrides)

    assert str(caught.value) == f"override {line}"
    ours = ["nic.mtu=9000", "seed=2", "card=a", "processes.fork_rate=3/s", "kernel=2.6.11"]
    assert len(load_text(SMALL, "x.yaml", ours).cells) == 1


@pytest.mark.parametrize(
    ("override", "remark"),
    [
        ("nic.mtu=1500", "nic.mtu is 1500 already (x.yaml:2:16)"),
        ("seed=1", "seed is so by default"),
        ("card=[a, b]", "card is a, b already (x.yaml:4:3)"),
        ("kernel=2.6.8", "kernel is so by default"),
        ("nic.driver=e1000", "nic.driver is so by default"),
    ],
)
def test_an_override_that_is_so_already_is_noted(override: str, remark: str) -> None:
    """A loop over several values may begin with that of the file: the study is the same."""
    study = load_text(SMALL, "x.yaml", [override])

    assert study == load_text(SMALL, "x.yaml")
    assert study.remarks == (f"override '{override}': {remark}",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("base: { nic: { ring: 1024 } }\naxes: { card: [nic/e1000-1500, nic/e1000-9000] }",
         ("x.yaml:1:16: nic.ring has no effect: the axis card sets it in every cell; put it into "
          "the levels, as e1000-1500: [..., { nic.ring: 1024 }] (x.yaml:2:9)")),
        ("base: { nic.mtu: 1500 }\naxes: { nic.mtu: [1500, 9000] }",
         "x.yaml:1:9: nic.mtu has no effect: the axis nic.mtu sets it in every cell (x.yaml:2:9)"),
    ],
)  # fmt: skip
def test_a_setting_that_the_files_own_axis_sets_is_a_fault(text: str, line: str) -> None:
    """What stands under base and in every level of an axis of the same file would be lost."""
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "x.yaml")

    assert str(caught.value).splitlines() == [line]


@given(
    values=st.dictionaries(
        st.sampled_from(["nic.mtu", "nic.ring", "user.extent", "slab.objects_per_page"]),
        st.integers(1, 5).map(lambda step: 68 + step),
        min_size=1,
    )
)
def test_what_an_override_sets_is_what_every_cell_has(values: dict[str, int]) -> None:
    """key=value on the command line gives the same cells as the key in the file."""
    overridden = load_text("seed: 1", "x.yaml", [f"{k}={v}" for k, v in values.items()])
    written = load_text(json.dumps({"base": values}), "x.yaml")

    assert [cell.id for cell in overridden.cells] == [cell.id for cell in written.cells]


def test_every_setting_of_a_cell_knows_where_it_comes_from(write: Write) -> None:
    """File and line, preset, axis level, include entry, override, kernel, or default."""
    path = write(
        below="base:\n  clock: {ageing: 1s}\n  kernel: 2.6.11",
        mine="extends: [below.yaml, machine/i386-64mb]\nbase:\n  user.zipf: 0.7\naxes:\n"
        "  nic.mtu: [1500, 9000]\n  card:\n    a: {nic.ring: 16}\n    b: {nic.ring: 8}\n"
        "exclude: [{card: b}]\n"
        "include:\n  - {nic.mtu: 9000, slab.rate: 5/s}",
    )
    unfolded = unfold(path, ["nic.tx_hold=3ms"])
    cell = next(c for c in unfolded.study.cells if c.levels["nic.mtu"] == 9000)
    found = {
        s.key: (s.place.replace(f"{path.parent}/", ""), s.through)
        for s in unfolded.settings(cell)
    }  # fmt: skip

    assert found["clock.ageing"] == ("below.yaml:2:11", "")
    assert found["zone.memory"][0].startswith("preset machine/i386-64mb:")
    assert found["user.zipf"] == ("mine.yaml:3:3", "")
    assert found["nic.mtu"] == ("mine.yaml:5:19", "axis nic.mtu")
    assert found["nic.ring"] == ("mine.yaml:7:9", "axis card: a")
    assert found["slab.rate"] == ("mine.yaml:11:21", "include")
    assert found["nic.tx_hold"] == ("override 'nic.tx_hold=3ms'", "")
    assert found["kswapd.policy"] == ("below.yaml:3:3", "kernel 2.6.11")
    assert found["nic.driver"] == ("", "")


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_scenario_with_a_source(name: str) -> None:
    """Each preset makes a machine that can be simulated, and says what it is and whence."""
    preset = presets()[name]

    assert name.partition("/")[0] in KINDS
    assert preset.about
    assert preset.source
    assert set(preset.document.value) == {"base"}
    study = load_text(f"extends: {name}", "x.yaml")
    assert len(study.cells) == 1


def test_presets_of_a_kind_make_different_machines() -> None:
    """No two presets of a kind are the same machine by another name."""
    for kind in KINDS:
        cells: dict[str, str] = {}
        for name in (name for name in presets() if name.startswith(f"{kind}/")):
            identity = load_text(f"extends: {name}", "x.yaml").cells[0].id
            assert cells.setdefault(identity, name) == name


def test_cards_have_the_buffers_and_rings_of_their_drivers() -> None:
    """Order and number of receive buffers, whether driver and MTU stand in a preset or not."""
    cards = {
        name.partition("/")[2]: load_text(f"extends: {name}", "x.yaml").cells[0].settings.nic
        for name in presets()
        if name.startswith("nic/")
    }

    assert {name: (card.rx_order, card.ring) for name, card in cards.items()} == {
        "e1000-1500": (0, 256), "e1000-9000": (3, 256), "e1000-16110": (3, 256),
        "e1000-page-array": (3, 256), "tg3-1500": (0, 200), "tg3-9000": (2, 100),
        "acenic-9000": (2, 48), "s2io-9000": (2, 256), "ixgb-9000": (3, 256),
        "no-scatter-gather-100": (0, 64),
    }  # fmt: skip
    small = load_text("extends: nic/acenic-9000\nbase: {nic.mtu: 1500}", "x.yaml")
    assert small.cells[0].settings.nic.rx_order == 0


def test_machines_have_zone_normal_of_their_size() -> None:
    """Without the first 16 MB, up to 896 MB on i386; mem_map of all memory lies in it."""
    mib = 256
    for name in presets():
        kind, _, machine = name.partition("/")
        if kind != "machine":
            continue
        size, i386 = machine.rpartition("-")[2], machine.startswith("i386")
        memory = int(size[:-2]) * (1024 if size.endswith("gb") else 1) * mib
        lowmem = min(memory, 896 * mib) if i386 else memory
        kernel = (3 if memory < 512 * mib else 4) if i386 else 4
        mem_map = memory * (32 if i386 else 56) / 4096
        zone = load_text(f"extends: {name}", "x.yaml").cells[0].settings.memory

        assert (zone.pages, zone.lowmem_pages) == (lowmem - 16 * mib, lowmem), name
        assert zone.reserved_pages == ceil((kernel * mib + mem_map) / mib) * mib, name


def test_drivers_are_presets_and_levels() -> None:
    """Each asks as its table has it, in place of the card of 2004; keys are changed one by one."""
    study = load_text(
        "extends: driver/tcp-send\nrequests: {tcp-send: {rate: 7/s}}\n"
        "axes: {card: [driver/r8152, driver/mt76-frag]}",
        "x.yaml",
    )
    asked = {
        cell.levels["card"]: {one.name: one for one in cell.settings.requests if one.per_s}
        for cell in study.cells
    }

    assert {card: {*names} for card, names in asked.items()} == {
        "r8152": {"r8152", "tcp-send"},
        "mt76-frag": {"mt76-frag", "tcp-send"},
    }
    for names in asked.values():
        for name, one in names.items():
            assert one.order == DRIVERS[name].order
            assert one.per_s == (7 if name == "tcp-send" else 1000)
    assert {cell.settings.nic.rx_frames_per_s for cell in study.cells} == {0.0}


def test_a_request_is_composed_key_by_key() -> None:
    """Written dotted or nested, at base or in a level; none takes it away; slips are told."""
    below = "extends: driver/r8152\n"
    [cell] = load_text(f"{below}base: {{requests.r8152.hold: 9ms}}", "x.yaml").cells
    [none] = load_text(f"{below}requests: {{r8152: null}}", "x.yaml").cells
    nested, dotted = (
        load_text(f"{below}axes: {{q: {{a: {told}, b: {{}}}}}}", "x.yaml").cells[0].settings
        for told in ("{requests: {r8152: {hold: 3ms}}}", "{requests.r8152.hold: 3ms}")
    )

    assert [(one.hold_ns, one.per_s) for one in cell.settings.requests] == [(9_000_000, 1000.0)]
    assert none.settings.requests == ()
    assert nested == dotted
    with pytest.raises(ScenarioError, match=r"x.yaml:2:20: .* did you mean hold\?"):
        load_text(f"{below}requests: {{r8152: {{hld: 3ms}}}}", "x.yaml")
    varied = load_text(
        "requests: {r8152: {driver: r8152, rate: 1/s}}\naxes: {requests.r8152.rate: [1/s, 2/s]}",
        "x.yaml",
    )
    assert [cell.settings.requests[0].per_s for cell in varied.cells] == [1.0, 2.0]
