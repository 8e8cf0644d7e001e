"""What a scenario unfolds into."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from itertools import count, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.scenario import ScenarioError, Study, load, load_text
from study.scenario.check import known_keys
from study.scenario.nic import frame_pages, rx_order, tx_order
from study.scenario.trial import _written
from study.scenario.units import nanoseconds_from, pages_from, per_second_from, share_from
from study.scenario.write import yaml_text
from study.zone.demand import pack
from study.zone.extension import traffic_source, victim_selector
from study.zone.settings import (
    AllocationPath,
    DefragMode,
    KswapdLoop,
    KswapdPolicy,
    Marks,
    NicTransmit,
    Recorded,
    Settings,
)


def study_of(text: str, *overrides: str) -> Study:
    return load_text(text, "x.yaml", overrides)


def settings_of(base: str) -> Settings:
    return study_of(f"base: {base}").cells[0].settings


def test_the_article_is_its_matrix(root: Path) -> None:
    """2 x (1 + 2 x 2) x 2 cells; 2 each of many forks, small stacks, pages; 1 GB under 2.6.8."""
    study = load(root / "scenarios" / "article.yaml")

    assert len(study.cells) == 26
    assert list(study.axes) == [
        "kswapd.policy", "defrag.mode", "defrag.run", "stacks.size", "nic.transmit", "nic.receive",
        "processes.fork_rate",
    ]  # fmt: skip
    first = study.cells[0].settings
    assert (first.memory.pages, first.memory.lowmem_pages) == (225_280, 229_376)
    assert (first.allocation, first.kswapd.loop) == (AllocationPath.V2_6_8, KswapdLoop.V2_6_8)
    assert (first.nic.rx_order, first.nic.tx_order, first.nic.frame_pages) == (3, 2, 3)
    assert {cell.settings.defrag.mode for cell in study.cells} == set(DefragMode)
    assert {cell.settings.processes.stack_order for cell in study.cells} == {0, 1}


def test_every_shipped_scenario_loads(root: Path) -> None:
    """Each file in scenarios/ has a name, a question and cells with ids of their own."""
    files = sorted((root / "scenarios").glob("*.yaml"))

    assert {file.stem for file in files} >= {"article", "smoke"}
    for file in files:
        study = load(file)
        assert study.name == file.stem
        assert study.question
        assert len({cell.id for cell in study.cells}) == len(study.cells)


def test_trials_come_replicate_by_replicate() -> None:
    """A run cut short has whole comparisons: all cells of replicate 0 first."""
    study = study_of("axes: {nic.mtu: [1500, 9000]}\nreplicates: 2\nseed: 7")

    assert [(t.replicate, t.cell.levels["nic.mtu"], t.seed) for t in study.trials()] == [
        (0, 1500, 7), (0, 9000, 7), (1, 1500, 7), (1, 9000, 7),
    ]  # fmt: skip
    assert len(study) == 4


AXES = {
    "nic.mtu": [1500, 4000, 9000],
    "defrag.mode": ["off", "rmap-evict", "rmap-migrate"],
    "zone.swap": [True, False],
}


@settings(max_examples=50)
@given(data=st.data())
def test_exclude_removes_what_matches_all_its_keys(data: st.DataObject) -> None:
    """Cells are the product of the axes without the combinations that an entry matches."""
    axes = {
        k: data.draw(st.lists(st.sampled_from(v), min_size=1, unique=True)) for k, v in AXES.items()
    }
    entries = data.draw(
        st.lists(
            st.dictionaries(st.sampled_from(list(axes)), st.integers(0, 2), min_size=1).map(
                lambda picks: {k: axes[k][i % len(axes[k])] for k, i in picks.items()}
            ),
            max_size=3,
        )
    )
    expected = [
        c
        for c in (dict(zip(axes, levels, strict=True)) for levels in product(*axes.values()))
        if not any(entry.items() <= c.items() for entry in entries)
    ]
    text = json.dumps({"axes": axes, "exclude": entries})
    left = [dict(zip(axes, levels, strict=True)) for levels in product(*axes.values())]
    for entry in entries:
        kept = [c for c in left if not entry.items() <= c.items()]
        if kept == left:
            with pytest.raises(ScenarioError, match="this entry excludes nothing"):
                study_of(text)
            return
        left = kept
    if not expected:
        with pytest.raises(ScenarioError, match="exclude leaves no cell"):
            study_of(text)
        return

    assert [cell.levels for cell in study_of(text).cells] == expected


def alike(first: int) -> tuple[int, int]:
    """Two costs of a refault, in ns, that happen to give a cell the same short id."""
    told = _written(settings_of(f"{{costs: {{refault: {first}ns}}}}"))
    before, after = json.dumps(told, sort_keys=True).split(str(first))
    seen: dict[bytes, int] = {}
    for cost in count(first):
        digest = hashlib.blake2b(f"{before}{cost}{after}".encode(), digest_size=4).digest()
        if digest in seen:
            return seen[digest], cost
        seen[digest] = cost
    raise AssertionError


def test_machines_whose_ids_would_be_the_same_get_longer_ones() -> None:
    """Two of these three have the same eight digits by chance, and are two cells all the same."""
    first, second = alike(1_000_001)
    study = study_of(f"axes: {{costs.refault: [{first}ns, 1ns, {second}ns]}}")
    again = study_of(json.dumps(study.document))
    alone = [
        study_of(f"base: {{costs: {{refault: {cost}ns}}}}").cells[0].id for cost in (first, second)
    ]

    assert alone[0] == alone[1]
    assert [len(cell.id) for cell in study.cells] == [16, 8, 16]
    assert len({cell.id for cell in study.cells}) == 3
    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]


def test_include_extends_what_it_fits_and_adds_what_it_does_not() -> None:
    """As in a CI matrix: an entry that changes no axis level is laid over, others are cells."""
    study = study_of(
        "axes: {nic.mtu: [1500, 9000]}\n"
        "include:\n"
        "  - {nic.mtu: 9000, nic.ring: 64}\n"
        "  - {nic.mtu: 16110, nic.ring: 32}\n"
    )

    assert [(c.levels["nic.mtu"], c.levels["nic.ring"]) for c in study.cells] == [
        (1500, 256), (9000, 64), (16110, 32),
    ]  # fmt: skip
    assert [c.settings.nic.ring for c in study.cells] == [256, 64, 32]


def test_words_stay_words() -> None:
    """`off` is no boolean and 2.6.10 no number; true and false are."""
    made = settings_of("{kernel: 2.6.10, defrag: {mode: off}, zone: {swap: false}}")

    assert made.defrag.mode == DefragMode.OFF
    assert made.watermarks.marks == Marks.V2_6_10
    assert made.memory.swap is False


BLIND, AWARE = KswapdPolicy.COUNT_ONLY, KswapdPolicy.ORDER_AWARE


@pytest.mark.parametrize(
    ("kernel", "marks", "path", "loop", "policy"),
    [
        ("2.6.8", Marks.V2_6_8, AllocationPath.V2_6_8, KswapdLoop.V2_6_8, BLIND),
        ("2.6.9", Marks.V2_6_8, AllocationPath.V2_6_9, KswapdLoop.V2_6_9, BLIND),
        ("2.6.10", Marks.V2_6_10, AllocationPath.V2_6_9, KswapdLoop.V2_6_10, BLIND),
        ("2.6.11", Marks.V2_6_10, AllocationPath.V2_6_11, KswapdLoop.V2_6_11, AWARE),
        ("2.6.24", Marks.V2_6_10, AllocationPath.V2_6_24, KswapdLoop.V2_6_11, AWARE),
        ("3.5", Marks.V2_6_10, AllocationPath.V2_6_24, KswapdLoop.V3_3, AWARE),
        ("4.4", Marks.V2_6_10, AllocationPath.V4_4, KswapdLoop.V3_3, AWARE),
        ("4.8", Marks.V4_6, AllocationPath.V4_4, KswapdLoop.V4_8, AWARE),
    ],
)
def test_a_kernel_bundles_separate_switches(
    kernel: str, marks: Marks, path: AllocationPath, loop: KswapdLoop, policy: KswapdPolicy
) -> None:
    """Marks, path, loop and policy of each version; the same by override, axis or base."""
    by_base = settings_of(f"{{kernel: {kernel}}}")
    other = "2.6.11" if kernel == "2.6.8" else "2.6.8"
    by_override = study_of(f"base: {{kernel: {other}}}", f"kernel={kernel}").cells[0].settings
    by_axis = study_of(f"axes: {{kernel: [{kernel}]}}").cells[0].settings

    assert by_base == by_override == by_axis
    assert by_base.watermarks.marks == marks
    assert (by_base.allocation, by_base.kswapd.loop) == (path, loop)
    assert by_base.kswapd.policy == policy


def test_later_kernels_add_and_drop_cures_one_by_one() -> None:
    """What came when: lumpy reclaim, grouping, compaction, reserves, the boost, proactive runs."""
    kernels = ("2.6.11", "2.6.23", "2.6.24", "2.6.35", "3.5", "4.4", "4.8", "5.0", "5.9")
    rows = []
    for kernel in kernels:
        made = settings_of(f"{{kernel: {kernel}}}")
        rows.append(
            (
                made.reclaim.lumpy,
                made.memory.grouping.name,
                made.memory.reserve.name,
                made.memory.nofragment,
                made.compaction.direct_order,
                made.compaction.daemon,
                made.watermarks.boost_factor,
                made.compaction.proactiveness,
            )
        )
    assert rows == [
        (False, "OFF", "OFF", False, 0, False, 0, 0),
        (True, "OFF", "OFF", False, 0, False, 0, 0),
        (True, "ON", "MIGRATE_RESERVE", False, 0, False, 0, 0),
        (True, "ON", "MIGRATE_RESERVE", False, 4, False, 0, 0),
        (False, "ON", "MIGRATE_RESERVE", False, 1, True, 0, 0),
        (False, "ON", "HIGHATOMIC", False, 1, True, 0, 0),
        (False, "ON", "HIGHATOMIC", False, 1, True, 0, 0),
        (False, "ON", "HIGHATOMIC", True, 1, True, 15_000, 0),
        (False, "ON", "HIGHATOMIC", True, 1, True, 15_000, 20),
    ]


def test_kernels_as_an_axis_survive_being_written_down() -> None:
    """The resolved scenario leaves to each kernel what it decides, so it gives the same cells."""
    study = study_of("axes: {kernel: [2.6.8, 2.6.24, 5.9]}\nbase: {watermarks: {marks: 2.6.8}}")
    again = study_of(json.dumps(study.document))
    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]
    assert len({cell.id for cell in study.cells}) == 3
    assert {cell.settings.watermarks.marks for cell in again.cells} == {Marks.V2_6_8}


def test_kernels_of_named_levels_survive_being_written_down() -> None:
    """What `study resume` and `study submit` read again: a level's kernel is still that kernel."""
    text = "axes: {era: {then: {kernel: 2.6.8}, now: {kernel: 5.9, nic.ring: 64}}}"
    study = study_of(text)
    again = study_of(json.dumps(study.document))
    assert [cell.settings for cell in again.cells] == [cell.settings for cell in study.cells]
    assert study.cells[1].settings.watermarks.boost_factor == 15_000


