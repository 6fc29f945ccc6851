"""9.10 Allocation and miscellany."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from vgicd.domain import operations as op
from vgicd.domain.errors import Code
from vgicd.hw.effects import Effect, EffectKind

from .catalogue import scenario
from .harness import EINVAL, ISPENDR, ITARGETSR, SPURIOUS, Bench

XEN_GUEST = "xen-guest, explicit"


def guest(variant: str, *, spis: int = 64) -> Bench:
    return Bench(variant, profile="xen-guest", spis=spis)


def reserve(bench: Bench, virq: int) -> bool:
    return bool(bench.do(op.VirqReserve(virq)).value)


def allocate(bench: Bench, *, spi: bool) -> int:
    return int(bench.do(op.VirqAlloc(spi)).value)


@scenario("T90", setup=XEN_GUEST)
def test_T90_a_new_guest_has_twelve_ppis_to_give_away(variant: str) -> None:
    bench = guest(variant)
    assert [reserve(bench, virq) for virq in (27, 29, 30, 31)] == [False] * 4
    assert [allocate(bench, spi=False) for _ in range(13)] == [*range(16, 27), 28, -1]


@scenario("T91", setup=f"{XEN_GUEST}; 32 SPIs")
def test_T91_spis_are_reserved_once_and_allocated_lowest_first(variant: str) -> None:
    bench = guest(variant, spis=32)
    assert reserve(bench, 63)
    assert not reserve(bench, 63)
    assert not reserve(bench, 64)
    assert not reserve(bench, 32)
    assert allocate(bench, spi=True) == 33


@scenario("T92", fixes=("X7",), setup=f"{XEN_GUEST}; 64 SPIs")
def test_T92_a_device_model_may_drive_only_spis_that_are_nobodys(variant: str) -> None:
    bench = guest(variant)
    bench.spi(40, level=True)

    def set_level(intid: int, level: int, padding: int = 0) -> int:
        return int(bench.do(op.SetIrqLevel(intid, level, padding)).value)

    assert set_level(31, 1) == EINVAL
    assert set_level(96, 1) == EINVAL
    assert set_level(40, 2) == EINVAL
    assert set_level(40, 1, padding=1) == EINVAL
    assert set_level(32, 1) == EINVAL
    assert not bench.pending(40)
    assert set_level(40, 1) == 0
    assert bench.kicks == [0]
    assert set_level(40, 1) == 0
    assert bench.kicks == []
    assert set_level(40, 0) == 0
    assert not bench.pending(40)


@scenario("T93", defects=("D1",), fixes=("F9",))
def test_T93_an_interrupt_beyond_the_last_spi_is_refused(variant: str) -> None:
    """[X] is undefined: up to 1019 it indexes out of bounds, which is answered as the crash it may be."""
    bench = Bench(variant)
    for intid in (96, 1019, 1020, 1023, 8192):
        crashes = bench.xen and intid <= 1019
        with bench.refused(Code.FATAL_ASSERTION if crashes else Code.BAD_INTID):
            bench.inject(intid)


SETUP_BY_VCPU_0 = ("enable", "target 0", "inject", "switch 0", "disable", "enable")
SETUP_BY_VCPU_1 = ("target 1", "enable", "inject", "switch 1", "target 0")


@scenario("T94")
def test_T94_every_interleaving_of_two_vcpus_keeps_one_list_per_interrupt(variant: str) -> None:
    """All 462 orders of two vCPUs' steps; the bench checks the invariants after each operation."""
    length = len(SETUP_BY_VCPU_0) + len(SETUP_BY_VCPU_1)
    for first in combinations(range(length), len(SETUP_BY_VCPU_0)):
        bench = Bench(variant)
        steps = iter(SETUP_BY_VCPU_0), iter(SETUP_BY_VCPU_1)
        for place in range(length):
            vcpu = int(place not in first)
            match next(steps[vcpu]).split():
                case ["enable"]:
                    bench.enable(32, vcpu=vcpu)
                case ["disable"]:
                    bench.disable(32, vcpu=vcpu)
                case ["target", target]:
                    bench.gicd_write(ITARGETSR.byte(32), 1 << int(target), size=1, vcpu=vcpu)
                case ["inject"]:
                    bench.inject(32)
                case ["switch", _]:
                    bench.enter(vcpu)
                    bench.iar(vcpu)
                    bench.exit(vcpu)
            assert sum(bench.listed(v).count(32) for v in (0, 1)) <= 1


