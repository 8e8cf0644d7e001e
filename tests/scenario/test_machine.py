"""A machine as a person has it: sizes, kernels, sysctls, free lists, requests by name, actions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from study.scenario import ScenarioError, load_text
from study.scenario.machine.kernels import between, nearest_below, parse
from study.scenario.machine.lists import TYPES, start_lists
from study.scenario.machine.requests import DRIVERS, RequestKeys, gfp_bits
from study.scenario.machine.sysctls import NOT_MODELLED, SYSCTLS
from study.scenario.model import KERNELS
from study.scenario.units import bytes_from, kbytes_from, pages_from
from study.scenario.write import yaml_text
from study.zone.engine.enums import Gfp
from study.zone.marks import marks_for
from study.zone.settings import Action, AdminAction, Otherwise, Request, Settings

BUDDYINFO = """\
Node 0, zone      DMA      1      1      0      0      2      1      1      0      1      1      3
Node 0, zone    DMA32   3070   4636   2026    110     34      2      0      0      0      0      0
Node 1, zone   Normal    258      9      5      0      1      2      0      1      1      0      0
"""
LINE = "258*4kB (UM) 9*8kB (M) 5*16kB (U) 0*32kB 1*64kB (H) 2*128kB (M) 0*256kB 1*512kB (M) "
LINE += "1*1024kB (M) 0*2048kB 0*4096kB = 3152kB"
TYPED = """\
Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
Node    0, zone   Normal, type    Unmovable      8      4      2      1      0      0      0      0      0      0      0
Node    0, zone   Normal, type      Movable     90     40     20     10      5      2      1      0      0      0      1
Node    0, zone   Normal, type  Reclaimable      3      0      0      0      0      0      0      0      0      0      0

Number of blocks type     Unmovable      Movable  Reclaimable
Node 0, zone   Normal           20          100            8
"""  # noqa: E501


def settings_of(base: str, *overrides: str) -> Settings:
    return load_text(f"base: {base}", "x.yaml", overrides).cells[0].settings


def faults_of(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as refused:
        load_text(text, "x.yaml")
    return [fault.text for fault in refused.value.faults]


@pytest.mark.quick
def test_kb_is_1024_bytes_everywhere() -> None:
    """The kernel's kB is a KiB, wherever a size stands."""
    assert pages_from("3756kB") == 939
    assert pages_from("8 KB") == 2
    assert bytes_from("32kB") == 32_768
    assert kbytes_from("3756kB") == kbytes_from(3756) == 3_756
    assert kbytes_from("64MiB") == 65_536
    assert settings_of("{zone: {memory: 262144kB}}").memory.pages == 65_536
    with pytest.raises(ValueError, match="no whole number of 4 KiB pages"):
        pages_from("3758kB")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("named", "taken"),
    [
        ("2.6.8", "2.6.8"), ("2.6.17", "2.6.11"), ("2.6.32-5-amd64", "2.6.24"),
        ("3.10", "3.5"), ("3.13.0-29-generic", "3.5"), ("4.20", "4.8"), ("5.10", "5.9"),
        ("6.12.117", "5.9"), ("7.3", "5.9"),
    ],
)  # fmt: skip
def test_any_kernel_is_the_nearest_one_below(named: str, taken: str) -> None:
    """A kernel that is not known has the settings of the newest known one that is not newer."""
    study = load_text(f"base: {{kernel: '{named}', zone: {{memory: 64MiB}}}}", "x.yaml")
    known = load_text(f"base: {{kernel: '{taken}', zone: {{memory: 64MiB}}}}", "x.yaml")

    assert nearest_below(named, KERNELS) == taken
    assert study.cells == known.cells
    said = [note for note in study.notes() if note.startswith("kernel")]
    assert bool(said) == (parse(named) != parse(taken))
    assert all(f"kernel {named} is taken as {taken}" in note for note in said)


