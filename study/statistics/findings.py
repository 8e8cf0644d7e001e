"""The results of a study with what they say: contrasts and verdicts, as frames and as files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from study.fanout.trial import one_line
from study.results import Folder, ResultsError, Tables
from study.results.expected import nuisance_of
from study.results.files import write_whole
from study.results.folder import CONTRASTS, VERDICTS
from study.results.manifest import when_noted
from study.results.spreadsheet import to_csv
from study.scenario.claims.comparison import Claim
from study.scenario.claims.keys import claim_from_plain
from study.scenario.machine.requests import column_of, labels_of, names_of
from study.scenario.stopping import Stopping
from study.scenario.units import nanoseconds_from
from study.transport import open_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from study.results.model import Manifest
    from study.statistics.answer import Answer
    from study.statistics.verdict import Verdict


@dataclass(frozen=True, repr=False)
class Findings(Tables):
    """The results of a study.

    trials     one row a trial: cell, one column per axis, replicate, seed, status, error, metrics
    summary    one row per cell and metric: n, mean, sd, 95 % interval
    series     one row per sample of every trial
    contrasts  one row per metric and two levels, or two cells: paired difference, interval, ratio
    verdicts   one row per claim of the scenario
    drift      one row per cell and series: whether it still changes while it is measured
    answer     what it says of its policies, in a few sentences
    tradeoff   one row per cell: service and costs with intervals, and whether any cell beats it
    """

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Differences between levels and between cells, paired by replicate."""
        from study.statistics.contrasts import contrast_table
        from study.statistics.sensitivity import sampled_axes

        return contrast_table(
            self.columns,
            cells=self.cells,
            axes=[
                axis for axis in self.manifest["axes"] if axis not in sampled_axes(self.manifest)
            ],
            headline=[name for name, _ in self.manifest["headline"]],
            nuisance=nuisance_of(self.manifest),
        )

    @cached_property
    def tradeoff(self) -> pd.DataFrame:
        """Service against cost, cell by cell, and the cells that no other beats."""
        from study.statistics.tradeoff import of_study

        return of_study(self, self.cells)

    @cached_property
    def answer(self) -> Answer:
        """What the study says of its policies, in a few sentences."""
        from study.statistics.answer import answer_of

        return answer_of(
            self,
            contrasts=self.contrasts,
            verdicts=[verdict.verdict for verdict in self.judged() if verdict.has_cells],
            looks=looks_of(self.manifest),
            seconds=seconds_per_trial(self.manifest),
        )

    @cached_property
    def drift(self) -> pd.DataFrame:
        """Whether free memory and its users still change while they are measured."""
        from study.statistics.drift import drift

        return drift(self)

    def drift_lines(self) -> list[str]:
        """What still changes while it is measured.

        Returns
        -------
        list of str
            Sentences; empty if nothing is known to change.
        """
        from study.statistics.drift import clock_of, drift_lines

        ages = sorted({*clock_of(self.manifest, "ageing").values()}, key=nanoseconds_from)
        ageing = " to ".join(dict.fromkeys(str(age) for age in (ages[0], ages[-1])))
        return list(drift_lines(self.drift, cells=len(self.cells), ageing=ageing))

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """What the trials say of each claim of the scenario."""
        from study.statistics.verdict import verdict_table

        return verdict_table(self.judged())

    @cached_property
    def labels(self) -> dict[str, str]:
        """Metric -> what this study calls it: its requests have the names of the scenario."""
        return labels_of(self.manifest["scenario"])

    def column_of(self, metric: str) -> str:
        """The column of a metric that may be called requests.NAME.METRIC.

        Parameters
        ----------
        metric
            What somebody calls it.

        Returns
        -------
        str
            What is no such name is returned as it is.

        Raises
        ------
        ResultsError
            No request of the study is called so, or requests by name have no such metric.
        """
        try:
            return column_of(metric, names_of(self.manifest["scenario"]))
        except ValueError as fault:
            raise ResultsError(f"the metric {fault}") from None

    def claims(self) -> list[Claim]:
        """The claims of the scenario.

        Returns
        -------
        list of Claim
            In the order of the scenario.
        """
        return [claim_from_plain(raw) for raw in self.manifest["scenario"].get("claims", [])]

    def footnote(self, verdicts: Sequence[Verdict]) -> str:
        """How sure verdicts on these results are.

        Parameters
        ----------
        verdicts
            As judged() returns them.

        Returns
        -------
        str
            A few sentences: replicates, error rate, what is left out of it, confidence of the
            intervals.
        """
        from study.statistics.words import footnote

        # Cells or replicates that were added to a study that had been run are looks of no rule.
        extended = len(self.manifest.get("extended_from", []))
        return footnote(verdicts, looks=len(looks_of(self.manifest)), extended=extended)

    def judged(self, claims: Iterable[Claim] | None = None) -> list[Verdict]:
        """Verdicts on the scenario's own claims, or on others.

        Parameters
        ----------
        claims
            Those to judge; None takes the scenario's.

        Returns
        -------
        list of Verdict
            One for each claim, adjusted together (Holm).
        """
        return list(self._judged_own if claims is None else self._judge(list(claims)))

    @cached_property
    def _judged_own(self) -> list[Verdict]:
        """What the terminal, the page, the summary and the table of verdicts all ask for."""
        return self._judge(self.claims())

    def _judge(self, wanted: list[Claim]) -> list[Verdict]:
        from study.statistics.verdict import judge

        judged = judge(
            wanted,
            self.columns,
            self.cells,
            looks=looks_of(self.manifest),
            nuisance=nuisance_of(self.manifest),
            pairing=True,
            seconds=seconds_per_trial(self.manifest),
        )
        return [
            replace(verdict, stood=when_noted(self.manifest, claim))
            for verdict, claim in zip(judged, wanted, strict=True)
        ]