@scenario("T95", fixes=("F14",), setup="trace, explicit; 352 SPIs")
def test_T95_a_long_list_is_sorted(variant: str) -> None:
    """Stable: by priority, and by arrival among equals.  A C sort once met itself here (D17)."""
    bench = Bench(variant, spis=352)
    arrivals = [(32 + 7 * n % 320, n * 11 % 31 << 3) for n in range(320)]
    for intid, priority in arrivals:
        bench.spi(intid, priority=priority)
    for intid, _ in arrivals:
        bench.inject(intid)
    assert len(bench.listed()) == 320
    expected = [intid for intid, _ in sorted(arrivals, key=lambda arrival: arrival[1])]
    assert [word & 0x3FF for word in bench.enter().lrs] == expected[:4]
    assert bench.listed() == expected


@scenario("T96", defects=("D18",))
def test_T96_a_freed_domain_lets_its_physical_interrupts_go(variant: str) -> None:
    """[X] disconnects by the physical number, which is right only where both numbers are the same (SPI 73)."""
    bench = Bench(variant)
    for virq, pirq in ((40, 72), (73, 73)):
        bench.do(op.HwConnect(virq, pirq))
        bench.spi(virq, level=True)
    bench.do(op.PhysLine(72, 1))
    bench.do(op.HwIrq(72, 40))
    vgic = bench.domain.vgic
    vgic.effects.clear()
    vgic.release_all()
    assert list(vgic.effects) == [
        Effect(EffectKind.DISABLE, b=72),
        Effect(EffectKind.ACTIVE, 0, 72),
        Effect(EffectKind.DISABLE, b=73),
    ]
    assert vgic.physical_of(73) is None
    assert vgic.physical_of(40) == bench.column(xen=72, correct=None)


@scenario("T96", defects=("D18",))
def test_T96_a_reset_domain_lets_its_physical_interrupts_go(variant: str) -> None:
    """What is in progress is deactivated; what is not tied is left alone."""
    bench = Bench(variant)
    for virq, pirq in ((40, 72), (73, 73)):
        bench.do(op.HwConnect(virq, pirq))
        bench.spi(virq, level=True)
    bench.do(op.HwDisconnect(73))
    bench.do(op.PhysLine(72, 1))
    bench.do(op.HwIrq(72, 40))
    bench.do(op.Reset())
    assert bench.calls == [Effect(EffectKind.DISABLE, b=72), Effect(EffectKind.ACTIVE, 0, 72)]
    assert bench.do(op.HwDesc(40)).value is None


@scenario("T97", defects=("D19",))
def test_T97_a_vcpu_powered_on_again_and_its_old_sgi(variant: str) -> None:
    bench = Bench(variant)
    bench.sgi(5, by=0, to=0x02)
    bench.do(op.VcpuPower(1, False))
    bench.do(op.VcpuPower(1, True))
    assert bench.pending(5, vcpu=1) == bench.column(xen=True, correct=False)
    assert bench.listed(1) == bench.column(xen=[5], correct=[])
    bench.enter(1)
    assert bench.iar(1) == bench.column(xen=5, correct=SPURIOUS)


@scenario("T97", defects=("D19",))
def test_T97_an_sgi_sent_to_a_vcpu_that_is_off(variant: str) -> None:
    bench = Bench(variant)
    bench.do(op.VcpuPower(1, False))
    bench.sgi(5, by=0, to=0x02)
    bench.do(op.VcpuPower(1, True))
    assert bench.pending(5, vcpu=1) == bench.column(xen=True, correct=False)