@pytest.mark.quick
def test_what_lies_between_is_named() -> None:
    """The note tells what the kernels between brought, in their order, and nothing later."""
    assert between("5.9", "6.1") == [
        text for text in between("5.9", "7.3") if parse(text.split(":")[0]) <= (6, 1)
    ]
    assert any("5.14" in text for text in between("5.9", "6.1"))
    assert between("5.9", "5.9") == []


@pytest.mark.quick
@pytest.mark.parametrize("written", ["6.10", "5.10", "4.20", "3.0"])
def test_a_version_is_what_was_written(written: str) -> None:
    """6.10 is no 6.1, though YAML reads both as one number; in base, axes and overrides."""
    text = f"base: {{kernel: {written}}}"

    assert load_text(text, "x.yaml").document["base"]["kernel"] == written
    assert (
        load_text("seed: 1", "x.yaml", [f"kernel={written}"]).document["base"]["kernel"] == written
    )
    axis = load_text(f"axes: {{kernel: [2.6.8, {written}]}}", "x.yaml")
    assert axis.axes["kernel"] == ("2.6.8", written)


@pytest.mark.quick
@pytest.mark.parametrize("named", ["2.6.5", "2.4.27", "foo", "26.8", "5.x", "''"])
def test_no_kernel_is_refused_with_what_is_known(named: str) -> None:
    """Before the first one, or no version at all."""
    [fault] = faults_of(f"base: {{kernel: {named}}}")
    assert fault.startswith("kernel is")
    assert "2.6.8" in fault


@pytest.mark.quick
def test_two_kernels_that_are_one_here_are_no_axis() -> None:
    """Levels that come to the same machine are told, as other levels are."""
    [fault] = faults_of("axes: {kernel: [3.10, 3.13]}")
    assert "makes the same machine" in fault


@pytest.mark.quick
def test_sysctls_go_by_their_names() -> None:
    """Each sysctl is the setting that it names, in base, on an axis and on the command line."""
    values = {
        "min_free_kbytes": 8_000, "watermark_scale_factor": 150, "watermark_boost_factor": 0,
        "swappiness": 10, "extfrag_threshold": 300, "compaction_proactiveness": 50,
    }  # fmt: skip
    for name, value in values.items():
        key = SYSCTLS[name].key
        here = settings_of("{kernel: 5.9}", f"vm.{name}={value}")
        there = settings_of("{kernel: 5.9}", f"{key}={value}")
        assert here == there
        axis = load_text(f"base: {{kernel: 5.9}}\naxes: {{vm.{name}: [1, {value}]}}", "x.yaml")
        assert axis.cells[1].settings == here


@pytest.mark.quick
def test_min_free_kbytes_is_split_as_the_kernel_does() -> None:
    """A zone gets its share of min_free_kbytes, and low and high by its kernel's formula."""
    base = "{{kernel: {}, zone: {{memory: 880MiB, lowmem: 896MiB}}, vm: {{min_free_kbytes: 3756}}}}"
    marks = {
        kernel: marks_for(s.memory, s.watermarks)
        for kernel in ("2.6.8", "2.6.17", "5.9")
        for s in [settings_of(base.format(kernel))]
    }
    share = 939 * 225_280 // 229_376

    assert marks["2.6.8"] == (share, 2 * share, 3 * share)
    assert marks["2.6.17"] == (share, share * 5 // 4, share * 6 // 4)
    assert marks["5.9"] == (share, share + share // 4, share + 2 * (share // 4))


@pytest.mark.quick
def test_min_alone_gives_low_and_high() -> None:
    """The other two marks follow by the formula of the kernel named."""
    for kernel, low, high in (("2.6.8", 2_000, 3_000), ("2.6.11", 1_250, 1_500)):
        s = settings_of(f"{{kernel: {kernel}, watermarks: {{min: 4000kB}}}}")
        assert marks_for(s.memory, s.watermarks) == (1_000, low, high)
    [fault] = faults_of("base: {watermarks: {min: 900, low: 1000}}")
    assert "watermarks.high is missing" in fault


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "kernel", "since"),
    [
        ("watermark_scale_factor", "2.6.11", "4.6"), ("watermark_boost_factor", "4.19", "5.0"),
        ("extfrag_threshold", "2.6.24", "2.6.35"), ("compaction_proactiveness", "5.8", "5.9"),
    ],
)  # fmt: skip
def test_a_sysctl_that_the_kernel_has_not_is_refused(name: str, kernel: str, since: str) -> None:
    """By its name, with the kernel that brought it."""
    [fault] = faults_of(f"base: {{kernel: {kernel}, vm: {{{name}: 20}}}}")
    assert fault.startswith(f"vm.{name} is no sysctl of Linux {kernel}, which has none")
    assert since in fault