def test_an_explicit_switch_beats_the_kernel() -> None:
    """The patch's effect can be had without what else changed, and the other way round."""
    made = settings_of("{kernel: 2.6.11, kswapd: {policy: count-only}}")

    assert made.kswapd.policy == KswapdPolicy.COUNT_ONLY
    assert made.kswapd.loop == KswapdLoop.V2_6_11


def test_overrides_change_study_settings_and_axes() -> None:
    """replicates=, zone.memory=, base.zone...=, and an axis cut down to a level or a list."""
    text = "axes: {nic.mtu: [1500, 4000, 9000]}\nbase: {zone: {reserved: 1MiB}}"

    study = study_of(text, "replicates=2", "zone.memory=256MiB", "nic.mtu=9000")
    assert study.replicates == 2
    assert [cell.levels for cell in study.cells] == [{"nic.mtu": 9000}]
    assert study.cells[0].settings.memory.pages == 65_536
    assert study.cells[0].settings.memory.reserved_pages == 256
    assert study_of(text, "base.zone.memory=256MiB").cells[0].settings.memory.pages == 65_536
    assert len(study_of(text, "nic.mtu=[1500, 9000]").cells) == 2
    excluding = text + "\nexclude: [{nic.mtu: 1500}]"
    assert len(study_of(excluding, "nic.mtu=9000").cells) == 1


