"""Claims stand in the manifest before the first row, or every verdict on them says that they do
not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from study.cli import main
from study.fanout import Row
from study.results import Store, create_folder, reopen
from study.results.manifest import digest_of_claim, new_manifest, when_noted
from study.scenario import load, load_text
from study.scenario.claims.keys import claim_from_plain
from study.statistics import read_findings
from study.statistics.words import footnote

SCENARIO = """
name: registered
replicates: {replicates}
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
    made = load(first)
    folder = create_folder(tmp_path / "out", new_manifest(made, simulation="0" * 16, command=()))
    noted = json.loads((folder.path / "manifest.json").read_text())["claims"]
    store = Store(folder)
    chance = np.random.default_rng(0)
    store.add(
        [
            Row(
                trial.cell.id, trial.cell.levels, trial.replicate, trial.seed, "ok",
                metrics={"rx_attempts": 10 + chance.normal()},
            )
            for trial in made.trials()
        ]
    )  # fmt: skip
    store.close("complete", elapsed_s=1.0)
    before = read_findings(folder.path)
    moved = load_text(SCENARIO.format(replicates=6, matters=2), "moved.yaml")
    wanted = new_manifest(moved, simulation="0" * 16, command=())
    wider = reopen(folder.path, wanted, extend=True)
    wider.save_manifest()
    after = read_findings(folder.path)
    again = after.manifest["claims"]

    assert [verdict.stood for verdict in before.judged()] == ["before"]
    assert "The claims stood before the first row." in footnote(before.judged())
    assert [verdict.stood for verdict in after.judged()] == ["after"]
    assert "after rows were there" in footnote(after.judged())
    assert {entry["rows"] for entry in again.values()} == {0, 10}
    # What was counted stays so while a run that goes on has yet to look at its parts.
    assert after.manifest["counts"]["finished"] == 10
    assert "extended" not in before.footnote(before.judged())
    assert noted.items() <= again.items()
    # The first claims are those of before still.
    earlier = CliRunner().invoke(main, ["verdicts", "--json", str(folder.path), str(first)])
    assert [one["stood"] for one in json.loads(earlier.output)] == ["before"]


@pytest.mark.parametrize("change", [{"matters": 2}, {"says": "Other words."}, {"expect": "more"}])
def test_the_digest_is_of_all_a_claim_says(change: dict[str, object]) -> None:
    """Words, margin and direction: whatever is changed, it is another claim."""
    (claim,) = load_text(SCENARIO.format(replicates=5, matters=1), "x.yaml").claims
    other = claim_from_plain(claim.plain() | change)

    assert digest_of_claim(claim) != digest_of_claim(other)
    assert digest_of_claim(claim) == digest_of_claim(claim_from_plain(claim.plain()))
