"""9.1 Identification, reset, decode."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.errors import Code

from .catalogue import BOTH, scenario
from .harness import (
    CTLR,
    EINVAL,
    ICENABLER,
    ICFGR,
    IGROUPR,
    IIDR,
    IPRIORITYR,
    ISENABLER,
    ISPENDR,
    ITARGETSR,
    TYPER,
    Bench,
    refused_creation,
)


@scenario("T1", columns=(), setup="trace, explicit; 1..8 vCPUs, 0..960 SPIs")
@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize(
    ("vcpus", "spis", "typer"),
    [(1, 0, 0x00), (1, 32, 0x01), (2, 32, 0x21), (1, 33, 0x02), (4, 64, 0x62), (8, 960, 0xFE)],
)
def test_T1_typer_tells_the_configured_vcpus_and_the_rounded_spis(
    variant: str, vcpus: int, spis: int, typer: int
) -> None:
    assert Bench(variant, vcpus=vcpus, spis=spis).gicd_read(TYPER) == typer


@scenario("T2")
def test_T2_iidr_names_the_variant_and_neither_it_nor_typer_can_be_written(variant: str) -> None:
    bench = Bench(variant)
    iidr = bench.column(xen=0x4B01043B, correct=0x4B01243B)
    assert bench.gicd_read(IIDR) == iidr
    typer = bench.gicd_read(TYPER)
    bench.gicd_write(TYPER, 0xFFFFFFFF)
    bench.gicd_write(IIDR, 0xFFFFFFFF)
    assert bench.gicd_read(TYPER) == typer
    assert bench.gicd_read(IIDR) == iidr


@scenario("T3", fixes=("F12",), setup="trace, explicit; 4 vCPUs, nothing written")
def test_T3_reset_values(variant: str) -> None:
    bench = Bench(variant, vcpus=4, distributor=False)
    assert bench.gicd_read(CTLR) == 0
    assert bench.gicd_read(IGROUPR[0]) == bench.column(xen=0xFFFFFFFF, correct=0)
    assert bench.gicd_read(ISENABLER[0]) == 0x0000FFFF
    assert bench.gicd_read(ISENABLER[1]) == 0
    assert bench.gicd_read(IPRIORITYR[0]) == 0
    assert bench.gicd_read(ITARGETSR[0], vcpu=2) == 0x04040404
    assert bench.gicd_read(ITARGETSR[8]) == 0
    assert bench.gicd_read(ICFGR[0]) == 0xAAAAAAAA
    assert bench.gicd_read(ICFGR[1]) == 0
    assert bench.gicd_read(ICFGR[2]) == 0xAAAAAAAA


@scenario("T4", setup="trace, explicit; nothing written")
def test_T4_ctlr_keeps_bit_0_alone(variant: str) -> None:
    bench = Bench(variant, distributor=False)
    bench.gicd_write(CTLR, 0xFFFFFFFE)
    assert bench.gicd_read(CTLR) == 0
    bench.gicd_write(CTLR, 0xFFFFFFFF)
    assert bench.gicd_read(CTLR) == 1


REFUSED = (
    (0x000, 1), (0x002, 4), (0x00C, 4), (0x088, 4), (0x108, 4), (0x100, 2), (0x100, 1), (0x440, 1), (0x43E, 2),
    (0x438, 8), (0x840, 4), (0xC10, 4), (0xD00, 4), (0xE00, 4), (0xF00, 1), (0xF04, 4), (0xF30, 4), (0xFE8, 4),
)  # fmt: skip
ICPIDR2 = 0xFE8


@scenario("T5", columns=(), setup="trace, explicit; 1 vCPU, 32 SPIs; strict_abort as the variant has it, and reversed")
@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("offset", "size"), REFUSED)
def test_T5_refused_places_and_widths_abort_or_read_as_zero(variant: str, strict: bool, offset: int, size: int) -> None:
    """`strict_abort` decides between the columns in either variant; ICPIDR2 exists in `correct` only."""
    bench = Bench(variant, vcpus=1, spis=32, strict_abort=strict)
    exists = offset == ICPIDR2 and not bench.xen
    read = bench.do(op.Read(0, op.Space.GICD, offset, size))
    before = bench.snapshot()
    write = bench.do(op.Write(0, op.Space.GICD, offset, size, (1 << 8 * size) - 1))
    assert read.fault == write.fault == (strict and not exists)
    assert read.value == (0x2B if exists else 0)
    assert bench.snapshot() == before


@scenario("T5", columns=(), setup="trace, explicit; 1 vCPU, 32 SPIs; strict_abort left to the variant")
@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize(("offset", "size"), [place for place in REFUSED if place[0] != ICPIDR2])
def test_T5_by_default_xen_aborts_and_correct_is_lenient(variant: str, offset: int, size: int) -> None:
    bench = Bench(variant, vcpus=1, spis=32)
    assert bench.do(op.Read(0, op.Space.GICD, offset, size)).fault == bench.xen


@scenario("T5", setup="trace, explicit; 1 vCPU, 32 SPIs; xen without D2, whose SGI registers assert")
def test_T5_accepted_places_and_widths_answer(variant: str) -> None:
    bench = Bench(variant, vcpus=1, spis=32, without=("D2",))
    assert bench.gicd_read(IGROUPR[1]) == bench.column(xen=0xFFFFFFFF, correct=0)
    assert bench.gicd_read(ISENABLER[1]) == 0
    assert bench.gicd_read(0x43F, size=1) == 0
    assert bench.gicd_read(0x83C) == 0
    assert bench.gicd_read(0xC0C) == 0xAAAAAAAA
    assert bench.gicd_read(0xF00) == 0
    assert bench.gicd_read(0xF10, size=1) == 0
    assert bench.gicd_read(0xF1C) == 0
    assert bench.gicd_read(0xF20) == 0


@scenario("T6")
def test_T6_spis_are_rounded_up_and_limited_to_960(variant: str) -> None:
    for asked, given in ((960, 960), (0, 0), (1, 32)):
        bench = Bench(variant, spis=asked)
        assert (bench.gicd_read(TYPER) & 0x1F) + 1 == (given + 32) // 32
        assert len(bench.domain.vgic.spis) == given
    assert refused_creation(variant=variant, spis=961) == EINVAL
    assert refused_creation(variant=variant, spis=988) == EINVAL


@scenario("T7", fixes=("X5", "X10"))
def test_T7_nine_vcpus_and_gicv3_are_refused(variant: str) -> None:
    """The number of vCPUs is checked before anything else is built: it is refused whatever the SPIs are."""
    assert refused_creation(variant=variant, vcpus=9) == EINVAL
    assert refused_creation(variant=variant, vcpus=9, spis=960) == EINVAL
    assert refused_creation(variant=variant, gic_version=3) == EINVAL


@scenario("T8")
def test_T8_priorities_keep_five_bits(variant: str) -> None:
    bench = Bench(variant)
    bench.gicd_write(0x420, 0xA7A6A5A4)
    assert bench.gicd_read(0x420) == 0xA0A0A0A0
    bench.gicd_write(0x421, 0x47, size=1)
    assert bench.gicd_read(0x420) == 0xA0A040A0
    assert bench.gicd_read(0x421, size=1) == 0x40
    bench.gicd_write(0x420, 0xFFFFFFFF)
    assert bench.gicd_read(0x420) == 0xF8F8F8F8


@scenario("T9")
def test_T9_icfgr_keeps_the_upper_bit_of_each_spi_pair(variant: str) -> None:
    bench = Bench(variant)
    for written, kept in ((0xFFFFFFFF, 0xAAAAAAAA), (0x55555555, 0), (0x0000000C, 0x00000008)):
        bench.gicd_write(ICFGR[2], written)
        assert bench.gicd_read(ICFGR[2]) == kept
    bench.gicd_write(ICFGR[0], 0)
    assert bench.gicd_read(ICFGR[0]) == 0xAAAAAAAA
    bench.gicd_write(ICFGR[1], 0xFFFFFFFF)
    assert bench.gicd_read(ICFGR[1]) == 0


@scenario("T10", setup="trace, explicit; 4 vCPUs")
def test_T10_the_lowest_existing_target_takes_the_spi(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    bench.gicd_write(ITARGETSR[8], 0xF00E8103)
    assert bench.gicd_read(ITARGETSR[8]) == 0x000E0103
    assert [bench.info(intid).target for intid in (32, 33, 34, 35)] == [0, 0, 1, -1]
    before = bench.gicd_read(ITARGETSR[0])
    bench.gicd_write(0x800, 0xFFFFFFFF)
    assert bench.gicd_read(ITARGETSR[0]) == before == 0x01010101


@scenario("T11")
def test_T11_enable_bits_are_set_and_cleared_one_by_one(variant: str) -> None:
    bench = Bench(variant)
    bench.gicd_write(ISENABLER[1], 0x5)
    bench.gicd_write(ICENABLER[1], 0x1)
    assert bench.gicd_read(ISENABLER[1]) == 0x4
    assert bench.gicd_read(ICENABLER[1]) == 0x4


@scenario("T12", columns=("xen",), setup="trace, explicit; xen without D2, to read CPENDSGIR")
def test_T12_a_disabled_sgi_is_latched_and_listed_when_enabled(variant: str) -> None:
    bench = Bench(variant, without=("D2",))
    bench.gicd_write(ICENABLER[0], 0xFFFF)
    assert bench.gicd_read(ISENABLER[0]) & 0xFFFF == 0
    bench.sgi(3, by=1, to=0x01)
    assert bench.gicd_read(0xF10) == 0x02000000
    assert bench.listed(0) == []
    assert bench.kicks == []
    bench.gicd_write(ISENABLER[0], 1 << 3)
    assert bench.listed(0) == [3]
    assert bench.kicks == [0]


@scenario("T13", columns=("xen",))
def test_T13_enabling_an_enabled_interrupt_does_nothing(variant: str) -> None:
    """Enabled, pending and unlisted: injected without a target, which was assigned later (T40)."""
    bench = Bench(variant)
    bench.spi(32, target=0)
    bench.inject(32)
    bench.gicd_write(ITARGETSR.byte(32), 0x01, size=1)
    bench.enable(32)
    assert bench.kicks == []
    assert bench.listed(0) == []
    assert bench.gicd_read(ISPENDR[1]) == 1


@scenario(fixes=("F7", "F8"), columns=("correct",), setup="trace, explicit; iidr_revision 0, 1, 2")
def test_groups_are_writable_from_revision_2_on_and_zero_before(variant: str) -> None:
    """The distributor must not claim group 1 while list registers say group 0."""
    for revision, word in ((0, 0), (1, 0), (2, 0xFFFFFFFF)):
        bench = Bench(variant, iidr_revision=revision)
        assert bench.gicd_read(IIDR) == 0x4B01043B | revision << 12
        bench.gicd_write(IGROUPR[1], 0xFFFFFFFF)
        assert bench.gicd_read(IGROUPR[1]) == word
        bench.spi(32)
        bench.inject(32)
        assert bench.enter().lrs[0] >> 30 & 1 == word & 1


@scenario(fixes=("F20", "F24", "F25"), columns=("correct",), setup="trace, explicit; RESTORE plane")
def test_the_revision_is_chosen_by_a_restore_and_never_by_the_guest(variant: str) -> None:
    """What is written counts, not what was there; a guest's IGROUPR obeys the revision, whoever chose it."""
    bench = Bench(variant)
    for revision in (1, 2, 0, 1):
        bench.do(op.Write(0, op.Space.GICD, IIDR, 4, 0x4B01043B | revision << 12, op.Plane.RESTORE))
        assert bench.gicd_read(IIDR) == 0x4B01043B | revision << 12
        bench.gicd_write(IIDR, 0x4B01243B)
        bench.gicd_write(IGROUPR[1], 0xFFFFFFFF)
        assert bench.gicd_read(IGROUPR[1]) == (0xFFFFFFFF if revision == 2 else 0)
    for refused in (0x4B01343B, 0x4B00243B, 0):
        with bench.refused(Code.BAD_VALUE):
            bench.do(op.Write(0, op.Space.GICD, IIDR, 4, refused, op.Plane.RESTORE))


@scenario(fixes=("X6",))
def test_a_write_is_cut_to_its_width(variant: str) -> None:
    bench = Bench(variant)
    bench.gicd_write(IPRIORITYR.byte(32), 0xFFFFFF40, size=1)
    assert bench.gicd_read(IPRIORITYR[8]) == 0x40
    bench.gicd_write(ISENABLER[1], 0x1_0000_0001)
    assert bench.gicd_read(ISENABLER[1]) == 1