@pytest.mark.quick
def test_a_sysctl_that_is_not_modelled_is_refused_with_that_word() -> None:
    """Whatever else Linux has under vm., by its name; what it has not, with the nearest name."""
    for name in sorted(NOT_MODELLED):
        [fault] = faults_of(f"base: {{vm: {{{name}: 1}}}}")
        assert f"vm.{name}" in fault
        assert "not modelled" in fault or "is an action" in fault
    [fault] = faults_of("base: {vm: {swapiness: 3}}")
    assert "did you mean vm.swappiness?" in fault


@pytest.mark.quick
def test_one_setting_is_not_given_twice_with_two_values() -> None:
    """A sysctl and the key it gives may agree, and nothing else."""
    text = (
        "base: {{kernel: 5.9, vm: {{watermark_boost_factor: 0}}, watermarks: {{boost_factor: {}}}}}"
    )
    assert load_text(text.format(0), "x.yaml")
    [fault] = faults_of(text.format(15_000))
    assert "it is one setting" in fault


@pytest.mark.quick
def test_what_a_manifest_keeps_of_sysctls_is_read_again() -> None:
    """A study from its own resolved scenario is the same study, sysctls in base or on an axis."""
    for text in (
        "base: {kernel: 5.9, vm: {min_free_kbytes: 8000}}",
        "base: {kernel: 5.9}\naxes: {vm.min_free_kbytes: [4000, 8000]}",
        "base: {kernel: 5.9}\naxes: {a: {own: {}, high: {vm.swappiness: 10}}}",
    ):
        study = load_text(text, "x.yaml")
        again = load_text(yaml_text(json.loads(json.dumps(study.document))), "y.yaml")
        assert again.cells == study.cells
        assert again.document == study.document | {"name": again.name}


@pytest.mark.quick
def test_lowmem_reserve_ratio_holds_back_a_part_of_the_zones_above() -> None:
    """Pages of the higher zones divided by the ratio; without such zones it has no effect."""
    above = "{kernel: 5.9, zone: {memory: 1GiB, above: 4GiB}, vm: {lowmem_reserve_ratio: 256}}"
    assert settings_of(above).watermarks.lowmem_reserve_pages == 4_096
    [fault] = faults_of("base: {kernel: 5.9, vm: {lowmem_reserve_ratio: 256}}")
    assert "has no effect without a higher zone" in fault


COUNTS = (258, 9, 5, 0, 1, 2, 0, 1, 1, 0, 0)


@pytest.mark.quick
@pytest.mark.parametrize(
    "text",
    [
        " ".join(map(str, COUNTS)),
        list(COUNTS),
        "Node 1, zone   Normal    258      9      5      0      1      2      0      1      1 0 0",
        LINE,
        f"Node 1 Normal: {LINE}",
    ],
)
def test_every_form_of_a_list_says_the_same(text: object) -> None:
    """A list, a line of /proc/buddyinfo, a report's line with letters."""
    lists = start_lists(text)
    assert lists is not None
    assert lists.counts == COUNTS


