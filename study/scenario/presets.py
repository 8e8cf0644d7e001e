"""Presets: pieces of scenarios that come with the package, by name, each with its source.

They stand in presets/KIND.yaml, one mapping a preset: `about`, `source`, and `base` as in any
scenario. A scenario takes them up with `extends:`, or as levels of an axis of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from study.scenario.read import Document, read_text

KINDS = ("machine", "nic", "workload", "policy")


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