def test_defaults_agree_with_the_zones_own() -> None:
    """An empty scenario is the zone's Settings()."""
    assert study_of("name: x").cells[0].settings == Settings()


SAMPLES = {
    "zone.grouping": "on", "zone.pageblock_order": "9",
    "zone.reserve": "highatomic zone.grouping=on", "zone.placement": "best-fit",
    "zone.nofragment": "true zone.grouping=on",
    "watermarks.boost_factor": "15000 zone.grouping=on", "reclaim.lumpy": "true",
    "compaction.direct": "all", "compaction.daemon": "true", "compaction.proactiveness": "20",
    "compaction.threshold": "400", "compaction.rules": "3.19", "defrag.choice": "beside-free",
    "stacks.source": "vmalloc", "nic.recycle": "true", "huge.order": "6", "huge.rate": "2/s",
    "huge.lifetime": "1s", "huge.lifetime_sigma": "2", "huge.most": "3",
    "highalloc.share": "50%", "highalloc.order": "6", "highalloc.gap": "10ms",
    "churn.rounds": "5", "churn.fill": "90%", "churn.hold": "40%", "churn.part": "20%",
    "churn.gap": "2s",
    "zone.memory": "64MiB", "zone.lowmem": "1GiB", "zone.reserved": "1MiB",
    "zone.percpu_lists": "false", "zone.swap": "false",
    "zone.highatomic": "2MiB kernel=5.9", "zone.above": "4GiB watermarks.lowmem_reserve_ratio=256",
    "watermarks.lowmem_reserve_ratio": "256 zone.above=4GiB",
    "watermarks.lowmem_reserve": "5 pages",
    "watermarks.min_free_kbytes": "4000", "watermarks.scale_factor": "100",
    "watermarks.boost": "9 pages", "reclaim.swappiness": "10", "compaction.deferred": "6",
    "requests": "{a: {order: 3, rate: 1/s}}", "actions": "[{at: 1s, do: drop_caches}]",
    "vm.min_free_kbytes": "4000", "vm.watermark_scale_factor": "100 kernel=5.9",
    "vm.watermark_boost_factor": "1 kernel=5.9", "vm.swappiness": "10",
    "vm.lowmem_reserve_ratio": "256 kernel=5.9 zone.above=4GiB",
    "vm.extfrag_threshold": "400 kernel=5.9", "vm.compaction_proactiveness": "30 kernel=5.9",
    "watermarks.marks": "2.6.10", "allocation.path": "2.6.9", "kswapd.policy": "order-aware",
    "reclaim.wait": "3.11", "cpu.mips": "500", "cpu.miss": "1us",
    "kswapd.loop": "2.6.9", "kswapd.speed": "50 pages/ms", "kswapd.delay": "5ms",
    "defrag.mode": "rmap-evict",
    "defrag.run": "inline", "defrag.order": "4", "defrag.interval": "1s",
    "probe.victims": "lru", "probe.order": "2", "probe.blocks": "3",
    "defrag.blocks_wanted": "7", "defrag.budget": "16 pages", "defrag.scan": "2MiB",
    "stacks.size": "4KiB", "user.working_set": "2GiB", "user.extent": "8 pages",
    "user.touch_profile": "[[1s,5],[4s,0]]", "nic.rx_profile": "[[1s,5],[4s,0]]",
    "nic.tx_profile": "[[1s,5/s],[4s,0/s]]",
    "user.zipf": "1.1", "user.touch_rate": "5/s", "user.run": "3", "user.anonymous": "7%",
    "user.mapped": "0.5", "user.written": "1%", "user.drift_rate": "1/s", "user.delete_rate": "2/s",
    "user.filled": "false", "processes.fork_rate": "60/min", "processes.lifetime": "1s",
    "processes.lifetime_sigma": "1", "processes.memory": "1MiB", "processes.page_tables": "2",
    "processes.most": "9", "slab.initial": "1%", "slab.rate": "7/s", "slab.lifetime": "1min",
    "slab.lifetime_sigma": "1", "slab.reclaimable": "0", "slab.objects_per_page": "4",
    "nic.driver": "tg3", "nic.mtu": "1500", "nic.receive": "page-array",
    "nic.transmit": "linear", "nic.ring": "8", "nic.line_rate": "100Mbit/s",
    "nic.rx_rate": "1/s", "nic.rx_burst": "2", "nic.rx_hold": "1ms", "nic.tx_rate": "1/s",
    "nic.tx_burst": "2", "nic.tx_hold": "5us", "nic.rx_order": "5", "nic.tx_order": "5",
    "load.replicates": "shift", "load.block": "1s",
    "costs.refault": "1us", "costs.write": "1us", "costs.migrate": "1us", "clock.ageing": "1s",
    "clock.measure": "2s", "clock.sample": "100ms", "kernel": "2.6.11",
}  # fmt: skip


