"""An example or two of each command, as its --help shows them."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "why": (
        ("study why dmesg.txt", "a log, a mail, /proc/buddyinfo"),
        ("dmesg | study why -", "from a pipe"),
    ),
    "scenario": (("study scenario from dmesg.txt > mine.yaml", "the machine of a report"),),
    "presets": (
        ("study presets nic", "those of a kind"),
        ("study presets nic/e1000-9000", "what one sets, and where that stands"),
    ),
    "show": (
        ("study show mine.yaml", "one cell, all settings"),
        ("study show mine.yaml --cell 86bd", "that of several cells"),
    ),
    "plan": (
        ("study plan mine.yaml", "what it would take"),
        ("study plan mine.yaml replicates=20 --cores 64", "more, on a cluster"),
    ),
    "schema": (("study schema > schema.json", "for an editor"),),
    "kernels": (("study kernels", "from the oldest on"),),
    "run": (
        ("study run mine.yaml", "into results/"),
        ("study run mine.yaml nic.ring=64 --out results/small", "with another ring"),
    ),
    "status": (("study status results/small", "of a run, also from elsewhere"),),
    "resume": (("study resume results/small", "after Ctrl-C"),),
    "submit": (("study submit mine.yaml --address http://127.0.0.1:8265", "by a tunnel"),),
    "follow": (("study follow mine-1a2b3c --address http://127.0.0.1:8265", "bring it home"),),
    "summary": (
        ("study summary", "the newest results below results/"),
        ("study summary results/small", "those of a folder"),
    ),
    "verdicts": (
        ("study verdicts results/small", "the claims it was run with"),
        ("study verdicts results/small mine.yaml", "those of a file"),
    ),
    "report": (("study report results/small", "writes results/small/report.html"),),
    "plot": (("study plot results/small tradeoff --format png", "one figure"),),
    "contrasts": (
        ("study contrasts results/small --metric refaults", "one metric"),
        ("study contrasts results/small --axis nic.mtu", "one axis"),
    ),
    "tradeoff": (("study tradeoff results/small", "what service costs"),),
    "sensitivity": (("study sensitivity results/small --csv", "for a spreadsheet"),),
    "compare": (
        ("study compare results/small results/large", "as text"),
        ("study compare results/small results/large --html both.html", "as a page"),
    ),
    "explain": (
        ("study explain", "the telling moments"),
        ("study explain --at 209", "one step"),
    ),
    "replay": (
        ("study replay trace.txt", "how far the allocator agrees"),
        ("study replay trace.txt --load load.yaml", "a load like it"),
    ),
    "completion": (('eval "$(study completion bash)"', "in ~/.bashrc"),),
}
"""Command -> (what is typed, what it is for)."""


def epilog(command: str) -> str:
    """The examples of a command, as click prints an epilog."""
    lines = EXAMPLES[command]
    width = max(len(typed) for typed, _ in lines)
    shown = [f"  {typed:<{width}}  {purpose}" for typed, purpose in lines]
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *shown])
