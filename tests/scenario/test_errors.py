"""Whatever is wrong with a scenario is said in one clear line, before any work starts."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.scenario import Fault, ScenarioError, Study, load, load_text


def faults(text: str, *overrides: str) -> list[str]:
    """The lines that a faulty scenario called x.yaml gives."""
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "x.yaml", overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.faults)
    return lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # Unknown keys, with the nearest valid name.
        (
            "base:\n  zone:\n    memroy: 1GiB",
            "x.yaml:3:5: zone.memroy is not a setting; did you mean zone.memory?",
        ),
        ("base:\n  kswpad: {}", "x.yaml:2:3: kswpad is not a setting; did you mean kswapd?"),
        (
            "base: {nic: {interval: 1s}}",
            "x.yaml:1:14: nic.interval is not a setting; did you mean defrag.interval?",
        ),
        (
            "replicate: 3",
            "x.yaml:1:1: replicate is not a key of a scenario; did you mean replicates?",
        ),
        (
            "zone: {memory: 1GiB}",
            (
                "x.yaml:1:1: zone is not a key of a scenario; settings of the machine stand under "
                "base: base.zone"
            ),
        ),
        ("axes: {nic.mtuu: [1]}", "x.yaml:1:8: nic.mtuu is not a setting; did you mean nic.mtu?"),
        # Wrong types and units.
        (
            "base: {kswapd: {policy: piggin}}",
            "x.yaml:1:17: kswapd.policy is piggin; allowed are count-only, order-aware",
        ),
        (
            "base: {nic: {receive: lineer}}",
            (
                "x.yaml:1:14: nic.receive is lineer; allowed are linear, page-array; "
                "did you mean linear?"
            ),
        ),
        (
            "base: {nic: {rx_hold: 10}}",
            (
                "x.yaml:1:14: nic.rx_hold is 10, with no unit; a time is given in "
                "ns, us, µs, ms, s, min, h"
            ),
        ),
        (
            "base: {nic: {ring: 2.5}}",
            "x.yaml:1:14: nic.ring is 2.5; it must be a whole number",
        ),
        (
            "base: {zone: {memory: 10ms}}",
            (
                "x.yaml:1:15: zone.memory is 10ms, with the unit ms; a size is given in "
                "B, KiB, kB, MiB, GiB, TiB, pages"
            ),
        ),
        (
            "base: {nic: {line_rate: 1e-9bit/s}}",
            "x.yaml:1:14: nic.line_rate is 1e-15Mbit/s; it must be at least 0.001Mbit/s",
        ),
        (
            "base: {slab: {rate: 1e-300/s}}",
            "x.yaml:1:15: slab.rate is 1e-300/s; a rate is 0, or at least once in 10,000h",
        ),
        (
            "base: {kswapd: {speed: 1e-9 /ms}}",
            "x.yaml:1:17: kswapd.speed is 1e-9 /ms; a speed is 0, or at least 0.001 pages/ms",
        ),
        (
            "base: {nic: {rx_burst: 1e15, rx_rate: 1e-6/s}}",
            "x.yaml:1:14: nic.rx_burst is 1e+15, of which one comes in over 10,000h at 1e-06/s",
        ),
        (
            "requests: {a: {order: 0, rate: 1e-6/s, burst: 100000}}",
            (
                "x.yaml:1:40: requests.a.burst is 100000, of which one comes in over 10,000h at "
                "1e-06/s"
            ),
        ),
        (
            "base: {zone.memory: 64MiB, highalloc: {share: 1, gap: 10000h}}",
            (
                "x.yaml:1:50: highalloc.gap gives 96 requests in 3 passes over 10,000h in all; "
                "make it shorter"
            ),
        ),
        *(
            (
                f"base: {{{key}: 2e9/s}}",
                f"x.yaml:1:8: {key} is 2000000000/s; it must be at most 10000000/s",
            )
            for key in (
                *("user.drift_rate", "user.delete_rate", "processes.fork_rate"),
                *("slab.rate", "huge.rate"),
            )
        ),
        (
            "base: {user: {touch_rate: 2e6/s, touch_profile: [[1ms, 1000], [1s, 0]]}}",
            "x.yaml:1:34: user.touch_profile comes to 2,000,000,000/s; at most 100,000,000/s",
        ),
        ("base: {costs.refault: 30h}", "x.yaml:1:8: costs.refault is 30h; it must be at most 10s"),
        (
            "base: {costs.refault: 10s, zone.memory: 64GiB}",
            (
                "x.yaml:1:8: costs.refault is 10s, over 10,000h for the 20,132,659 pages of the "
                "working set"
            ),
        ),
        (
            "base: {slab.objects_per_page: 1e9}",
            "x.yaml:1:8: slab.objects_per_page is 1,000,000,000; it must be at most 10,000",
        ),
        (
            "base: {load.block: 1ns}",
            "x.yaml:1:8: load.block is 1ns; it must be at least 1ms",
        ),
        (
            "base: {nic.line_rate: 10000000Gbit/s}",
            "x.yaml:1:8: nic.line_rate is 10000000Gbit/s, over 1,000,000,000,000,000bit/s",
        ),
        (
            "base: {zone.memory: 64MiB, churn: {rounds: 2, gap: 9000h}}",
            "x.yaml:1:47: churn.gap gives 2 rounds over 10,000h in all; make it shorter",
        ),
        (
            # zlib.crc32("REQUEST ...") is one number for both.
            "requests: {rgnyijstj: {order: 0, rate: 1/s}, retislvlf: {order: 0, rate: 1/s}}",
            (
                "x.yaml:1:12: requests.rgnyijstj would have the random numbers of retislvlf; "
                "give it another name"
            ),
        ),
        (
            "base: {zone: {memory: 5000B}}",
            "x.yaml:1:15: zone.memory is 5000B, which is no whole number of 4 KiB pages",
        ),
        (
            "base: {zone: {percpu_lists: maybe}}",
            "x.yaml:1:15: zone.percpu_lists is maybe; allowed are true, false, on, off",
        ),
        (
            "base: {user: {written: 120%}}",
            "x.yaml:1:15: user.written is 120%; a share is at most 1 (100%)",
        ),
        (
            "base: {user: {zipf: .nan}}",
            "x.yaml:1:15: user.zipf is nan, which is no usable number; a number looks like 0.9",
        ),
        (
            "base: {zone: 5}",
            "x.yaml:1:8: zone is 5; it is a group of settings, such as zone.memory",
        ),
        (
            "base: {kernel: 2.6}",
            (
                "x.yaml:1:8: kernel is 2.6; the first kernel that is known is 2.6.8; "
                "did you mean 2.6.8?"
            ),
        ),
        ("replicates: 0", "x.yaml:1:1: replicates is 0; it must be at least 1"),
        ("seed: -1", "x.yaml:1:1: seed is -1; a number cannot be negative"),
        (
            "name: ../x",
            (
                "x.yaml:1:1: name is ../x; it names a folder: letters, digits, dot, dash and "
                "underscore, at most 64"
            ),
        ),
        # Impossible values.
        (
            "base: {defrag: {order: 11}}",
            "x.yaml:1:17: defrag.order is 11; it must be at most 10",
        ),
        (
            "base: {watermarks: {min: 5, low: 4, high: 9}}",
            (
                "x.yaml:1:21: watermarks.min is out of order: min 5, low 4, high 9; "
                "it must be min < low < high"
            ),
        ),
        (
            "base: {watermarks: {min: 5, low: 9}}",
            (
                "x.yaml:1:8: watermarks.high is missing; min, low and high are given together, "
                "or min alone"
            ),
        ),
        (
            "base: {user: {working_set: 0}}",
            "x.yaml:1:15: user.working_set is 0 pages, a working set of nothing",
        ),
        (
            "base: {zone: {reserved: 1GiB}}",
            "x.yaml:1:15: zone.reserved is 1GiB, all of the zone, whose memory is 880MiB",
        ),
        (
            "base: {zone: {buddyinfo: 0 0 0 0 0 0 0 0 0 0 999}}",
            (
                "x.yaml:1:15: zone.buddyinfo has 1,022,976 free pages; the zone holds 222,208 "
                "besides the reserved ones"
            ),
        ),
        (
            "base: {zone: {buddyinfo: 1 2 3}}",
            (
                "x.yaml:1:15: zone.buddyinfo is 1 2 3, 3 numbers; it must be 11 numbers, the free "
                "blocks of order 0 to 10, as in /proc/buddyinfo; a line or all of /proc/buddyinfo; "
                "a report's line (4*4kB 2*8kB (UM) ...); pagetypeinfo; or lists by letter: "
                "{U: [...], M: [...]}"
            ),
        ),
        (
            "base: {nic: {mtu: 16111}}",
            "x.yaml:1:14: nic.mtu is 16,111; e1000 takes 68 to 16,110 bytes",
        ),
        (
            "base: {stacks: {size: 16KiB}}",
            "x.yaml:1:17: stacks.size is 16384 bytes; THREAD_SIZE is 4KiB or 8KiB",
        ),
        (
            "base: {clock: {measure: 0s}}",
            "x.yaml:1:16: clock.measure is 0; it must be above 0",
        ),
        (
            "base: {zone: {memory: 300GiB}}",
            "x.yaml:1:15: zone.memory is 300GiB; it must be at most 256GiB",
        ),
        (
            "base: {user: {extent: 0B, touch_rate: 2e8/s}}",
            "x.yaml:1:15: user.extent is 0; it must be at least 1 page",
        ),
        (
            "base: {user: {extent: 0B, touch_rate: 2e8/s}}",
            "x.yaml:1:27: user.touch_rate is 200000000/s; it must be at most 100000000/s",
        ),
        # The matrix.
        (
            "axes: {defrag.order: [3, 11]}",
            "x.yaml:1:26: defrag.order is 11; it must be at most 10",
        ),
        (
            "axes: {nic.mtu: 9000}",
            "x.yaml:1:8: nic.mtu is 9000; an axis is a list of levels: [a, b]",
        ),
        ("axes: {nic.mtu: [1, 1]}", "x.yaml:1:21: nic.mtu has the level 1 twice"),
        (
            "axes: {nic.mtu: [1500]}\nexclude: [{nic.ring: 3}]",
            "x.yaml:2:12: nic.ring is not an axis, so it can exclude nothing",
        ),
        (
            "axes: {nic.mtu: [1500]}\nexclude: [{nic.mtu: 9000}]",
            "x.yaml:2:12: nic.mtu has no level 9000; it has 1500",
        ),
        (
            "axes: {nic.mtu: [1500]}\nexclude: [{nic.mtu: 1500}]",
            "x.yaml:2:1: exclude leaves no cell at all",
        ),
        # What is no scenario.
        ("", "x.yaml: the scenario is empty"),
        ("- a\n- b", "x.yaml: the scenario is no mapping of keys to values"),
        ("name: x\nname: y", "x.yaml:2:1: name stands here a second time; the first is in line 1"),
        (
            "name: !!python/object/apply:os.system [id]",
            "x.yaml:1:7: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed",
        ),
        (
            "# a\n%TAG !e! " + "a" * 800_000 + "\n---\n[" + "!e!a x," * 20_000 + "]",
            "x.yaml:2:1: not YAML: %TAG names tags of one's own, of which none is allowed",
        ),
    ],
)
def test_a_fault_names_its_place_the_value_and_what_is_allowed(text: str, line: str) -> None:
    """One line: file, line, column, key, what was found, what is allowed, the nearest name."""
    assert line in faults(text)


def test_all_faults_are_told_at_once() -> None:
    """Keys that stand twice, unknown ones, wrong values, impossible values, claims: top down."""
    text = (
        "replicate: 3\n"
        "base:\n"
        "  zone: {memory: 64MiB, memory: 1GiB}\n"
        "  nic: {mtu: x, mtuu: 1}\n"
        "axes: {defrag.order: [3, y]}\n"
        "claims:\n"
        "  - {id: a, metric: rx_failurs, says: s, side: {}, against: 1, expect: less, matters: 1}\n"
    )

    assert [line.split(":")[1] for line in faults(text)] == ["1", "3", "4", "4", "5", "7"]


def test_what_is_impossible_is_told_beside_what_is_wrong() -> None:
    """A typing mistake elsewhere hides no impossible value, of the base or of a level."""
    text = (
        "base:\n"
        "  clock: {measure: 0s}\n"
        "  slab: {rat: 3}\n"
        "axes:\n"
        "  defrag.order: [3, 11]\n"
        "  card: {a: {nic.mtu: 9000}, b: {nic.mtu: 20}}"
    )

    assert [line.split(" ")[1] for line in faults(text)] == [
        "clock.measure", "slab.rat", "defrag.order", "nic.mtu",
    ]  # fmt: skip


def test_what_may_follow_from_another_fault_is_not_told() -> None:
    """While the memory is not known, nothing is said about what must fit into it."""
    text = "base: {zone: {memory: 64MB, lowmem: 64MiB}, watermarks: {min: 1, low: 2, high: 40000}}"

    assert len(faults(text)) == 1
    assert len(faults("axes: {card: {a: {zone: 5, zone.memory: 1}, b: {nic.mtu: 9000}}}")) == 1
    assert len(faults("extends: machine/i386-64m\nbase: {zone: {lowmem: 64MiB}}")) == 1
    claim = (
        "{id: c, says: s, metric: refaults, side: {nic.mtu: 9000}, against: {nic.mtu: 1500}, "
        "expect: less, matters: 1}"
    )
    text = f"axes: {{nic.mtu: [1500, 90x]}}\nclaims: [{claim}]"
    assert len(faults(text)) == 1


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "zone.memroy=1",
            "override 'zone.memroy=1': zone.memroy is not a setting; did you mean zone.memory?",
        ),
        ("replicates", "override 'replicates': an override looks like key=value"),
        ("replicates=0", "override 'replicates=0': replicates is 0; it must be at least 1"),
        (
            "zone.memory=1 GB",
            (
                "override 'zone.memory=1 GB': zone.memory is 1 GB, with the unit GB; a size is "
                "given in B, KiB, kB, MiB, GiB, TiB, pages; did you mean 1GiB?"
            ),
        ),
        (
            "nic.mtu=1500,9000",
            "override 'nic.mtu=1500,9000': nic.mtu is 1500,9000; a number looks like 256",
        ),
        (
            "nic.ring=[8, 16]",
            (
                "override 'nic.ring=[8, 16]': nic.ring is [8, 16]; several values make an axis, "
                "and nic.ring is none in the file"
            ),
        ),
        (
            "extends=nic/tg3-9000",
            (
                "override 'extends=nic/tg3-9000': extends stands in the file only; an override "
                "sets one key: nic.mtu=1500"
            ),
        ),
        (
            "defrag.order=12",
            "override 'defrag.order=12': defrag.order is 12; it must be at most 10",
        ),
    ],
)
def test_a_fault_of_an_override_names_the_override(override: str, line: str) -> None:
    """The place of a wrong override is the override, not the file."""
    assert line in faults("name: x\naxes: {nic.mtu: [1500, 9000]}", override)


def test_hostile_files_are_refused_quickly() -> None:
    """Alias bombs, self-reference, depth, size and absurd matrices end in a fault."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    names = "abcdefghi"
    for before, name in itertools.pairwise(names):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    wide = ", ".join(map(str, range(100)))
    keys = ["nic.mtu", "nic.ring", "defrag.budget", "defrag.scan", "user.extent", "nic.tx_hold"]
    matrix = "axes:\n" + "".join(f"  {key}: [{wide}]\n" for key in keys)

    assert "more than 50,000 values" in faults(bomb)[0]
    assert "refers to itself" in faults("base: &a {zone: *a}")[0]
    assert "nested" in faults("base: " + "[" * 5_000 + "]" * 5_000)[0]
    assert "larger than" in faults("#" * 2_000_000)[0]
    assert "combine into 1,000,000,000,000 cells; at most 10,000" in faults(matrix)[0]
    assert "digits" in faults("seed: " + "9" * 5_000)[0]


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    """A scenario that is no file ends in a fault at once, though nobody writes into it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for file in (tmp_path / "pipe.yaml", Path(os.devnull)):
        with pytest.raises(ScenarioError) as caught:
            load(file)
        assert str(caught.value) == f"{file}: is no regular file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base:\n\tzone: {}", "x.yaml:2:1: not YAML: a tab; indent with spaces"),
        ("question: is it: so", "put text with a colon in quotes"),
        (
            "question: 'so\nseed: 3",
            "a quotation that does not end (a quoted scalar, begun at 1:11)",
        ),
        ("base: {nic: {ring: 8}\nseed: 3", "(a flow mapping, begun at 1:7)"),
        ("a: 1\n---\nb: 1", "x.yaml:2:1: not YAML: a second document begins here"),
        ('question: "a\\U00110000"', "x.yaml:1:15: not YAML: 00110000 stands for no letter"),
        ('question: "\\UFFFFFFFF"', "x.yaml:1:14: not YAML: FFFFFFFF stands for no letter"),
        ('question: "\\ud800"', "x.yaml:1:11: U+D800 is half of a letter"),
        ('"\\udfff": 1', "x.yaml:1:1: U+DFFF is half of a letter"),
        (f"%YAML 1.{'9' * 5_000}\n---\na: 1", "x.yaml:1:9: not YAML: 99999999999999999... stands"),
        ("name: x\nseed: \x07", "x.yaml:2:7: not YAML: the character U+0007"),
        ("base: &b {nic: {mtu: 1500}}\naxes: {card: {a: {<<: *b}}}", "YAML 1.2 has no merging"),
        ("base: {nic: {mtu:9000}}", "a colon needs a space behind it"),
        ("base: {user: {zipf: 0,9}}", "a decimal has a point, not a comma"),
        ("name: 123", "name is 123; it must be text; put it in quotes"),
        ("base: {kernel: 2.6.1}", "did you mean 2.6.8?"),
        ("base: {kernel: 2.6.x}", "any other is taken as the nearest one below"),
        ("base: {defrag: {mode: OFF}}", "did you mean off?"),
        ("base: {clock: {ageing: 2m}}", "did you mean 2min?"),
        ("base: {nic: {rx_rate: 15Hz}}", "did you mean 15/s?"),
        ("base: {user: {written: 10}}", "did you mean 10%?"),
        ("seed: !!int abc", "abc cannot be read as !!int"),
        ("seed: !!map 3", "is not allowed"),
        ("base: {nic: {rx_hold: 1,5s}}", "rx_hold"),
        ("base: {nic: {rx_hold: 20_000h}}", "a time is at most 10,000h"),
        ("axes: {zone: [1]}", "it is a group of settings, such as zone."),
        ("base: {user: {working_set: lots}}", "a multiple of the zone's memory (1.2) or a size"),
        ('base: {"ni\\ec": {}}', "ni?c is not a setting"),
    ],
)
def test_what_looks_nearly_right_is_told_from_what_is_right(text: str, words: str) -> None:
    """Tags that lie, decimal commas, endless times, dotted groups and control characters."""
    assert words in faults(text)[0]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing (with the nearest name), a folder, no UTF-8: one line each."""
    (tmp_path / "article.yaml").write_text("name: x")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    for file, words in (
        ("artcle.yaml", f"no such file; did you mean {tmp_path / 'article.yaml'}?"),
        ("nowhere/x.yaml", "nor a folder"),
        ("latin.yaml", "is not UTF-8 text"),
        (".", "is a folder"),
    ):
        with pytest.raises(ScenarioError) as caught:
            load(tmp_path / file)
        assert words in str(caught.value)
        assert str(caught.value).count("\n") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    """A scenario that may not be read is one line too."""
    file = tmp_path / "secret.yaml"
    file.write_text("name: x")
    file.chmod(0)

    with pytest.raises(ScenarioError, match="cannot be read"):
        load(file)