@pytest.mark.quick
def test_a_whole_buddyinfo_needs_the_name_of_a_zone() -> None:
    """Of several zones one is meant: which, is asked for, and taken by name or node."""
    block = "".join(f"    {line}\n" for line in BUDDYINFO.splitlines())
    text = "base:\n  zone:\n    memory: 64MiB\n{}    buddyinfo: |\n" + block.replace(
        "    N", "      N"
    )
    [fault] = faults_of(text.format(""))

    assert "0/DMA, 0/DMA32, 1/Normal" in fault
    assert "zone.name: 1/Normal" in fault
    for name in ("Normal", "1/Normal", "normal"):
        study = load_text(text.format(f"    name: {name}\n"), "x.yaml")
        assert study.cells[0].settings.memory.buddyinfo == COUNTS
    [fault] = faults_of(text.format("    name: HighMem\n"))
    assert "zone.name HighMem is none" in fault


@pytest.mark.quick
def test_letters_decide_the_lists() -> None:
    """Blocks are shared out over the letters of their order; pagetypeinfo has them exactly."""
    lists = start_lists(LINE)
    assert lists is not None
    assert lists.by_type is not None
    by_letter = dict(zip(TYPES, lists.by_type, strict=True))
    assert (by_letter["U"][0], by_letter["M"][0]) == (129, 129)
    assert by_letter["H"][4] == 1
    typed = start_lists(TYPED)
    assert typed is not None
    assert typed.by_type is not None
    assert dict(zip(TYPES, typed.by_type, strict=True))["M"][:7] == (90, 40, 20, 10, 5, 2, 1)
    assert dict(typed.pageblocks)["U"] == 20


@pytest.mark.quick
def test_typed_lists_survive_being_written_down() -> None:
    """What a manifest keeps of lists by letter gives the same cell again."""
    block = "".join(f"      {line}\n" for line in TYPED.splitlines())
    text = f"base:\n  kernel: 5.9\n  zone:\n    memory: 64MiB\n    buddyinfo: |\n{block}"
    study = load_text(text, "x.yaml")
    again = load_text(yaml_text(json.loads(json.dumps(study.document))), "y.yaml")

    assert study.cells[0].settings.memory.typed_pageblocks == (20, 100, 8, 0)
    assert again.cells == study.cells


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("109*64kB 53*128kB 8*256kB 0*512kB 0*1024kB 0*2048kB 1*4096kB", "64 kB pages"),
        ("1 2 3", "3 numbers"),
        ("nothing of the kind", "it must be 11 numbers"),
        ({"X": [0] * 11}, "no list's letter"),
        ({"U": [0] * 10}, "must be 11 numbers"),
        ({"U": [0] * 11, "pageblocks": {"U": "many"}}, "has {'U': 'many'} for pageblocks"),
    ],
)
def test_what_is_no_list_says_what_one_is(text: object, said: str) -> None:
    """Another page size is named, and not taken for 4 kB."""
    with pytest.raises(ValueError, match=re.escape(said)):
        start_lists(text)


@pytest.mark.quick
def test_blocks_above_order_10_are_as_many_of_order_10() -> None:
    """A kernel with 13 or 14 orders keeps its free pages."""
    line = " ".join(f"{n}*{4 << order}kB" for order, n in enumerate([0] * 11 + [1, 2]))
    lists = start_lists(line)
    assert lists is not None
    assert lists.counts == (*[0] * 10, 2 + 2 * 4)


@pytest.mark.quick
def test_a_start_that_is_washed_out_says_so() -> None:
    """Free blocks to start from and ageing make a note; measured from the start there is none."""
    text = "base: {{zone: {{memory: 64MiB, buddyinfo: {}}}, clock: {{ageing: {}}}}}"
    aged, fresh = (load_text(text.format(list(COUNTS), t), "x.yaml").notes() for t in ("1s", "0s"))

    assert any("washed out" in note for note in aged)
    assert not any("washed out" in note for note in fresh)
    assert any("pages of 4 kB" in note for note in fresh)


