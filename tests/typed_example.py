"""What a user's script looks like to a type checker (tests/test_api.py): run by nobody."""

from pathlib import Path

import study

loaded = study.load({"axes": {"nic.mtu": [1500, 9000]}}, replicates=2, zone={"memory": "64MiB"})
cells: int = len(loaded.cells)
results = study.run(loaded, out=Path("out"), ray=False)
served: float = results.trials["rx_success_ratio"].mean()
text: str = results.answer.text
kinds: list[str] = [verdict.verdict for verdict in results.judged()]
panels = results.plot_tradeoff()
panels[0].set_title("Service")
panels.savefig("tradeoff.svg")
zone = study.simulate("scenarios/smoke.yaml", "nic.receive=linear", replicate=1)
free: int = zone.series["nr_free3"].max()
refused: str = str(study.why("page allocation failure. order:3, mode:0x20"))