_FEW = pack(*np.array([[10, 5, 0, 0xD0, 0]]).T, 100)
RECORDED = yaml_text(
    {
        "recordings": [
            {
                "name": "few",
                "digest": _FEW.digest,
                "packed": base64.b64encode(_FEW.packed).decode(),
            }
        ]
    }
)
"""A scenario that holds a recorded load, as resolved ones do."""


def keys_of(key: str, value: str) -> list[str]:
    """A sample as entries of `base`: the key itself, and what it needs besides."""
    words = value.split(" ")
    own = " ".join(word for word in words if "=" not in word)
    return [f"{key}: {own}", *(word.replace("=", ": ") for word in words if "=" in word)]


def leaves(settings: object) -> dict[str, object]:
    """Every plain field of nested dataclasses by its path."""
    found = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if is_dataclass(value) and not isinstance(value, Recorded):
            found |= {f"{field.name}.{k}": v for k, v in leaves(value).items()}
        else:
            found[field.name] = value
    return found


def test_every_key_changes_something_and_every_field_can_be_changed() -> None:
    """No key is idle, and no field of the zone's Settings is out of a scenario's reach."""
    victim_selector("oldest")(lambda _zone, pfn: pfn)
    traffic_source("silence")(lambda _zone, _value: 0)
    together = [
        ["watermarks.min=1", "watermarks.low=2", "watermarks.high=3"],
        [
            "zone.name=Normal",
            (
                "zone.buddyinfo='Node 0 DMA: 1*4kB (U) 0*8kB 0*16kB = 4kB"
                " Node 0 Normal: 2*4kB (U) 0*8kB 0*16kB = 8kB'"
            ),
            "zone.pageblocks={U: 2}",
        ],
        ["zone.dma={memory: 16MiB, reserved: 1MiB}"],
        ["load.trace=few"],
        ["extension.victims=oldest", "extension.source=silence", "extension.numbers=[7]"],
    ]
    changed: set[str] = set()
    assert {entry.partition("=")[0] for entries in together for entry in entries} == set(
        known_keys()
    ) - set(SAMPLES)
    plain = leaves(study_of("name: x").cells[0].settings)
    for key, value in SAMPLES.items():
        base = ", ".join(keys_of(key, value))
        made = leaves(study_of(f"base: {{{base}}}").cells[0].settings)
        differing = {field for field, value in made.items() if value != plain[field]}
        assert differing, key
        changed |= differing
    for entries in together:
        made = leaves(study_of(RECORDED, *entries).cells[0].settings)
        changed |= {field for field, value in made.items() if value != plain[field]}

    assert changed == set(plain)


