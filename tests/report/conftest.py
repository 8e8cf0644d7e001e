"""The results of a small study whose words would like to be markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import study
from study.report.zone_map import record_zone_maps
from study.results.part import write_part
from study.transport import open_folder
from tests.statistics.conftest import make_findings  # noqa: F401

SCENARIO = """\
name: page
question: "<script>document.title='hurt'</script> <img src=x onerror=alert(1)> & so on?"
seed: 7
replicates: 3
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { touch_rate: 2000/s }
  processes: { memory: 64KiB }
  nic: { ring: 16, rx_rate: 200/s, tx_rate: 100/s }
  clock: { ageing: 1s, measure: 2s, sample: 250ms }
axes:
  kswapd.policy: [count-only, order-aware]
  card:
    "<i>&linear\\"' $x_1$": { nic.receive: linear }
    "\\u202Ejavascript:alert(4) \\U0001F642": { nic.receive: page-array }
claims:
  - id: served
    says: "<b onmouseover=alert(2)>More</b> is served </script><script>alert(3)</script>"
    metric: rx_success_ratio
    where: { card: "<i>&linear\\"' $x_1$" }
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: more
    matters: 0.01
"""


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario's file."""
    file = tmp_path_factory.mktemp("page") / "page.yaml"
    file.write_text(SCENARIO)
    return file


@pytest.fixture(scope="session")
def results(scenario: Path, tmp_path_factory: pytest.TempPathFactory):
    """Its results, with pictures of the zone."""
    out = tmp_path_factory.mktemp("results") / "page"
    found = study.run(scenario, ray=False, out=out)
    assert record_zone_maps(found, study.load(scenario)) == 3
    return found


@pytest.fixture(scope="session")
def along(tmp_path_factory: pytest.TempPathFactory):
    """Results with an axis of many levels, beside one of two."""
    plain = yaml.safe_load(SCENARIO)
    plain |= {"name": "along", "replicates": 2, "claims": []}
    plain["axes"] = {
        "kswapd.policy": ["count-only", "order-aware"],
        "nic.ring": [4, 8, 16, 24, 48, 96],
    }
    del plain["base"]["nic"]["ring"]
    return study.run(plain, ray=False, out=tmp_path_factory.mktemp("along") / "along")


@pytest.fixture
def copy(results, tmp_path: Path) -> Path:
    """A copy of the results folder, to spoil."""
    import shutil

    return Path(shutil.copytree(results.path, tmp_path / "copy"))


@pytest.fixture
def exchange() -> Callable[[Path, pa.Table], None]:
    """Give a part other rows, as if its run had written them."""

    def write(part: Path, table: pa.Table) -> None:
        folder = open_folder(part.parents[1])
        folder.note_part(part, write_part(table, part))
        folder.save_manifest()

    return write