def attempt(text: str, *overrides: str) -> Study | tuple[Fault, ...]:
    """The study, or the faults; anything else goes through."""
    try:
        return load_text(text, "x.yaml", overrides)
    except ScenarioError as error:
        return error.faults


WORDS = st.sampled_from(
    ["name", "base", "axes", "include", "exclude", "seed", "replicates", "zone", "memory", "nic",
     "mtu", "kernel", "2.6.8", "off", "defrag.mode", "rmap-evict", "1GiB", "10ms", "3%", "-1",
     "1e99", ".inf", "null", "true", "[", "]", "{", "}", ":", ",", "- ", "\n", "  ", "&a", "*a",
     "!!x", "'", '"', "#", "|", ">", "\t", "é", "\x00", "999999999999999999999"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(WORDS, max_size=30), override=st.lists(WORDS, max_size=4))
def test_no_text_gives_anything_but_a_study_or_a_fault(
    words: list[str], override: list[str]
) -> None:
    """Random scenarios either load or raise ScenarioError."""
    outcome = attempt(" ".join(words), *["".join(override)] * bool(override))

    assert isinstance(outcome, Study | tuple)
    assert outcome


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_mutation_of_the_article_gives_anything_else(root: Path, data: st.DataObject) -> None:
    """The article's scenario with a stretch of it replaced loads or is faulted."""
    text = (root / "scenarios" / "article.yaml").read_text()
    text = text[text.index("name:") :]
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 30)))
    middle = "".join(data.draw(st.lists(WORDS, max_size=3)))
    outcome = attempt(text[:start] + middle + text[stop:])

    assert isinstance(outcome, Study | tuple)
    assert outcome


@pytest.mark.parametrize("letter", [r"\U00110000", r"\UFFFFFFFF", r"\ud800"])
def test_a_letter_that_there_is_not_is_told_in_an_override(letter: str) -> None:
    """YAML's escapes can spell more than there is; an override says so as a file does."""
    for key in ("question", "nic.ring"):
        (line,) = faults("base: {}", f'{key}="{letter}"')
        assert line.startswith(f"override '{key}=")
        assert "stands for no letter" in line or "is half of a letter" in line