def test_a_cells_id_depends_on_its_settings_alone() -> None:
    """The same machine has the same id in another study, another place and another process."""
    alone = study_of("axes: {nic.mtu: [9000]}").cells[0].id
    among = study_of("name: y\nseed: 5\naxes: {nic.ring: [64, 256], nic.mtu: [1500, 9000]}").cells
    script = "from study.scenario import load_text; print(load_text('name: x', 'x').cells[0].id)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()

    assert alone == elsewhere == among[3].id
    assert len({cell.id for cell in among}) == 4


def test_a_study_travels(root: Path) -> None:
    """Studies and trials survive pickling, and the document is JSON."""
    study = load(root / "scenarios" / "article.yaml")

    assert pickle.loads(pickle.dumps(study)) == study  # noqa: S301 - our own bytes
    assert json.loads(json.dumps(study.document))["base"]["zone"]["memory"] == 225_280


@pytest.mark.parametrize(
    ("driver", "mtu", "order"),
    [
        ("e1000", 1500, 0), ("e1000", 1501, 1), ("e1000", 4078, 1), ("e1000", 4079, 2),
        ("e1000", 8174, 2), ("e1000", 8175, 3), ("e1000", 9000, 3), ("e1000", 16110, 3),
        ("tg3", 1500, 0), ("tg3", 9000, 2), ("acenic", 1500, 0), ("acenic", 9000, 2),
        ("s2io", 1500, 0), ("s2io", 9000, 2), ("s2io", 9600, 2),
        ("ixgb", 1500, 0), ("ixgb", 9000, 3), ("ixgb", 16110, 3),
    ],
)  # fmt: skip
def test_receive_buffers_have_the_drivers_order(driver: str, mtu: int, order: int) -> None:
    """e1000 and ixgb double their buffer with the MTU, and 16 KB plus skb_shared_info take 32 KB;
    tg3, acenic and s2io take 16 KB for a jumbo frame.
    """
    assert rx_order(driver, mtu) == order


