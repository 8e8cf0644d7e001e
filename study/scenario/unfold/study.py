"""The passes, one after another: a composed document becomes a Study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from study.scenario.check import findings
from study.scenario.claims.comparison import Claim
from study.scenario.claims.read import read_claims
from study.scenario.errors import Fault, did_you_mean, shown
from study.scenario.machine.requests import column_of, names_of
from study.scenario.origin import Unfolded
from study.scenario.read import Document
from study.scenario.sampling import draw
from study.scenario.study import Study
from study.scenario.trial import Level
from study.scenario.unfold.axes import (
    Axes,
    check_clashes,
    check_size,
    read_axes,
    read_nuisance,
    read_sampling,
)
from study.scenario.unfold.cells import make_cells
from study.scenario.unfold.entries import (
    check_included,
    read_exclude,
    read_include,
    without_idle,
)
from study.scenario.unfold.faults import Faults
from study.scenario.unfold.head import read_head
from study.scenario.unfold.levels import check_contradictions, check_levels, read_base
from study.scenario.unfold.settings import resolved
from study.zone.settings import REQUESTS_MAX

MAX_TRIALS = 10_000_000


def unfold_document(document: Document, found: Sequence[Fault] = ()) -> Unfolded:
    """The study that a document describes, and where everything in it comes from.

    found  what is wrong with the document already

    Raises ScenarioError with all faults.
    """
    faults = Faults(document, found)
    raw: dict[str, Any] = document.value
    head, stopping = read_head(raw, faults)
    base = read_base(raw, faults)
    axes = read_axes(raw, faults)
    sampling = read_sampling(raw, axes, faults)
    exclude = read_exclude(raw, axes, faults)
    include = read_include(raw, axes, faults)
    # Levels are tried on what is sound of the base: its faults are told once, not for each.
    sound = {group: keys for group, keys in base.items() if group not in faults.unsound}
    if check_size(axes, sampling, faults):
        check_levels(sound, axes, include, faults)
        check_included(axes, include, faults)
    check_clashes(axes, faults)
    _check_ranking(head.ranking, axes, faults)
    if faults:
        _claims(raw, {}, names_of(raw), faults)
        check_contradictions(sound, axes, exclude, include, faults)
    nuisance = read_nuisance(raw, axes, faults)
    faults.stop()
    points = draw(axes.ranges, sampling, seed=head.seed) if axes.ranges else [{}]
    effective = without_idle(axes, exclude, include, faults)
    names = names_of(
        {"base": base, "axes": axes.listed | axes.named | axes.ranges, "include": effective[1]}
    )
    if len(names) > REQUESTS_MAX:
        faults.add(
            ("axes",),
            f"the cells have {len(names)} requests by name together ({', '.join(names)}); at most "
            f"{REQUESTS_MAX} have metrics of their own",
        )
        faults.stop()
    if stopping is not None and stopping.said is not None:
        # What no cell sets any more is no column: those of the others count anew.
        try:
            stopping = replace(stopping, metric=column_of(stopping.said, names))
        except ValueError as problem:
            faults.add(("replicates", "until", "metric"), f"replicates.until.metric {problem}")
    made = make_cells(base, axes, exclude, include, points, names, faults)
    most = stopping.most if stopping else head.replicates
    if len(made.cells) * most > MAX_TRIALS:
        faults.add(
            ("replicates",),
            f"replicates is {most:,}, which makes {len(made.cells) * most:,} "
            f"trials; at most {MAX_TRIALS:,}",
        )
    levels = {cell.id: cell.levels for cell in made.cells.values()}
    claims = _claims(raw, levels, names, faults)
    faults.stop()
    varied = {
        *(key for axis in (*axes.listed, *axes.ranges) for key in (axis, *axes.keys_of(axis))),
        *(key for entry in include for key in entry),
    }
    drawn = {key: raw["axes"][key] for key in axes.ranges}
    study = Study(
        name=head.name,
        question=" ".join(head.question.split()),
        seed=head.seed,
        replicates=head.replicates,
        axes={axis: tuple(levels) for axis, levels in axes.listed.items()}
        | {key: tuple(dict.fromkeys(point[key] for point in points)) for key in axes.ranges},
        cells=tuple(made.cells.values()),
        document={
            **head.model_dump(mode="json"),
            "base": resolved(base, varied),
            "axes": axes.listed | axes.named | drawn,
            "exclude": effective[0],
            "include": effective[1],
            "claims": [claim.plain() for claim in claims],
            **({"nuisance": list(nuisance)} if nuisance else {}),
            **({"sampling": sampling.model_dump()} if axes.ranges else {}),
            **({"replicates": stopping.plain()} if stopping else {}),
        },
        source=document.name,
        claims=tuple(claims),
        stopping=stopping,
        nuisance=nuisance,
    )
    return Unfolded(study, document, axes.named, made.combined, made.machines)


def _check_ranking(ranking: str | None, axes: Axes, faults: Faults) -> None:
    if ranking is not None and len(axes.listed.get(ranking, ())) < 2:
        faults.add(
            ("ranking",),
            f"ranking is {shown(ranking)}, which is no axis of two levels or more"
            f"{did_you_mean(ranking, axes.listed)}",
        )


def _claims(
    raw: Mapping[str, Any],
    cells: Mapping[str, Mapping[str, Level]],
    names: Sequence[str],
    faults: Faults,
) -> list[Claim]:
    claims, wrong = read_claims(
        raw.get("claims"),
        cells,
        requests=names,
        say=findings,
        cut=lambda index: faults.cut_axes() or faults.document.inherited(("claims", index)),
    )
    for path, text in wrong:
        faults.add(("claims", *path), text)
    return claims
