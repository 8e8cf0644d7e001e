"""Print the tables of docs/findings.md from results folders, Markdown.

    python docs/findings.py verdicts results/article [results/article-uneven]
    python docs/findings.py verdicts results/article --claims docs/article-why.yaml
    python docs/findings.py cures results/cures

With two folders the verdicts of the second stand beside those of the first. Counts of verdicts are
those of the measured time, those of cures are a minute's.
"""

from __future__ import annotations

from collections import Counter

import click
from history import percent, placed

from study.scenario import load_claims
from study.statistics import read_findings
from study.statistics.verdict import Verdict
from study.statistics.words import evidence, footnote, in_words
from study.zone.trial.metrics import LABELS

SHOUTED = ("contradicted", "equivalent", "never seen")


def told(verdict: Verdict, most: int) -> str:
    """The figures behind a verdict, without the name of its metric."""
    text = evidence(verdict, most=most)
    for name in (in_words(verdict.metric, LABELS), verdict.metric):
        text = text.removeprefix(f"{name}: ")
    return text


def word(verdict: Verdict) -> str:
    """Its word, marked where the article is not borne out."""
    return f"**{verdict.verdict}**" if verdict.verdict in SHOUTED else verdict.verdict


@click.group()
def main() -> None:
    """Print the tables of docs/findings.md from results folders, Markdown."""


@main.command()
@click.argument("folders", nargs=-1, required=True)
@click.option("--claims", help="A file whose claims are judged instead of the study's own.")
def verdicts(folders: tuple[str, ...], claims: str | None) -> None:
    """One row a claim."""
    wanted = load_claims(claims) if claims else None
    judged = [read_findings(folder).judged(wanted) for folder in folders]
    by_id = [{verdict.id: verdict for verdict in found} for found in judged]
    click.echo("| | claim | figures |" + " | figures |" * (len(folders) - 1))
    click.echo("|---" * (3 + 2 * (len(folders) - 1)) + "|")
    for first in judged[0]:
        cells = [word(first), first.says.removesuffix("."), told(first, first.n)]
        for others in by_id[1:]:
            other = others.get(first.id)
            cells += [word(other), told(other, other.n)] if other and other.has_cells else ["", ""]
        click.echo(f"| {' | '.join(cells)} |")
    for folder, found in zip(folders, judged, strict=True):
        counts = Counter(verdict.verdict for verdict in found if verdict.has_cells)
        click.echo(f"\n{folder}: {', '.join(f'{n} {text}' for text, n in counts.most_common())}")
        click.echo(footnote(found))


@main.command()
@click.argument("folder")
def cures(folder: str) -> None:
    """One row a cure."""
    click.echo(
        "| cure | order 3, atomic | asked for | a block of order 3 free | reclaimed | moved "
        "| refaults | 2 MB blocks with a kernel page |\n" + "|---" * 8 + "|"
    )
    for cure, mine in placed(folder).groupby("cure", sort=False):
        means = mine.mean(numeric_only=True)
        cells = [
            f"{percent(mine['rx_success_ratio'])} %",
            f"{means['rx_attempts']:,.0f}",
            f"{percent(1 - mine['order3_absent_share'])} %",
            *(f"{means[name]:,.0f}" for name in ("reclaimed_pages", "moved_pages", "refaults")),
            f"{percent(mine['unmovable_blocks_share_end'])} %",
        ]
        click.echo(f"| {cure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
