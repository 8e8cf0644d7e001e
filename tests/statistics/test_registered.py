"""Claims stand in the manifest before the first row, or every verdict on them says that they do
not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import study
from study.cli import main
from study.results.manifest import digest_of_claim, new_manifest, when_noted
from study.scenario import load_text
from study.statistics.words import footnote

SCENARIO = """
name: registered
replicates: {replicates}
base:
  zone: {{ memory: 32MiB, reserved: 2MiB }}
  user: {{ touch_rate: 5000/s }}
  processes: {{ memory: 128KiB }}
  nic: {{ ring: 32, rx_rate: 500/s, tx_rate: 250/s }}
  clock: {{ ageing: 1s, measure: 1s, sample: 250ms }}
axes:
  nic.receive: [linear, page-array]
claims:
  - id: one
    says: A page array asks for no large buffer.
    metric: rx_attempts
    side: {{ nic.receive: page-array }}
    against: {{ nic.receive: linear }}
    expect: less
    matters: {matters}
"""


def test_claims_are_noted_before_the_first_row() -> None:
    """With digest, time and the number of rows that are there: none."""
    made = load_text(SCENARIO.format(replicates=5, matters=1), "x.yaml")
    manifest = new_manifest(made, simulation="0" * 16, command=())
    (claim,) = made.claims

    assert manifest["claims"] == {
        digest_of_claim(claim): {
            "id": "one",
            "noted": manifest["claims"][digest_of_claim(claim)]["noted"],
            "rows": 0,
        }
    }
    assert manifest["counts"]["finished"] == 0
    assert when_noted(manifest, claim) == "before"
    assert when_noted({}, claim) == ""


def test_a_claim_that_changes_once_rows_are_there_says_so(tmp_path: Path) -> None:
    """The folder keeps when each was noted; margins moved afterwards, and other files, are
    later.
    """
    first = tmp_path / "first.yaml"
    first.write_text(SCENARIO.format(replicates=5, matters=1))
    out = tmp_path / "out"
    before = study.run(first, out=out, ray=False)
    noted = json.loads((out / "manifest.json").read_text())["claims"]
    moved = tmp_path / "moved.yaml"
    moved.write_text(SCENARIO.format(replicates=6, matters=2))
    after = study.run(moved, out=out, ray=False, extend=True)
    again = json.loads((out / "manifest.json").read_text())["claims"]

    assert [verdict.stood for verdict in before.judged()] == ["before"]
    assert "The claims stood before the first row." in footnote(before.judged())
    assert [verdict.stood for verdict in after.judged()] == ["after"]
    assert "after rows were there" in footnote(after.judged())
    assert {entry["rows"] for entry in again.values()} == {0, 10}
    assert noted.items() <= again.items()
    # The first claims are those of before still.
    earlier = CliRunner().invoke(main, ["verdicts", "--json", str(out), str(first)])
    assert [one["stood"] for one in json.loads(earlier.output)] == ["before"]


@pytest.mark.parametrize("change", [{"matters": 2}, {"says": "Other words."}, {"expect": "more"}])
def test_the_digest_is_of_all_a_claim_says(change: dict[str, object]) -> None:
    """Words, margin and direction: whatever is changed, it is another claim."""
    (claim,) = load_text(SCENARIO.format(replicates=5, matters=1), "x.yaml").claims
    other = type(claim).from_plain(claim.plain() | change)

    assert digest_of_claim(claim) != digest_of_claim(other)
    assert digest_of_claim(claim) == digest_of_claim(type(claim).from_plain(claim.plain()))
