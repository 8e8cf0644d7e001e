"""A scenario file, checked and unfolded into a Study; all of its faults at once."""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from study.scenario.claims.comparison import Claim
from study.scenario.compose import compose
from study.scenario.effect import without_effect
from study.scenario.errors import Fault, ScenarioError, shown
from study.scenario.head import NAME
from study.scenario.machine.notes import values_of
from study.scenario.machine.recordings import Recordings, recordings_at_hand
from study.scenario.machine.requests import column_of, names_of, own_name
from study.scenario.origin import Unfolded
from study.scenario.override import apply_overrides, as_json
from study.scenario.read import MAPPING, MAX_BYTES, read_text
from study.scenario.study import Study
from study.scenario.unfold.study import unfold_document
from study.scenario.versions import spell_versions
from study.scenario.write import yaml_text
from study.trust.extensions import allowed_extensions, allowing, only_naming

RECORDINGS_LETTERS_MOST = 850_000
"""Of what a resolved scenario holds of recorded loads: with the rest it is less than MAX_BYTES."""


def load(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Study:
    """Read a scenario file and unfold it into the cells of a study.

    Parameters
    ----------
    path
        Of the YAML file; names of files in it count from its folder.
    overrides
        Each `key=value`, with a dotted key and a value as in YAML, laid over it in order.
    extensions
        What the scenario may have imported: each `module:name`, or a module.

    Returns
    -------
    Study
        Its cells, seeds and claims.

    Raises
    ------
    ScenarioError
        Something is wrong, with a fault for each thing that is; nothing was run.
    """
    return unfold(path, overrides, extensions=extensions).study


def load_text(
    text: str, name: str, overrides: Sequence[str] = (), *, extensions: str | Iterable[str] = ()
) -> Study:
    """As load, for the text of a scenario; recorded loads must stand in it.

    Parameters
    ----------
    text
        YAML.
    name
        Stands for the file in messages; its stem is the study's name if the text gives none.
    overrides
        Each `key=value`, with a dotted key and a value as in YAML, laid over it in order.
    extensions
        What the scenario may have imported: each `module:name`, or a module.

    Returns
    -------
    Study
        Its cells, seeds and claims.

    Raises
    ------
    ScenarioError
        Something is wrong, with a fault for each thing that is; nothing was run.
    """
    return unfold_text(text, name, overrides, extensions=extensions).study


def load_mapping(
    scenario: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Study:
    """As load, for a scenario from Python.

    Parameters
    ----------
    scenario
        What a file says, as dict, list, str and numbers; names of files in it count from the
        current folder.
    overrides
        Each `key=value`, with a dotted key and a value as in YAML, laid over it in order.
    extensions
        What the scenario may have imported: each `module:name`, or a module.

    Returns
    -------
    Study
        Its cells, seeds and claims.

    Raises
    ------
    ScenarioError
        Something is wrong, with a fault for each thing that is; nothing was run.
    """
    text = yaml_text(json.loads(as_json(scenario, "scenario")))
    return _unfold(text, MAPPING, overrides, extensions, Path()).study


def load_claims(
    path: str | os.PathLike[str], *, names: Iterable[str] | None = None
) -> tuple[Claim, ...]:
    """The claims of a scenario file, which is read and checked; what it names is not imported.

    Parameters
    ----------
    path
        As for load().
    names
        Of the requests of the study that the claims are to be judged on, whose columns are numbered
        by them; None for the file's own.

    Returns
    -------
    tuple of Claim
        In the order of the file.

    Raises
    ------
    ScenarioError
        As from load(), and for a claim on a request that the study does not have.
    """
    with only_naming():
        unfolded = unfold(path)
    claims = unfolded.study.claims
    if names is None:
        return claims
    own, theirs = names_of(unfolded.study.document), list(names)
    faults, found = [], []
    for index, claim in enumerate(claims):
        try:
            metric = {
                column_of(own_name(column, own), theirs): factor
                for column, factor in claim.metric.items()
            }
        except ValueError as wrong:
            faults.append(unfolded.document.fault(("claims", index, "metric"), str(wrong)))
        else:
            found.append(replace(claim, metric=metric))
    if faults:
        raise ScenarioError(faults)
    return tuple(found)


def unfold(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Unfolded:
    """As load, with what is needed to say where each setting of a cell comes from."""
    return _unfold(_text_of(Path(path)), str(path), overrides, extensions, Path(path).parent)


def unfold_text(
    text: str, name: str, overrides: Sequence[str] = (), *, extensions: str | Iterable[str] = ()
) -> Unfolded:
    """As unfold, for a text that is at hand; a recorded load must stand in it."""
    return _unfold(text, name, overrides, extensions, None)


def _unfold(
    text: str,
    name: str,
    overrides: Sequence[str],
    extensions: str | Iterable[str],
    folder: Path | None,
) -> Unfolded:
    """Read a text.

    folder  where recorded loads are looked for; None for those under `recordings` alone
    """
    allowed = allowed_extensions(extensions)
    with allowing(allowed), recordings_at_hand(folder) as recordings:
        unfolded = _unfold_text(text, name, overrides, recordings)
    return replace(unfolded, study=replace(unfolded.study, allowed=allowed))


def _unfold_text(
    text: str, name: str, overrides: Sequence[str], recordings: Recordings
) -> Unfolded:
    composed = compose(read_text(text, name), _text_of)
    document, faults = composed.document, composed.faults
    recordings.named(composed.traces)
    kept = document.value.pop("recordings", None)
    for index, wrong in recordings.keep(kept if isinstance(kept, list) else []):
        faults.append(document.fault(("recordings", index), wrong))
    if kept is not None and not isinstance(kept, list):
        faults.append(document.fault(("recordings",), "recordings must be a list"))
    document.value = spell_versions(document.value)
    # A study is called after its file, unless it says otherwise.
    stem = Path(name).stem
    if document.value.get("name") is None and re.fullmatch(NAME, stem):
        document.value["name"] = stem
    before = copy.deepcopy(document)
    try:
        apply_overrides(document, overrides)
    except ScenarioError as error:
        faults += error.faults
    document.value = spell_versions(document.value)
    if faults or not overrides:
        return _with_recordings(unfold_document(document, faults), recordings)
    unfolded = unfold_document(copy.deepcopy(document))
    faults, equal = without_effect(before, overrides, unfolded, unfold_document)
    if faults:
        raise ScenarioError(faults)
    unfolded = replace(unfolded, study=replace(unfolded.study, remarks=tuple(equal)))
    return _with_recordings(unfolded, recordings)


def _with_recordings(unfolded: Unfolded, recordings: Recordings) -> Unfolded:
    """The same with the content of the recorded loads in its document."""
    study = unfolded.study
    held = recordings.plain(values_of(study.document, "load.trace"))
    if not held:
        return unfolded
    size = sum(len(one["packed"]) for one in held)
    if size > RECORDINGS_LETTERS_MOST:
        raise ScenarioError(
            [
                unfolded.document.fault(
                    (),
                    f"its {len(held)} recorded loads take {size:,} bytes; a study carries at most "
                    f"{RECORDINGS_LETTERS_MOST:,}",
                )
            ]
        )
    document = study.document | {"recordings": held}
    return replace(unfolded, study=replace(study, document=document))


def _text_of(file: Path) -> str:
    def refuse(text: str) -> ScenarioError:
        return ScenarioError([Fault(str(file), None, None, text)])

    try:
        # A pipe would keep us waiting for somebody to write into it.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise refuse("is no regular file")
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise refuse(f"larger than {MAX_BYTES:,} bytes; a scenario is a page of text")
        return content.decode()
    except ScenarioError:
        raise
    except FileNotFoundError:
        raise refuse(f"no such file{_nearest_file(file)}") from None
    except IsADirectoryError:
        raise refuse("is a folder; give one of the .yaml files in it") from None
    except UnicodeDecodeError:
        raise refuse("is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise refuse(f"cannot be read: {shown(reason)}") from None


def _nearest_file(file: Path) -> str:
    folder = file.parent
    try:
        names = [f.name for f in folder.iterdir() if f.suffix in (".yaml", ".yml")]
    except OSError:
        return f", nor a folder {folder}"
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.5)
    return f"; did you mean {folder / near[0]}?" if near else ""
