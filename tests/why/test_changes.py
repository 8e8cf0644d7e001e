"""What would have let a request pass: what is said of sysctls, and what one does next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

from study.cli import main
from study.refusals.changes import moved, ratio_times
from study.refusals.render import WIDTH
from study.refusals.watermark import marks_of

DATA = Path(__file__).parents[1] / "data" / "kernel-reports"
BLOCKLESS = """\
Normal free:40000kB min:1000kB low:1250kB high:1500kB present:262144kB managed:262144kB
Normal: 10000*4kB 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 40000kB
"""  # noqa: E501


def said(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["why", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


CMA = """\
[ 2161.6] app: page allocation failure: order:10, mode:0x2084020(GFP_ATOMIC|__GFP_COMP)
[ 2161.6] CPU: 0 PID: 1 Comm: app Not tainted {release} #1
[ 2161.7] Mem-Info:
[ 2161.7] Normal free:248344kB min:2444kB low:3052kB high:3660kB present:1048572kB \
managed:734584kB free_pcp:796kB free_cma:240936kB
[ 2161.7] lowmem_reserve[]: 0 0
[ 2161.7] Normal: 5*4kB (U) 85*8kB (U) 33*16kB (UC) 10*32kB (UMC) 6*64kB (UM) 5*128kB (UM) \
4*256kB (UMC) 2*512kB (UC) 3*1024kB (UMC) 1*2048kB (C) 58*4096kB ({lists}) = 247308kB
"""


@pytest.mark.parametrize("release", ["4.4.0", "4.9.56", "4.14.1", "4.19.1", "5.10.1"])
@pytest.mark.parametrize("lists", ["C", "UC"])
def test_blocks_of_cma_serve_no_kernel_request(tmp_path: Path, release: str, lists: str) -> None:
    """Also where the mark's test is content with any block: rmqueue() takes none of them.

    As in unix.stackexchange.com/questions/593335, a 4.9 whose 58 free blocks of 4 MB are CMA's.
    """
    report = tmp_path / "cma.txt"
    report.write_text(CMA.format(release=release, lists=lists))
    found = " ".join(said(str(report)).split())
    if lists == "C":
        assert "Cause: blocks are of a type that may not serve it." in found
        assert "reserved for CMA" in found or "(C)" in found
        assert "1 more free block of 4,096 kB (order 10)" in found
    else:
        assert "Normal passes as printed" in found


@given(st.integers(1, 1 << 30), st.integers(1, 1 << 12), st.data())
def test_a_ratio_so_many_times_as_large_gives_the_reserve(above: int, ratio: int, data) -> None:
    """With the kernel's own division; a tenth less may not."""
    reserve = above // ratio
    left = data.draw(st.integers(0, reserve))
    larger = -(-ratio * round(10 * ratio_times(reserve, left)) // 10)
    assert above // larger <= left


def test_a_reserve_names_its_sysctl() -> None:
    """Of kernels that have it; the older ones had another."""
    assert "its entry of vm.lowmem_reserve_ratio 2.8 times as large" in " ".join(
        said(str(DATA / "6.6-order-4.txt")).split()
    )


def test_what_min_free_kbytes_would_do_is_always_said(tmp_path: Path) -> None:
    """Up and down where it would pass, in any zone; that no value does, where none does."""
    found = said(str(DATA / "6.6-order-4.txt"))
    assert "vm.min_free_kbytes down to 65495" in found
    assert "vm.min_free_kbytes up to 72076" in found

    report = tmp_path / "blockless.txt"
    report.write_text(BLOCKLESS)
    found = said(str(report), "--order", "3", "--gfp", "GFP_ATOMIC", "--kernel", "6.1")
    assert "more free block of 32 kB" in found
    assert "No value of vm.min_free_kbytes would by itself" in found


@pytest.mark.parametrize("name", ["2.6.17-jumbo.txt", "6.6-order-4.txt", "2.6.32-order-2.txt"])
def test_the_next_command_is_said_and_works(name: str) -> None:
    """It can be pasted, up to where its output goes."""
    last = said(str(DATA / name)).splitlines()[-1]
    assert last.endswith(" > cures.yaml")
    command, *arguments = shlex.split(last.removesuffix("> cures.yaml"))
    done = CliRunner().invoke(main, arguments)
    assert (command, done.exit_code) == ("study", 0)
    assert "requests:" in done.output


def test_what_passes_has_no_next_command(tmp_path: Path) -> None:
    """There is nothing to cure."""
    report = tmp_path / "passes.txt"
    report.write_text(BLOCKLESS)
    found = said(str(report), "--order", "0", "--gfp", "GFP_ATOMIC", "--kernel", "6.1")
    assert "none: as it stands the request passes" in found
    assert "study scenario from" not in found
    assert all(len(line) <= WIDTH for line in found.splitlines())


@pytest.mark.parametrize("kind", ["2.6.8", "2.6.10", "4.6"])
@given(st.integers(0, 1 << 22), st.integers(0, 1 << 22), st.integers(1, 1 << 22), st.data())
def test_marks_that_move_are_the_formula_of_the_new_value(
    kind: str, before: int, after: int, zone: int, data
) -> None:
    """Low and high follow min as that kernel has it (setup_per_zone_wmarks), from any value."""
    lowmem = data.draw(st.integers(zone, 1 << 23))
    as_is = marks_of(before, zone, lowmem, kind)
    other = marks_of(after, zone, lowmem, kind)
    there = moved(as_is, other.min, kind, zone)
    if kind == "4.6":
        # Of a zone whose marks lie apart by its size; else the report cannot tell the scale.
        assume(as_is.min // 4 <= zone // 1000)
    assert there == other
