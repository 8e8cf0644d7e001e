"""The documentation's pages of presets and kernels, read off the declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from study.scenario.machine import reference
from study.scenario.machine.kernels import CHANGES
from study.scenario.presets import KINDS
from study.scenario.presets import presets as known_presets


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table in Markdown."""
    cells = [*head]
    yield ""
    yield f"| {' | '.join(cells)} |"
    yield "|---" * len(cells) + "|"
    for row in rows:
        yield f"| {' | '.join(one.replace('|', chr(92) + '|') for one in row)} |"


def leaves(base: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys that a preset sets, dotted, with their values."""
    for group, keys in base.items():
        if isinstance(keys, Mapping):
            yield from ((f"{group}.{key}", value) for key, value in keys.items())
        else:
            yield group, keys


def flow(value: Any) -> str:
    """A value on one line, as a scenario has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else str(value)


def presets() -> str:
    """Every preset with what it sets and its source, and which of them set a key."""
    lines = [
        "# Presets",
        "",
        "Pieces of scenarios that come with the program. A scenario takes them up with `extends:`",
        "or as levels of an axis. `study presets NAME` shows the same.",
    ]
    setters: dict[str, list[str]] = {}
    for kind in KINDS:
        lines += ["", f"## {kind}"]
        rows = []
        for preset in known_presets().values():
            if preset.name.startswith(f"{kind}/"):
                sets = dict(leaves(preset.base))
                for key in sets:
                    setters.setdefault(key, []).append(preset.name)
                what = ", ".join(f"`{key}: {flow(value)}`" for key, value in sets.items())
                rows.append((f"`{preset.name}`", preset.about, what or "nothing", preset.source))
        lines += table(("preset", "what it is", "sets", "source"), rows)
    lines += ["", "## Which presets set a key"]
    lines += table(
        ("key", "presets"),
        ((f"`{key}`", ", ".join(names)) for key, names in sorted(setters.items())),
    )
    return "\n".join(lines) + "\n"


def kernels() -> str:
    """Every kernel with what it sets."""
    lines = [
        "# Kernels",
        "",
        "`kernel: VERSION` sets all that a kernel changed. Each line has what the one before it",
        "does not have; any other version is taken as the nearest one below. `study kernels` shows",
        "the same.",
        *table(
            ("kernel", "sets"),
            (
                (one.name, ", ".join(f"`{key}`" for key in one.sets) or "nothing")
                for one in reference.kernels()
            ),
        ),
        "",
        "## What is not modelled of the kernels between and after them",
        *table(("since", "what"), CHANGES),
    ]
    return "\n".join(lines) + "\n"