def looks_of(manifest: Manifest) -> tuple[int, ...]:
    """Numbers of replicates after which the study's stopping rule looks; none if it has no such
    rule.
    """
    raw = manifest["scenario"].get("replicates")
    return Stopping.from_plain(raw).looks() if isinstance(raw, dict) else ()


def read_findings(path: str | os.PathLike[str]) -> Findings:
    """Open a results folder.

    Parameters
    ----------
    path
        The folder, or its URL.

    Returns
    -------
    Findings
        Tables and verdicts, each read or computed when it is first used.

    Raises
    ------
    ResultsError
        It is no results folder, or its scenario is damaged.
    """
    findings = Findings(open_folder(path))
    check_scenario(findings)
    return findings


def check_scenario(findings: Findings) -> None:
    """Read what tables and figures take from the scenario in the manifest, whatever is there.

    Whether it could be run is another question: that of an earlier version may not be.

    Parameters
    ----------
    findings
        Of a folder whose manifest has the right shape.

    Raises
    ------
    ResultsError
        Something in it is not as any version has written it.
    """
    from study.statistics.sensitivity import sampled_axes, sampling_of

    try:
        looks_of(findings.manifest)
        sampled_axes(findings.manifest)
        sampling_of(findings.manifest)
        findings.claims()
        clock = findings.manifest["scenario"]["base"]["clock"]
        for phase in ("ageing", "measure"):
            nanoseconds_from(clock[phase])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
        place = f"{findings.place}/manifest.json"
        raise ResultsError(f"the scenario in {place} is damaged: {one_line(fault)}") from fault


def write_findings(folder: Folder) -> Findings:
    """Write contrasts.csv and verdicts.csv into the folder that they are computed from.

    Parameters
    ----------
    folder
        The caller is its only writer.

    Returns
    -------
    Findings
        What was written, and all else of the folder.

    Raises
    ------
    ResultsError
        The rows cannot be read, or the folder cannot be written.
    """
    findings = Findings(folder)
    for name, table in ((CONTRASTS, findings.contrasts), (VERDICTS, findings.verdicts)):
        write_whole(folder.path / name, to_csv(table))
    return findings


def plain_verdicts(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as JSON has them: null where there is no number."""
    return [
        {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in vars(verdict).items()
        }
        for verdict in verdicts
    ]


def seconds_per_trial(manifest: Manifest) -> float | None:
    """Wall time of one more trial, at the speed of the run."""
    finished: int = manifest["counts"]["finished"]
    elapsed: float | None = manifest.get("elapsed_s")
    return elapsed / finished if finished and elapsed else None
