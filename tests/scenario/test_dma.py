"""zone.dma: none, or its memory and what of it is reserved."""

from __future__ import annotations

import pytest

from study.scenario import ScenarioError, load_text
from study.scenario.presets import presets
from study.zone.simulate import simulate

LOOKS = "off, or a mapping: { memory: 16MiB, reserved: 3MiB }"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("told", "pages"),
    [
        ("off", (0, 0)),
        ("{ memory: 16MiB, reserved: 3MiB }", (4_096, 768)),
        ("{ memory: 16MiB, reserved: 16MiB }", (4_096, 4_096)),
        ("{ memory: 16MiB, reserved: 3643 pages }", (4_096, 3_643)),
        ("{ memory: 8MiB }", (2_048, 0)),
    ],
)
def test_a_whole_dma_an_empty_one_and_a_part_of_it_can_be_said(
    told: str, pages: tuple[int, int]
) -> None:
    """The resolved scenario says it again, and means the same."""
    study = load_text(f"base: {{ zone.dma: {told} }}", "x.yaml")
    memory = study.cells[0].settings.memory
    again = study.document["base"]["zone"]["dma"]

    assert (memory.dma_pages, memory.dma_reserved_pages) == pages
    assert memory.lowmem_pages == memory.pages + pages[0]
    read = load_text("base: {}", "x.yaml", [f"zone.dma={again}"] if pages[0] else [])
    assert read.cells[0].id == study.cells[0].id


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("16MiB", f"is 16MiB; it must be {LOOKS}"),
        ("on", f"is on; it must be {LOOKS}"),
        ("{ memry: 16MiB }", f"has memry; did you mean memory?; {LOOKS}"),
        ("{ reserved: 1MiB }", f"does not say its memory; it must be {LOOKS}"),
        ("{ memory: 17MiB }", "has memory, which is 17MiB; above 0, and at most 16MiB"),
        ("{ memory: 0 }", "has memory, which is 0; above 0, and at most 16MiB"),
        ("{ memory: 1x }", "has memory, which is 1x, with the unit x"),
        (
            "{ memory: 1MiB, reserved: 2MiB }",
            "has reserved, which is 2MiB, more than its memory, 1MiB",
        ),
    ],
)
def test_what_is_no_zone_dma_is_told(told: str, why: str) -> None:
    """With the place, and what it may be."""
    with pytest.raises(ScenarioError) as told_off:
        load_text(f"base: {{ zone.dma: {told} }}", "x.yaml")

    assert f"x.yaml:1:9: zone.dma {why}" in str(told_off.value)


def test_every_machine_of_the_presets_has_its_zone_dma() -> None:
    """16 MB on i386 and x86-64; a scenario of one zone says off."""
    for name in presets():
        if name.startswith("machine/"):
            memory = load_text(f"extends: {name}", "x.yaml").cells[0].settings.memory
            assert (memory.dma_pages, memory.dma_reserved_pages) == (4_096, 768), name
    alone = load_text("extends: machine/i386-1gb\nbase: {zone.dma: off}", "x.yaml")
    assert alone.cells[0].settings.memory.dma_pages == 0


@pytest.mark.parametrize("kernel", ["2.6.8", "2.6.11"])
def test_an_empty_dma_gives_nothing(kernel: str) -> None:
    """Its zone is there and below its marks: it serves no request, and kswapd finds nothing."""
    text = (
        f"base: {{ kernel: {kernel}, zone: {{ memory: 32MiB, reserved: 1MiB, dma: {{ memory: 16MiB,"
        " reserved: 16MiB } }, nic: { ring: 32 }, processes: { memory: 128KiB },"
        " clock: { ageing: 1s, measure: 1s } }"
    )
    metrics = simulate(load_text(text, "x.yaml").cells[0].settings, seed=1, replicate=0).metrics

    assert metrics["rx_dma_share"] == metrics["user_dma_share"] == 0
    assert metrics["rx_attempts"] > 0