@pytest.mark.quick
def test_requests_are_the_zones_requests() -> None:
    """A name with order, flags, rate, hold and fallback; beside base or in it."""
    text = (
        "requests: { dockerd: { order: 6, flags: GFP_KERNEL, rate: 1/min, hold: 10s, else: vmalloc,"
        " first: 0s } }"
    )
    wanted = Request("dockerd", 6, int(Gfp.KERNEL), 1 / 60, 10_000_000_000, Otherwise.VMALLOC, 0)
    beside = load_text(text, "x.yaml").cells[0]
    within = load_text(f"base: {{{text}}}", "x.yaml").cells[0]

    assert beside.settings.requests == (wanted,)
    assert beside == within
    again = load_text(text, "x.yaml", ["requests.dockerd.order=3"]).cells[0]
    assert again.settings.requests[0].order == 3
    axis = load_text(f"{text}\naxes: {{requests.dockerd.order: [6, 0]}}", "x.yaml")
    assert [cell.settings.requests[0].order for cell in axis.cells] == [6, 0]


@pytest.mark.quick
def test_flags_are_the_zones_bits() -> None:
    """The words of the kernel come to the bits that the allocator looks at."""
    assert gfp_bits("GFP_KERNEL") == Gfp.KERNEL
    assert gfp_bits("GFP_ATOMIC|__GFP_COMP|__GFP_NOWARN") == Gfp.ATOMIC
    assert gfp_bits("GFP_NOFS") & ~0xC0 == Gfp.WAIT | Gfp.NOFS
    assert gfp_bits("NORETRY") == Gfp.KERNEL | Gfp.NORETRY
    assert gfp_bits("GFP_KERNEL|__GFP_RETRY_MAYFAIL") == Gfp.KERNEL | Gfp.RETRY_MAYFAIL
    assert gfp_bits("NOFAIL") == Gfp.KERNEL | Gfp.NOFAIL
    assert gfp_bits("GFP_NOWAIT") == 0
    assert gfp_bits("GFP_HIGHUSER_MOVABLE") == Gfp.KERNEL | Gfp.MOVABLE
    for wrong in ("GFP_FOO", "", "GFP_KERNEL|__GFP_DMA"):
        with pytest.raises(ValueError, match="is"):
            gfp_bits(wrong)


@pytest.mark.quick
@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_every_driver_asks_by_its_own_rules(name: str) -> None:
    """A driver gives order, flags and fallback, each of which can be overridden; with a source."""
    [one] = settings_of(f"{{requests: {{x: {{driver: {name}, rate: 1/s}}}}}}").requests
    driver = DRIVERS[name]

    assert one.order == driver.order
    assert one.gfp == gfp_bits(driver.flags)
    assert "/" in driver.source
    [other] = settings_of(f"{{requests: {{x: {{driver: {name}, order: 5, rate: 1/s}}}}}}").requests
    assert other.order == 5


