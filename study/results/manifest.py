"""The manifest: what made a results folder, and how far it got."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from study.results.errors import ResultsError
from study.results.expected import nuisance_of, replicates_most

if TYPE_CHECKING:
    from study.results.model import Manifest, Noted
    from study.scenario import Claim, Study

FORMAT = 1
"""Layout of the folder and of its tables; a reader refuses a newer one."""

_OF_THE_FOLDER = (
    *("created", "command", "versions", "machine", "extended_from"),
    *("sampled", "noted_first", "parts", "trial_seconds", "elapsed_s"),
)
"""What a run that goes on leaves as the first one wrote it, or adds to."""

_WORDS = ("name", "question", "claims")
_ABSENT = object()
_SHORT = 60
_DEPTH = 60
_VALUES_MOST = 1_500_000
"""Keys among them: ten thousand cells of thirty keys, and a part every ten seconds for months."""
_LETTERS_MOST = 32 * 1024 * 1024
"""Of text that is not all ASCII: in memory each letter may take four bytes."""
_WORD_MOST = 4 * 1024 * 1024
_LONG_WORD = re.compile(f'"[^"]{{{_WORD_MOST}}}')
_LONGEST_KEY = 200
_DIFFERENCES_MOST = 1_000
"""A scenario is read to a depth of forty, and lies in here."""
_LARGEST = 2**64
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)
_PACKAGES = ("ray", "numba", "numpy", "pandas", "pyarrow", "scipy")


def fingerprint_of(document: Mapping[str, Any], simulation: str) -> str:
    """Digest of all that decides the rows: the resolved scenario, the simulation, the format.

    What the study is called, asks and claims is left out: it changes no row.

    Parameters
    ----------
    document
        The resolved scenario: `Study.document`.
    simulation
        Digest of the simulation's sources.

    Returns
    -------
    str
        32 hex digits.
    """
    settings = {key: value for key, value in document.items() if key not in _WORDS}
    if "recordings" in settings:
        # The same content may be packed otherwise by another version of the library that does it.
        held = settings["recordings"]
        settings["recordings"] = [[one["name"], one["digest"]] for one in held]
    decisive = {"document": settings, "simulation": simulation, "format": FORMAT}
    return hashlib.blake2b(_canonical(decisive).encode(), digest_size=16).hexdigest()


def new_manifest(study: Study, *, simulation: str, command: Iterable[str]) -> Manifest:
    """The manifest of a run that is about to start.

    simulation  digest of the simulation's sources
    """
    return {
        "format": FORMAT,
        "name": study.name,
        "question": study.question,
        "state": "running",
        "fingerprint": fingerprint_of(study.document, simulation),
        "simulation": simulation,
        "seed": study.seed,
        "replicates": study.replicates,
        "created": now(),
        "finished": None,
        "command": list(command),
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "counts": {
            "cells": len(study.cells),
            "trials": len(study.cells) * study.replicates,
            "finished": 0,
            "failed": 0,
        },
        "trial_seconds": 0.0,
        "sampled": False,
        "noted_first": True,
        "parts": {},
        "failures": [],
        "headline": [],
        "axes": [str(axis) for axis in study.axes],
        "notes": study.notes(),
        "cells": {cell.id: dict(cell.levels) for cell in study.cells},
        "claims": {
            digest_of_claim(claim): {"id": claim.id, "noted": now(), "rows": 0}
            for claim in study.claims
        },
        # In the order of the author: a continued run unfolds it again.
        "scenario": json.loads(json.dumps(study.document, default=str)),
    }


def digest_of_claim(claim: Claim) -> str:
    """Name of everything a claim says: SHA-256 of its entry, 64 hex digits."""
    return hashlib.sha256(_canonical(claim.plain()).encode()).hexdigest()


def when_noted(manifest: Manifest, claim: Claim) -> str:
    """Whether a claim stood before the rows it is judged on.

    Parameters
    ----------
    manifest
        Of the folder with the rows.
    claim
        Of its scenario, or of another file.

    Returns
    -------
    str
        'before' if it was in the manifest before the first row, to the letter; 'after' if not;
        empty if the folder is of a version that did not note claims.
    """
    noted = manifest.get("claims")
    if noted is None:
        return ""
    found = noted.get(digest_of_claim(claim))
    return "before" if found is not None and found["rows"] == 0 else "after"


def study_of(scenario: Any, path: str, *, extensions: str | Iterable[str] = ()) -> Study:
    """The study that made a results folder, from the resolved scenario in its manifest.

    Parameters
    ----------
    scenario
        Whatever stands there.
    path
        Of the folder, to be named in messages.
    extensions
        What may be imported for it; of this a manifest says nothing.

    Returns
    -------
    Study
        The same cells, seeds and claims as those of the study that wrote the manifest.

    Raises
    ------
    ResultsError
        The scenario cannot be run.
    """
    from study.scenario import ScenarioError, load_text
    from study.scenario.write import yaml_text

    try:
        # Read by the same reader as any other. JSON would be YAML, but for letters beyond U+FFFF.
        text = yaml_text(scenario)
        return load_text(text, f"{path}/manifest.json", extensions=extensions)
    except ScenarioError as fault:
        raise ResultsError(
            f"the scenario in {path}/manifest.json cannot be run:\n{fault}"
        ) from None


def check_reads_back(study: Study) -> None:
    """Before the first trial: the resolved scenario, read again, is the same study.

    Raises
    ------
    ResultsError
        It is not, so that nothing could go on with its folder.
    """
    again = study_of(study.document, study.source, extensions=study.allowed)
    for part in ("cells", "claims", "seed", "replicates", "stopping", "document"):
        if getattr(again, part) != getattr(study, part):
            raise ResultsError(
                f"{study.source}: written out and read again its {part} would be others, so that "
                "its results could not be gone on with; please report this"
            )


def parsed(text: str) -> Any:
    """Read JSON as a manifest has it.

    Parameters
    ----------
    text
        Of manifest.json.

    Returns
    -------
    Any
        Plain values: all numbers finite and of at most 64 bits, all text such as can be written,
        lists and mappings at most _DEPTH deep.

    Raises
    ------
    ValueError
        It is no JSON, or none of this kind.
    """
    # Counted before anything is made of it: an empty list of two letters takes 64 bytes then.
    if sum(map(text.count, ",:[{")) > _VALUES_MOST:
        raise ValueError(f"it has over {_VALUES_MOST:,} values")
    if not text.isascii() and len(text) > _LETTERS_MOST:
        raise ValueError(f"it has over {_LETTERS_MOST:,} letters")
    if _LONG_WORD.search(text):
        raise ValueError(f"a word in it, or a row of numbers, has over {_WORD_MOST:,} letters")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if (wrong := _unbounded(found)) is not None:
        raise ValueError(wrong)
    return found


def _unbounded(document: Any) -> str | None:
    """What in plain values is larger than anything that was ever written, in a few words."""
    if isinstance(document, dict):
        # A command line names files, of which not every name is text.
        document = {**document, "command": None}
    waiting: list[tuple[Any, int]] = [([document], -1)]
    values = 0
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEPTH:
            return "it is nested too deeply"
        values += len(value) * (2 if isinstance(value, dict) else 1)
        if values > _VALUES_MOST:
            return f"it has over {_VALUES_MOST:,} values"
        for each in chain(value, value.values()) if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                waiting.append((each, depth + 1))
            elif (wrong := _of_no_run(each)) is not None:
                return wrong
    return None


def _of_no_run(value: Any) -> str | None:
    """What is wrong with a single value, if no run writes such."""
    if isinstance(value, str):
        if value.isascii() or _can_be_written(value):
            return None
        return f"a word in it is no text (surrogates not allowed): {_short(value)}"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"a number in it has {value.bit_length()} bits"
    if isinstance(value, float) and not isfinite(value):
        return f"a number in it is {value}"
    return None


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def misshapen(manifest: Mapping[str, Any]) -> str | None:
    """What in a manifest is not as this program writes it, in a few words; None if all is.

    Whoever reads a folder can then rely on the types. Whether the scenario in it makes sense is for
    its own reader to say.
    """
    from study.results.model import first_problem

    if (found := first_problem(dict(manifest))) is not None:
        way, is_missing = found
        if is_missing and len(way) == 1:
            return f"it has no {way[0]}"
        return _is_there(manifest, way, is_missing=is_missing)
    return _contradiction(cast("Manifest", manifest))


def _contradiction(manifest: Manifest) -> str | None:
    """Which fields do not fit each other, in a few words; None if all do."""
    cells, axes = manifest["cells"], manifest["axes"]
    keys = set(next(iter(cells.values())))
    for cell, levels in cells.items():
        if set(levels) != keys:
            return f"cells.{cell} is {_short(levels)}: cells have the same keys"
    if len(set(axes)) < len(axes) or not keys.issuperset(axes):
        return f"axes is {_short(axes)}: each is a key of every cell"
    if manifest["counts"]["cells"] != len(cells):
        return f"counts.cells is {manifest['counts']['cells']}: there are {len(cells)}"
    for failure in manifest["failures"]:
        if failure["cell"] not in cells:
            return f"failures is {_short(manifest['failures'])}: {failure['cell']} is no cell of it"
    return None


def _is_there(manifest: Mapping[str, Any], way: Sequence[str], *, is_missing: bool) -> str:
    """A place in a manifest and what is there, as far down as there is anything."""
    value: Any = manifest
    passed: list[str] = []
    for key in way:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            break
        passed.append(key)
    if is_missing:
        passed, value = [*passed, way[-1]], _ABSENT
    place = ".".join(passed)
    return f"{place[:_SHORT]} is {_short(value)}"


def differences(found: Manifest, wanted: Manifest) -> list[str]:
    """What the manifest of a folder and that of a study differ in, one line each."""
    lines = []
    if found.get("format") != wanted["format"]:
        lines.append(f"format: {found.get('format')} there, {wanted['format']} now")
    if found.get("simulation") != wanted["simulation"]:
        there, now = found.get("simulation"), wanted["simulation"]
        lines.append(f"version of the simulation: {there} there, {now} now")
    differing = _differing(found.get("scenario", {}), wanted["scenario"])
    for path, there, now in islice(differing, _DIFFERENCES_MOST):
        key = ".".join(path)
        key = key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 3]}..."
        lines.append(f"{key}: {_short(there)} there, {_short(now)} now")
    return lines


def extended(found: Manifest, wanted: Manifest) -> tuple[Manifest | None, list[str]]:
    """The manifest of a folder that grows into a larger study, or None and what is in the way.

    More replicates or more cells may be added; every cell that is there must stay, with the levels
    that its rows have and the load that they were run under.
    """
    obstacles = [
        f"{name}: {found.get(name)} there, {wanted[name]} now"
        for name in ("format", "simulation", "seed")
        if found.get(name) != wanted[name]
    ]
    cells = found.get("cells", {})
    gone = [cell for cell in cells if cell not in wanted["cells"]]
    if gone:
        obstacles.append(f"{len(gone)} of its {len(cells)} cells are not in the study")
    obstacles += [
        f"levels of {cell}: {_short(cells[cell])} there, {_short(levels)} now"
        for cell, levels in wanted["cells"].items()
        if cell in cells and cells[cell] != levels
    ]
    there, now = (sorted(nuisance_of(manifest)) for manifest in (found, wanted))
    if there != now:
        obstacles.append(f"nuisance: {_short(there)} there, {_short(now)} now")
    if set(_columns(found)) != set(_columns(wanted)):
        obstacles.append("the axes are others, so that its rows would lack columns")
    # What a stopping rule asked for beyond the least number is there too, and stays.
    most_there, most_now = replicates_most(found), replicates_most(wanted)
    if most_now < most_there:
        obstacles.append(f"replicates: up to {most_there} there, {most_now} now")
    if obstacles:
        return None, obstacles
    earlier = [*found.get("extended_from", []), found["fingerprint"]]
    return continued(found, wanted) | {"extended_from": earlier}, []


def continued(found: Manifest, wanted: Manifest) -> Manifest:
    """The manifest of a folder whose run goes on: what is there, with the words of the study now.

    Its question and claims may have changed since; what the trials are, the fingerprint holds.
    """
    kept = {name: value for name, value in found.items() if name in _OF_THE_FOLDER}
    there = found["counts"]
    counts = wanted["counts"] | {"finished": there["finished"], "failed": there["failed"]}
    whole = {**wanted, "noted_first": False, **kept, "counts": counts}
    whole["claims"] = _all_noted(found, wanted)
    return cast("Manifest", whole)


def _all_noted(found: Manifest, wanted: Manifest) -> dict[str, Noted] | None:
    """When each claim was noted, and how many rows there were then; None if nobody noted it
    once.
    """
    # A part holds a row at least, and is noted before the rows in it are counted.
    rows = max(found["counts"]["finished"], len(found.get("parts", {})))
    earlier = found.get("claims")
    if earlier is None and rows:
        return None
    later: dict[str, Noted] = {
        digest: {**entry, "rows": rows} for digest, entry in (wanted.get("claims") or {}).items()
    }
    return {**later, **(earlier or {})}


def _columns(manifest: Manifest) -> list[str]:
    keys = [key for levels in manifest.get("cells", {}).values() for key in levels]
    return list(dict.fromkeys([*manifest.get("axes", []), *keys]))


def _differing(
    before: Any, after: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two nested mappings differ: the keys on the way, what is there, what is now.

    Whatever is no mapping, or an empty one, is compared as a whole.
    """
    if len(path) == 1 and path[0] in _WORDS:
        return
    inside_before = before if isinstance(before, Mapping) and before else None
    inside_after = after if isinstance(after, Mapping) and after else None
    if inside_before is None and inside_after is None:
        if before is not after and before != after:
            yield path, before, after
        return
    for key in dict.fromkeys([*(inside_after or ()), *(inside_before or ())]):
        there = (inside_before or {}).get(key, _ABSENT)
        now = (inside_after or {}).get(key, _ABSENT)
        yield from _differing(there, now, (*path, str(key)))
    if inside_before is None and before is not _ABSENT:
        yield path, before, _ABSENT
    if inside_after is None and after is not _ABSENT:
        yield path, _ABSENT, after


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    # Of something large no more is written than is shown.
    text = ""
    for piece in _ENCODER.iterencode(value):
        text += piece
        if len(text) > _SHORT:
            return f"{text[: _SHORT - 3]}..."
    return text


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that shape the results."""
    found = {"python": platform.python_version(), "study": _version("fragmentation-study")}
    return found | {name: _version(name) for name in _PACKAGES}


def now() -> str:
    """The time, as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _canonical(value: Any) -> str:
    return _ENCODER.encode(value)
