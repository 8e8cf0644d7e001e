"""What stands at the end of a run: how one goes on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from study.cli import main
from study.scenario import load

TEXT = """
replicates: 10
axes: { kswapd.policy: [count-only, order-aware] }
claims:
  - { id: a, says: b, metric: refaults, side: { kswapd.policy: order-aware },
      against: { kswapd.policy: count-only }, expect: more, matters: 1 }
"""


def said(results: Any, command: list[str], state: str = "complete") -> str:
    """What `study summary` prints of results that this command made."""
    file = Path(results.place) / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps(manifest | {"command": command, "state": state}))
    done = CliRunner().invoke(main, ["summary", results.place])
    assert done.exit_code == 0, done.output
    return done.output


def nearly(levels: dict[str, Any], replicate: int) -> dict[str, float]:
    """A difference about as large as what matters."""
    up = levels["kswapd.policy"] == "order-aware"
    return {"refaults": 10.0 + up * (1.4 + (replicate * 7 % 10 - 4.5) / 2)}


def clearly(levels: dict[str, Any], replicate: int) -> dict[str, float]:
    """One that is far larger."""
    return {"refaults": 10.0 + 90 * (levels["kswapd.policy"] == "order-aware") + replicate % 3}


def test_an_open_claim_ends_with_the_commands_that_would_decide_it(make_findings, tmp_path) -> None:
    """Both can be pasted: one extends this folder, the other has a rule that keeps its rate."""
    results = make_findings(TEXT, nearly)
    scenario = tmp_path / "a b.yaml"
    scenario.write_text(TEXT)
    command = ["/opt/bin/study", "run", str(scenario), "seed=7", "replicates=10", "--no-ray"]
    lines = said(results, command).splitlines()

    extending, anew = (shlex.split(line) for line in lines if line.startswith("  study run "))
    assert extending[-3:] == ["--out", results.place, "--extend"]
    more = load(extending[2], extending[3:-3])
    assert (more.seed, more.replicates > 10) == (7, True)
    rule = load(anew[2], anew[3:])
    assert rule.seed == 7
    assert rule.stopping is not None
    assert rule.stopping.most >= more.replicates
    assert rule.stopping.metric is None


@pytest.mark.parametrize(
    ("text", "found", "command", "state"),
    [
        (TEXT, clearly, ["study", "run", "a.yaml"], "complete"),
        (TEXT, nearly, ["study", "run", "a.yaml"], "interrupted"),
        (TEXT, nearly, ["study"], "complete"),
        (TEXT, nearly, ["python", "mine.py"], "complete"),
        (TEXT.replace("10", "{min: 10, max: 40, until: claims}", 1), nearly,
         ["study", "run", "a.yaml"], "complete"),
    ],
    ids=["decided", "stopped", "no command", "from Python", "has a rule"],
)  # fmt: skip
def test_otherwise_there_is_no_such_command(make_findings, text, found, command, state) -> None:
    """Where nothing is open, the run has not ended, or its own rule goes on."""
    assert "study run" not in said(make_findings(text, found), command, state)