@scenario("T98", setup="trace, explicit; and trap_unmapped")
def test_T98_unmapped_addresses_read_as_ones_or_abort(variant: str) -> None:
    bench = Bench(variant)
    nowhere = 0x4000_0000
    before = bench.snapshot()
    for size, ones in ((4, 0xFFFFFFFF), (1, 0xFF), (2, 0xFFFF), (8, 0xFFFFFFFF_FFFFFFFF)):
        read = bench.do(op.Read(0, op.Space.PHYSICAL, nowhere, size))
        assert (read.value, read.fault) == (ones, False)
        assert not bench.do(op.Write(0, op.Space.PHYSICAL, nowhere, size, 0)).fault
    assert bench.snapshot() == before
    bench = Bench(variant, trap_unmapped=True)
    assert bench.do(op.Read(0, op.Space.PHYSICAL, nowhere, 4)).fault
    assert bench.do(op.Write(0, op.Space.PHYSICAL, nowhere, 4, 0)).fault


@scenario(defects=("D20",))
def test_freeing_what_was_never_to_be_had(variant: str) -> None:
    """[X] checks nothing, so that an SGI can be freed and then claimed."""
    bench = Bench(variant)
    bench.do(op.VirqFree(5))
    assert reserve(bench, 5) == bench.column(xen=True, correct=False)
    assert reserve(bench, 40)
    bench.do(op.VirqFree(40))
    assert reserve(bench, 40)


@scenario(fixes=("F21",))
def test_an_unknown_vcpu_is_refused_by_every_operation_that_names_one(variant: str) -> None:
    bench = Bench(variant)
    for vcpu in (2, 7, 8, 255, -1):
        for operation in (
            op.Read(vcpu, op.Space.GICD, 0, 4),
            op.Write(vcpu, op.Space.GICD, ISPENDR[1], 4, 1),
            op.Read(vcpu, op.Space.GICC, 0, 4),
            op.Line(20, 1, vcpu),
            op.Enter(vcpu),
            op.Exit(vcpu),
            op.LrGet(vcpu),
            op.LrSet(vcpu, 0, 0),
            op.Gich(vcpu, 0, 0),
            op.IrqInfo(20, vcpu),
            op.PendingCheck(vcpu),
            op.EventChannelPending(vcpu),
            op.VcpuMove(vcpu, 0),
            op.VcpuPower(vcpu, False),
        ):
            with bench.refused(Code.BAD_VCPU) as caught:
                bench.do(operation)
            assert caught.value.field == "vcpu"


@scenario(fixes=("X3",))
def test_the_cpu_interface_answers_from_the_first_access_to_both_its_pages(variant: str) -> None:
    bench = Bench(variant, automatic=True, profile="virt")
    base = {region.name: region.base for region in bench.domain.frames()}["GICC"]
    assert bench.do(op.Read(1, op.Space.PHYSICAL, base + 0xFC, 4)).value == 0x0202143B
    assert not bench.do(op.Write(1, op.Space.PHYSICAL, base + 0x1000, 4, 0x3FF)).fault


@scenario(fixes=("X4",))
def test_a_direct_mapped_guest_finds_the_hosts_addresses(variant: str) -> None:
    """Ordinary guests have Xen's own map; hardware and direct-mapped domains the host's, with the host's sizes."""

    def frames(**options: Any) -> dict[str, tuple[int, int]]:
        bench = Bench(variant, profile="xen-guest", **options)
        regions = {region.name: (region.base, region.size) for region in bench.domain.frames()}
        return {name: regions[name] for name in ("GICD", "GICC")}

    assert frames(layout="ordinary") == {"GICD": (0x03001000, 0x1000), "GICC": (0x03002000, 0x2000)}
    host = {"gicd_base": 0x2C001000, "gicc_base": 0x2C002000}
    assert frames(layout="direct", **host) == {"GICD": (0x2C001000, 0x1000), "GICC": (0x2C002000, 0x2000)}
    assert frames(layout="hardware", gicc_size=0x20000, gicd_base=0x2C010000, gicc_base=0x2C020000) == {
        "GICD": (0x2C010000, 0x1000),
        "GICC": (0x2C020000, 0x20000),
    }
