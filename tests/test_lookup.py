"""`study keys`, `study metrics` and `study kernels`: what there is to be named is found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from study.cli import main
from study.scenario.claims.keys import ClaimKeys
from study.scenario.machine import reference
from study.scenario.machine.requests import ActionKeys, RequestKeys
from study.scenario.model import KERNELS, fields
from study.scenario.schema import schema
from study.zone.trial.metrics import METRICS


def said(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.quick
def test_every_key_metric_and_kernel_is_listed():
    """Without a word all are, and as JSON with all that is known of them."""
    keys = json.loads(said("keys", "--json").output)
    of_requests = [f"requests.NAME.{name}" for name in RequestKeys.model_fields]
    of_requests += [f"actions.{name}" for name in ActionKeys.model_fields]
    of_study = [key.name for key in reference.study_keys()]
    assert [key["name"] for key in keys] == [*fields(), *of_requests, *of_study]
    assert {f"claims.{name}" for name in ClaimKeys.model_fields} < set(of_study)
    assert set(of_study) >= {*schema()["properties"]} - {*fields()}
    assert all(key["about"] for key in keys)
    metrics = json.loads(said("metrics", "--json").output)
    assert [metric["name"] for metric in metrics] == [one.name for one in reference.metrics()]
    assert {one.name for one in reference.metrics(members=True)} == set(METRICS)
    kernels = json.loads(said("kernels", "--json").output)
    assert [kernel["name"] for kernel in kernels] == list(KERNELS)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("keys", "kswapd.policy"), "kswapd.policy"),
        (("keys", "vm.swappiness"), "reclaim.swappiness"),
        # What tables call them.
        (("metrics", "receive buffer requests served"), "rx_success_ratio"),
        (("metrics", "pages evicted migrated"), "moved_pages"),
        (("keys", "watermark_boost_factor"), "watermarks.boost_factor"),
        (("metrics", "rx_success_ratio"), "rx_success_ratio"),
        (("keys", "ring size"), "nic.ring"),
        (("keys", "ring", "size"), "nic.ring"),
        (("keys", "NIC", "ring"), "nic.ring"),
        (("keys", "claims.matters"), "claims.matters"),
        (("metrics", "order3_attempts"), "order3_attempts"),
        (("metrics", "refault_ratio"), "refault_ratio"),
    ],
)
def test_one_that_is_meant_is_shown_whole(arguments: tuple[str, str], found: str):
    """By its name, by that of a sysctl, by that of a member of its family."""
    lines = said(*arguments).output.splitlines()
    assert found in lines
    assert len(lines) > 3


def test_a_list_of_metrics_has_those_that_tables_call_so_and_explains_its_capitals():
    """What is served is called success in a name; CALLER is who asks."""
    listed = said("metrics", "served").output
    assert "rx_success_ratio" in listed
    assert "NAMED is request1, request2, request3, request4." in listed
    assert "request1_served_ratio" not in listed
    assert "CALLER is user, stack," in said("metrics", "attempts").output
    assert " is " not in said("metrics", "refault").output.splitlines()[-2]


@pytest.mark.parametrize("section", ["claims", "replicates", "replicates.until", "sampling"])
def test_a_section_is_listed_with_what_it_holds(section: str):
    """So that nobody reads source to write a claim or a stopping rule."""
    found = [key["name"] for key in json.loads(said("keys", section, "--json").output)]
    assert found[0] == section
    assert len(found) > 2
    assert all(name.startswith(f"{section}.") for name in found[1:])


def test_the_page_on_scenarios_explains_each_key_of_a_claim():
    """Its table has those that a claim may have, no other and no fewer."""
    page = (Path(__file__).parents[1] / "docs" / "scenarios.md").read_text()
    table = page.partition("## What a claim says")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \|", table)
    assert sorted(rows) == sorted(ClaimKeys.model_fields)


def test_a_part_of_a_name_or_a_word_of_what_it_is_about_finds_them():
    """Parts of names come first; what is only spoken of is found if there are none."""
    of_kswapd = [key["name"] for key in json.loads(said("keys", "kswapd", "--json").output)]
    assert of_kswapd == [name for name in fields() if "kswapd" in name]
    assert "zone.nofragment" in said("keys", "ALLOC_NOFRAGMENT").output
    assert "churn_score" in said("metrics", "LLFree").output + said("metrics", "churn").output


@pytest.mark.parametrize("word", reference.WORDS)
def test_words_that_people_say_lead_to_names_here(word: str):
    """Each finds a key or a metric, which has not the word itself; a jumbo frame is an MTU."""
    entries = [*reference.keys(), *reference.metrics(members=True)]

    assert not [entry for entry in entries if word in entry.name]
    assert reference.matching(entries, word)
    assert "nic.mtu" in said("keys", "jumbo").output
    assert "SLEEPER_stall_mean_ms" in said("metrics", "latency").output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("keys", "kswpd.policy"), "did you mean kswapd.policy?"),
        (("keys", "swapines"), "did you mean "),
        (("metrics", "refauls"), "did you mean refaults?"),
        (("keys", "\x1b[2J"), "no key is called"),
    ],
)
def test_what_is_not_there_has_a_line_with_the_nearest_name(arguments: tuple[str, str], hint: str):
    """The exit status is 2."""
    done = said(*arguments)
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert hint in done.output
    assert "\x1b" not in done.output


def test_what_a_kernel_sets_is_what_changes_with_it():
    """Each key of a kernel's entry is one that the one before sets otherwise."""
    first, *rest = reference.kernels()
    assert set(first.sets) >= {"kswapd.policy: count-only", "zone.grouping: off"}
    assert {kernel.name: kernel.sets for kernel in rest}["2.6.23"] == ("reclaim.lumpy: true",)


def test_a_scenarios_own_metrics(tmp_path: Path) -> None:
    """By the names of its requests, with the column that each has; without any it is told."""
    file = tmp_path / "mine.yaml"
    file.write_text("requests: { wifi: { order: 1, flags: GFP_ATOMIC, rate: 10/s, hold: 5ms } }")
    listed = json.loads(said("metrics", str(file), "--json").output)
    file.write_text("seed: 1")

    named = {one["name"]: one["about"] for one in listed}
    assert "request1_served_ratio" in named["requests.wifi.served_ratio"]
    assert "no requests by name" in said("metrics", str(file)).output


def test_drivers_and_keys_of_requests_are_found() -> None:
    """A driver by its name, a key in either case; the preset by a part of its own."""
    assert "requests.NAME.driver" in said("keys", "r8152").output
    assert "geometric" in said("keys", "requests.name.burst").output
    assert "drivers/net/usb/r8152.c" in said("presets", "driver/r8152").output
    assert "did you mean driver/r8152?" in said("presets", "r8152").output


@pytest.mark.parametrize("command", ["keys", "metrics", "kernels"])
def test_lists_fit_a_terminal(command: str):
    """80 columns, and no line ends in blanks."""
    lines = said(command).output.splitlines()
    assert len(lines) > 12
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
