"""Free blocks as other programs write them down: node_exporter's metrics, crash's `kmem -f`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from study.refusals.text import Text

Map = tuple[tuple[str, ...], dict[int, int], int]
"""Node and zone in words, blocks by order, and the line in which that begins."""

NODE_EXPORTER, CRASH = "buddyinfo of node_exporter", "kmem -f of crash"
_SAMPLE = re.compile(
    r"\bnode_buddyinfo_blocks\{([^{}\n]{1,400})\}[\s=>]{1,8}(\d{1,12})(?:\.0{1,9})?(?=[\s@*`|]|\Z)"
)
_LABEL = re.compile(r"\b(node|size|zone)=\"(\w{1,12})\"")
_NODE = re.compile(r"[\s*|`-]{0,8}(\d{1,4})[\s*|`]{0,4}\Z")
_ZONE = re.compile(
    # Not at the start of a line alone: as wide as its heading, it may have been joined to that.
    r"\s\d{1,2}\s{1,6}(DMA32|DMA|Normal|HighMem|Movable)\s{1,12}\d{1,14}\s{1,12}\d{1,14}\s"
)
_AREA = re.compile(
    r"[\s*|`-]{0,8}(\d{1,2})\s{1,10}\d{1,7}k\s{1,6}[0-9a-f]{6,16}\s{1,12}(\d{1,12})\s{1,12}\d{1,14}[\s*|`]{0,4}\Z"
)


def of_other_programs(text: Text) -> tuple[str, list[Map]]:
    """Which program wrote the free blocks of a text, and what it wrote; nothing if none did.

    Parameters
    ----------
    text
        Put right.
    """
    if "node_buddyinfo_blocks" in text.whole:
        return NODE_EXPORTER, list(_samples(text))
    if "FREE_AREA_STRUCT" in text.whole:
        return CRASH, list(_areas(text))
    return "", []


def _samples(text: Text) -> Iterator[Map]:
    zones: dict[tuple[str, str], Map] = {}
    for number, line in zip(text.number, text.whole.split("\n"), strict=True):
        match = _SAMPLE.search(line)
        if match is None:
            continue
        labels = dict(_LABEL.findall(match[1]))
        if len(labels) < 3 or not re.fullmatch("[0-9]{1,2}", labels["size"]):
            continue
        node, zone, order = labels["node"], labels["zone"], int(labels["size"])
        known = zones.get((node, zone))
        if known is None or order in known[1]:
            # A later scrape of the same machine.
            if known is not None:
                yield known
            known = zones[node, zone] = ((f"node {node}", zone), {}, number)
        known[1][order] = int(match[2])
    yield from zones.values()


def _areas(text: Text) -> Iterator[Map]:
    node = "node 0"
    counts: dict[int, int] = {}
    after_node = False
    for number, line in zip(text.number, text.whole.split("\n"), strict=True):
        if after_node and (match := _NODE.match(line)) is not None:
            node = f"node {match[1]}"
        after_node = line.strip("*|`- ") == "NODE"
        if (match := _ZONE.search(line)) is not None:
            counts = {}
            yield (node, match[1]), counts, number
        elif (match := _AREA.match(line)) is not None:
            counts.setdefault(int(match[1]), int(match[2]))