@pytest.mark.parametrize(("driver", "replaces"), [("e1000", False), ("tg3", True)])
def test_a_driver_refills_its_ring_its_own_way(driver: str, replaces: bool) -> None:
    """tg3 replaces a buffer before it hands a frame up, e1000 afterwards."""
    assert settings_of(f"{{ nic: {{ driver: {driver} }} }}").nic.replaces == replaces


def test_frames_to_send_have_the_mtus_order() -> None:
    """A linear jumbo frame takes kmalloc-16384, a standard one a page; fragments are pages."""
    assert [tx_order(mtu) for mtu in (1500, 9000)] == [0, 2]
    assert [frame_pages(mtu) for mtu in (1500, 4078, 4079, 9000, 16110)] == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("driver", ["e1000", "tg3", "acenic", "s2io", "ixgb"])
def test_frames_are_sent_as_the_driver_can(driver: str) -> None:
    """All of them have scatter/gather and checksums by the card; a linear copy is said outright."""
    nic = settings_of(f"{{ nic: {{ driver: {driver} }} }}").nic
    assert nic.transmit == NicTransmit.SCATTER_GATHER
    told = settings_of(f"{{ nic: {{ driver: {driver}, transmit: linear }} }}").nic
    assert told.transmit == NicTransmit.LINEAR


@given(pages=st.integers(0, 10**9))
def test_sizes_survive_being_written(pages: int) -> None:
    """Pages, KiB and bytes of the same size are the same number of pages."""
    for text in (f"{pages} pages", f"{4 * pages}KiB", f"{4096 * pages}B", f" {pages} "):
        assert pages_from(text) == pages


def test_a_resolved_scenario_is_a_scenario(root: Path) -> None:
    """What a manifest keeps of a study gives, read again, the same cells and the same document."""
    samples: dict[str, str] = {}
    for key, value in SAMPLES.items():
        # A sysctl gives another key, which has a sample of its own.
        if key not in ("zone.placement", "zone.grouping") and not key.startswith("vm."):
            for text in keys_of(key, value):
                samples.setdefault(text.partition(":")[0], text)
    studies = [study_of(f"base: {{{', '.join(samples.values())}}}")]
    studies += [load(file) for file in sorted((root / "scenarios").glob("*.yaml"))]
    for study in studies:
        again = load_text(json.dumps(study.document), "manifest.json")
        assert again.cells == study.cells
        assert again.document == study.document
        assert (again.name, again.seed, len(again)) == (study.name, study.seed, len(study))


@given(milliseconds=st.integers(0, 10**9))
def test_times_survive_being_written(milliseconds: int) -> None:
    """10ms, 10 ms and 0.01s are the same."""
    assert nanoseconds_from(f"{milliseconds}ms") == milliseconds * 10**6
    assert nanoseconds_from(f"{milliseconds} us") == milliseconds * 10**3


def test_rates_and_shares_have_their_units() -> None:
    """Per second, minute or millisecond; percent or fraction."""
    assert [per_second_from(text) for text in ("20/s", "90/min", "3/ms", 7)] == [20, 1.5, 3000, 7]
    assert [share_from(text) for text in ("3%", "0.03", 0.03)] == [0.03] * 3


def test_reading_a_scenario_is_light() -> None:
    """Importing and loading needs neither numba, Ray nor pandas."""
    script = (
        "import sys; from study.scenario import load_text; load_text('name: x', 'x');"
        "print({'numba', 'ray', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"