@pytest.mark.quick
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("{a: {order: 11, rate: 1/s}}", "at most 10"),
        ("{a: {order: 3}}", "requests.a.rate is missing"),
        ("{a: {rate: 1/s}}", "requests.a.order is missing"),
        ("{a: {order: 3, rate: 2e7/s}}", "a.rate is 20000000/s; it must be at most 10000000/s"),
        ("{a: {order: 3, rate: 1/s, els: refuse}}", "els"),
        ("{a: {driver: r8168, rate: 1/s}}", "did you mean r8169?"),
        ("{a: {order: 3, rate: 1/s, else: order-1}}", "refuse, order-0, vmalloc"),
        ("{'1x': {order: 3, rate: 1/s}}", "begins with a letter"),
        ("{a: {rate: 1/s}, b: {rate: 1/s}, c: {rate: 1/s}, d: {rate: 1/s}, e: {rate: 1/s}}",
         "at most 4"),
        ("7", "maps names to requests"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_told(told: str, said: str) -> None:
    """With the key, what stands there and what is allowed."""
    assert any(said in fault for fault in faults_of(f"requests: {told}"))


@pytest.mark.quick
def test_actions_count_from_the_measured_time() -> None:
    """They come in the order of time, each setting its own, with the sysctl's name or the key."""
    text = (
        "base: {clock: {ageing: 10s, measure: 200s}}\n"
        "actions: [{at: 120s, set: {watermarks.min_free_kbytes: 65000}}, "
        "{at: 60s, do: drop_caches}, {at: 90s, do: compact_memory}, "
        "{at: 150s, set: {vm.swappiness: 10}}]"
    )
    second = 1_000_000_000

    assert load_text(text, "x.yaml").cells[0].settings.actions == (
        Action(70 * second, AdminAction.DROP_CACHES),
        Action(100 * second, AdminAction.COMPACT_MEMORY),
        Action(130 * second, AdminAction.SET, "watermarks.min_free_kbytes", 65_000),
        Action(160 * second, AdminAction.SET, "reclaim.swappiness", 10),
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("{at: 3h, do: drop_caches}", "when the measured time is over"),
        ("{at: 1s, do: drop_cache}", "drop_caches, compact_memory"),
        ("{at: 1s}", "needs either do or set"),
        ("{do: drop_caches}", "at is missing"),
        ("{at: 1s, set: {nic.mtu: 1500}}", "which no action can set"),
        ("{at: 1s, set: {vm.swappiness: 500}}", "0 to 100"),
    ],
)
def test_an_action_that_is_none_is_told(told: str, said: str) -> None:
    """With its place in the list."""
    assert any(said in fault for fault in faults_of(f"actions: [{told}]"))


@pytest.mark.quick
def test_kmalloc_ends_where_the_kernel_named_ends_it() -> None:
    """A receive buffer of order 6 is beyond kmalloc of 2.6.8 and within that of 2.6.22."""
    [fault] = faults_of("base: {nic: {rx_order: 6}}")
    assert "kmalloc of Linux 2.6.8 ends at order 5" in fault
    assert settings_of("{kernel: 2.6.22, nic: {rx_order: 6}}").nic.rx_order == 6


@pytest.mark.quick
def test_ids_of_machines_without_all_this_are_what_they_were() -> None:
    """No new setting is in the id of a cell that does not use it."""
    of_then = "base: {kswapd.speed: 200, nic.transmit: linear}\naxes: {nic.mtu: [1500, 9000]}"
    ids = [cell.id for cell in load_text(of_then, "x.yaml").cells]
    assert ids == PLAIN_IDS


PLAIN_IDS = ["e5da068e", "4d98eb69"]


def test_a_reserve_of_the_whole_zone_is_refused() -> None:
    """No request that it is held against could ever be served."""
    zone = "kernel: 4.4, zone: {memory: 64MiB}"
    [fault] = faults_of(f"base: {{{zone}, watermarks: {{lowmem_reserve: 64MiB}}}}")
    assert "lowmem_reserve: holds back 16,384 pages; the zone has 16,384" in fault.replace(
        "lowmem_reserve holds", "lowmem_reserve: holds"
    )


@pytest.mark.parametrize("value", [[1], {"a": 1}, [[]], True, 1.5, -(10**30), "x", ""], ids=repr)
@pytest.mark.parametrize(
    "told",
    [
        *({"requests": {"a": {key: ...}}} for key in RequestKeys.model_fields),
        *({"actions": [{"at": "1s", "do": "drop_caches"} | {key: ...}]} for key in ("at", "do")),
        {"actions": [{"at": "1s", "set": ...}]},
        {"requests": {"a": ...}},
        {"requests": ...},
        {"actions": [...]},
        {"actions": ...},
    ],
    ids=str,
)
def test_whatever_stands_in_a_request_or_an_action_loads_or_is_told(
    told: dict[str, Any], value: Any
) -> None:
    """A value of another kind than the key's is a fault with its place, never a traceback."""

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [filled(inner) for inner in part]
        return value if part is ... else part

    said = ""
    try:
        load_text(json.dumps({"base": filled(told)}), "x.yaml")
    except ScenarioError as error:
        said = str(error)
    assert all(line.startswith("x.yaml") for line in said.splitlines())
