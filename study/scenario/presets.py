"""Presets: pieces of scenarios that come with the package, by name, each with its source.

They stand in presets/KIND.yaml, one mapping a preset: `about`, `source`, and `base` as in any
scenario; those of drivers follow from the table of drivers that requests by name have. A scenario
takes them up with `extends:`, or as levels of an axis of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from study.scenario.machine.requests import DRIVERS
from study.scenario.read import Document, read_text

KINDS = ("machine", "nic", "driver", "workload", "policy")


@dataclass(frozen=True)
class Preset:
    """A piece of a scenario.

    name      machine/i386-1gb, nic/e1000-jumbo, ...
    about     what it is, in a sentence
    source    where its figures come from
    document  the same as a scenario with nothing but a `base`
    """

    name: str
    about: str
    source: str
    document: Document

    @property
    def base(self) -> Mapping[str, Any]:
        """Group -> key -> value."""
        settings: Mapping[str, Any] = self.document.value["base"]
        return settings


@lru_cache(maxsize=1)
def presets() -> Mapping[str, Preset]:
    """All of them by name, in the order of KINDS and of the files."""
    return {preset.name: preset for kind in KINDS for preset in _of_kind(kind)}


def _of_kind(kind: str) -> Iterator[Preset]:
    if kind == "driver":
        text = _of_drivers()
    else:
        text = (files("study.scenario") / "presets" / f"{kind}.yaml").read_text(encoding="utf-8")
    whole = read_text(text, f"{kind}.yaml")
    for short, entry in whole.value.items():
        name = f"{kind}/{short}"
        places = {
            path[1:]: place._replace(file=f"preset {name}")
            for path, place in whole.places.items()
            if path[:1] == (short,)
        }
        document = Document(f"preset {name}", {"base": entry["base"]}, places)
        yield Preset(name, " ".join(entry["about"].split()), " ".join(entry["source"].split()),
                     document)  # fmt: skip


def _of_drivers() -> str:
    """The presets of drivers as YAML, which JSON is.

    What a driver asks for has a source. How often it does hangs on the traffic: 1,000 blocks a
    second, kept for 5 ms each, are assumed, or a device that is opened 4 times an hour.
    """
    told = {}
    for name, one in DRIVERS.items():
        often: dict[str, Any] = {"rate": "1000/s", "hold": "5ms"}
        if one.at_open:
            per_min = 4 * one.at_open / 60
            often = {"rate": f"{per_min:.3g}/min", "burst": one.at_open, "hold": "15min"}
        base: dict[str, Any] = {"requests": {name: {"driver": name, **often}}}
        if name != "tcp-send":
            base["nic"] = {"rx_rate": "0/s"}
        source = f"{one.source}; rate and hold assumed"
        told[name] = {"about": one.about, "source": source, "base": base}
    return json.dumps(told, indent=1)
