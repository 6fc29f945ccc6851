"""9.9 Hardware-mapped interrupts: virtual SPI 40 tied to physical 72, unless named otherwise."""

from __future__ import annotations

from vgicd.domain import operations as op
from vgicd.hw.effects import Effect, EffectKind

from .catalogue import scenario
from .harness import EBUSY, EINVAL, EOIMODE_1, GICC_CTLR, ICPENDR, ISENABLER, ISPENDR, ITARGETSR, SPURIOUS, Bench

VIRQ, PIRQ = 40, 72
BIT = 1 << VIRQ - 32

ENABLE = Effect(EffectKind.ENABLE, b=PIRQ)
DISABLE = Effect(EffectKind.DISABLE, b=PIRQ)
DEACTIVATE = Effect(EffectKind.DEACTIVATE, b=PIRQ)


def affinity(cpu: int, pirq: int = PIRQ) -> Effect:
    return Effect(EffectKind.AFFINITY, b=pirq, c=cpu)


def active(value: int) -> Effect:
    return Effect(EffectKind.ACTIVE, value, PIRQ)


def pending(value: int) -> Effect:
    return Effect(EffectKind.PENDING, value, PIRQ)


def sample(value: int) -> Effect:
    return Effect(EffectKind.SAMPLE, value, PIRQ)


def trigger(level: int) -> Effect:
    return Effect(EffectKind.TYPE, level, PIRQ)


def connect(bench: Bench, virq: int = VIRQ, pirq: int = PIRQ) -> int:
    return int(bench.do(op.HwConnect(virq, pirq)).value)


def disconnect(bench: Bench, virq: int = VIRQ, pirq: int | None = None) -> int:
    return int(bench.do(op.HwDisconnect(virq, pirq)).value)


def tied(variant: str, *, level: bool, priority: int = 0, automatic: bool = False) -> Bench:
    """SPI 40 tied to 72, configured and enabled."""
    bench = Bench(variant, automatic=automatic)
    assert connect(bench) == 0
    bench.spi(VIRQ, level=level, priority=priority)
    return bench


def fires(bench: Bench) -> None:
    """The device asserts its wire and the host takes the interrupt for the guest."""
    bench.do(op.PhysLine(PIRQ, 1))
    bench.do(op.HwIrq(PIRQ, VIRQ))


def physical_active(bench: Bench) -> bool:
    return bool(bench.domain.vgic.physical[PIRQ].active)


@scenario("T81", fixes=("X2",))
def test_T81_only_an_idle_disabled_spi_can_be_connected(variant: str) -> None:
    bench = Bench(variant)
    assert connect(bench) == 0
    assert bench.do(op.HwDesc(VIRQ)).value == PIRQ
    assert connect(bench) == EBUSY
    assert connect(bench, 1020) == EINVAL

    for intid in (41, 42, 43):
        bench.spi(intid, enabled=intid != 43, level=intid == 42)
    assert connect(bench, 41, 73) == EBUSY, "enabled"
    bench.inject(42)
    bench.enter()
    assert bench.iar() == 42
    bench.inject(42, 0)
    bench.exit()
    bench.disable(42)
    assert bench.irq(42).active
    assert connect(bench, 42, 73) == EBUSY, "active"
    bench.gicd_write(ISPENDR[1], 1 << 43 - 32)
    assert connect(bench, 43, 73) == EBUSY, "latched"
    assert bench.do(op.HwDesc(43)).value is None


@scenario("T81", fixes=("X2",), columns=("xen",))
def test_T81_a_high_line_does_not_hinder_the_connection(variant: str) -> None:
    bench = Bench(variant)
    bench.spi(VIRQ, level=True, enabled=False)
    bench.inject(VIRQ, 1)
    assert bench.irq(VIRQ).line_level == 1
    assert connect(bench) == 0


@scenario("T82")
def test_T82_disconnecting_names_the_right_descriptor_or_none(variant: str) -> None:
    bench = Bench(variant)
    for named in (None, PIRQ):
        assert connect(bench) == 0
        assert disconnect(bench, pirq=73) == EINVAL
        assert bench.do(op.HwDesc(VIRQ)).value == PIRQ
        assert disconnect(bench, pirq=named) == 0
        assert bench.do(op.HwDesc(VIRQ)).value is None


@scenario("T83")
def test_T83_a_physical_level_is_shown_once_per_physical_interrupt(variant: str) -> None:
    bench = tied(variant, level=True, priority=0xA0)
    fires(bench)
    assert bench.kicks == [0]
    assert physical_active(bench)
    assert bench.irq(VIRQ).line_level == 1
    assert bench.enter().lrs[0] == 0x9A012028
    assert bench.irq(VIRQ).line_level == 0


@scenario("T84")
def test_T84_an_unacknowledged_level_is_sampled_at_the_exit(variant: str) -> None:
    bench = tied(variant, level=True, priority=0xA0)
    fires(bench)
    bench.enter()
    bench.exit()
    assert bench.calls == [sample(1)]
    assert bench.irq(VIRQ).line_level == 1
    assert bench.listed() == [VIRQ]
    assert physical_active(bench)
    assert bench.enter().lrs[0] == 0x9A012028
    bench.do(op.PhysLine(PIRQ, 0))
    bench.exit()
    assert bench.calls == [sample(0), active(0)]
    assert bench.irq(VIRQ).line_level == 0
    assert bench.listed() == []
    assert not physical_active(bench)


@scenario("T85", fixes=("F18",))
def test_T85_the_eoi_deactivates_the_physical_interrupt_which_may_fire_again(variant: str) -> None:
    bench = tied(variant, level=True, priority=0xA0)
    fires(bench)
    bench.enter()
    assert bench.iar() == VIRQ
    assert bench.lr() == 0xAA012028
    bench.eoi(VIRQ)
    assert bench.calls == [DEACTIVATE]
    assert bench.lr() == 0x8A012028
    assert not physical_active(bench)
    bench.do(op.HwIrq(PIRQ, VIRQ))
    assert physical_active(bench)
    assert bench.irq(VIRQ).line_level == 1
    assert bench.kicks == [0]
    assert bench.rerun().lrs[0] == 0x9A012028
    assert bench.iar() == VIRQ


@scenario("T85", fixes=("F18",), columns=("correct",), setup="trace, automatic")
def test_T85_the_guest_takes_a_level_until_its_device_is_quiet(variant: str) -> None:
    bench = tied(variant, level=True, automatic=True)
    bench.do(op.PhysLine(PIRQ, 1))
    for _ in range(3):
        assert bench.iar() == VIRQ
        assert bench.iar() == SPURIOUS
        bench.eoi(VIRQ)
    assert bench.virq()
    bench.do(op.PhysLine(PIRQ, 0))
    bench.gicd_read(ISPENDR[1])
    assert not bench.virq()
    assert bench.iar() == SPURIOUS


@scenario("T86", defects=("D7",), fixes=("F3",))
def test_T86_a_new_edge_while_active_waits_for_the_deactivation(variant: str) -> None:
    bench = tied(variant, level=False)
    fires(bench)
    bench.do(op.PhysLine(PIRQ, 0))
    bench.enter()
    assert bench.iar() == VIRQ
    bench.inject(VIRQ)
    assert bench.kicks == [0]
    assert bench.rerun().lrs[0] == bench.column(xen=0xB0012028, correct=0xA0012028)
    assert bench.irq(VIRQ).pending_latch == bench.column(xen=False, correct=True)
    if bench.xen:
        return
    bench.eoi(VIRQ)
    assert bench.calls == [DEACTIVATE]
    assert not bench.maintenance()
    assert bench.rerun().lrs[0] == 0x90012028
    assert bench.iar() == VIRQ


@scenario("T86", defects=("D7",), fixes=("F3",), columns=("correct",), setup="trace, automatic; EOImode 0 and 1")
def test_T86_the_guest_takes_the_withheld_edge_after_its_deactivation(variant: str) -> None:
    for mode in (1, EOIMODE_1):
        bench = tied(variant, level=False, automatic=True)
        bench.gicc_write(GICC_CTLR, mode)
        bench.do(op.PhysLine(PIRQ, 1))
        bench.do(op.PhysLine(PIRQ, 0))
        assert bench.iar() == VIRQ
        bench.inject(VIRQ)
        assert not bench.virq()
        bench.eoi(VIRQ)
        if mode == EOIMODE_1:
            assert not bench.virq()
            bench.dir(VIRQ)
        assert bench.virq()
        assert bench.iar() == VIRQ
        bench.eoi(VIRQ)
        if mode == EOIMODE_1:
            bench.dir(VIRQ)
        assert not bench.virq()
        assert not bench.active(VIRQ)


@scenario("T87")
def test_T87_set_and_clear_pending_reach_the_physical_interrupt(variant: str) -> None:
    bench = tied(variant, level=False)
    bench.gicd_write(ISPENDR[1], BIT)
    assert bench.calls == [active(1)]
    bench.gicd_write(ICPENDR[1], BIT)
    assert bench.calls == [pending(0), active(0)]
    fires(bench)
    bench.enter()
    assert bench.iar() == VIRQ
    bench.gicd_write(ICPENDR[1], BIT)
    assert bench.calls == [pending(0)]
    assert physical_active(bench)


@scenario("T88")
def test_T88_enabling_routes_and_enables_the_physical_interrupt(variant: str) -> None:
    bench = Bench(variant)
    connect(bench)
    bench.spi(VIRQ, level=True, target=0x02, enabled=False)
    bench.gicd_write(ISENABLER[1], BIT)
    assert bench.calls == [affinity(1), ENABLE]
    bench.gicd_write(ISENABLER[1], BIT)
    assert bench.calls == []
    bench.disable(VIRQ)
    assert bench.calls == [DISABLE]
    bench.disable(VIRQ)
    assert bench.calls == []


@scenario("T88", setup="trace, explicit; hardware domain")
def test_T88_the_hardware_domain_programs_the_trigger_type_first(variant: str) -> None:
    for level in (False, True):
        bench = Bench(variant, hardware_domain=True)
        connect(bench)
        bench.spi(VIRQ, level=level, enabled=False)
        bench.gicd_write(ISENABLER[1], BIT)
        assert bench.calls == [trigger(level), affinity(0), ENABLE]
        bench.disable(VIRQ)
        bench.domain.vgic.physical[PIRQ].enabled = True
        bench.gicd_write(ISENABLER[1], BIT)
        assert bench.calls == [affinity(0), ENABLE], "the type is left alone while the physical interrupt is enabled"


@scenario("T89")
def test_T89_the_physical_affinity_follows_the_target(variant: str) -> None:
    bench = Bench(variant, vcpus=4)
    for virq, pirq in ((VIRQ, PIRQ), (41, 73), (42, 74)):
        connect(bench, virq, pirq)
    bench.gicd_write(ITARGETSR.byte(VIRQ), 0x06, size=1)
    assert bench.calls == [affinity(1)]
    bench.gicd_write(ITARGETSR.byte(VIRQ), 0x00, size=1)
    assert bench.calls == []
    assert bench.domain.vgic.physical[PIRQ].affinity == 1
    for virq, target in ((VIRQ, 0x02), (41, 0x0A), (42, 0x01)):
        bench.gicd_write(ITARGETSR.byte(virq), target, size=1)
    bench.do(op.VcpuMove(1, 5))
    assert bench.calls == [affinity(5), affinity(5, 73)]
    bench.gicd_write(ITARGETSR.byte(42), 0x02, size=1)
    assert bench.calls == [affinity(5, 74)]


@scenario(defects=("D21",), fixes=("F11",), setup="trace, explicit")
def test_a_level_that_fell_while_disabled_is_noticed_when_it_is_enabled(variant: str) -> None:
    """[X] delivers it and leaves the physical interrupt active until that spurious delivery is over."""
    bench = tied(variant, level=True)
    fires(bench)
    bench.disable(VIRQ)
    bench.enter()
    bench.exit()
    assert bench.listed() == []
    bench.do(op.PhysLine(PIRQ, 0))
    bench.enable(VIRQ)
    assert bench.irq(VIRQ).line_level == bench.column(xen=True, correct=False)
    assert physical_active(bench) == bench.column(xen=True, correct=False)
    bench.enter()
    assert bench.iar() == bench.column(xen=VIRQ, correct=SPURIOUS)


@scenario(defects=("D21",), fixes=("F18",), setup="trace, explicit")
def test_a_level_that_fell_after_its_deactivation_is_noticed_at_the_exit(variant: str) -> None:
    """Deactivated and taken again without an exit, then the device is quiet: [X] believes in the stale line."""
    bench = tied(variant, level=True)
    fires(bench)
    bench.enter()
    assert bench.iar() == VIRQ
    bench.rerun()
    bench.eoi(VIRQ)
    bench.do(op.HwIrq(PIRQ, VIRQ))
    assert bench.irq(VIRQ).line_level
    bench.do(op.PhysLine(PIRQ, 0))
    bench.exit()
    assert bench.irq(VIRQ).line_level == bench.column(xen=True, correct=False)
    bench.enter()
    assert bench.iar() == bench.column(xen=VIRQ, correct=SPURIOUS)


@scenario(fixes=("F19",), setup="trace, explicit")
def test_pending_of_a_tied_level_interrupt_is_the_physical_line(variant: str) -> None:
    """While its virtual interrupt is active and the wire high: [X] reads the line it has forgotten."""
    bench = tied(variant, level=True)
    fires(bench)
    bench.enter()
    assert bench.iar() == VIRQ
    assert bench.pending(VIRQ) == bench.column(xen=False, correct=True)
    bench.do(op.PhysLine(PIRQ, 0))
    assert not bench.pending(VIRQ)


@scenario(fixes=("F16",), columns=("correct",), setup="trace, explicit; RESTORE plane")
def test_restoring_touches_no_hardware(variant: str) -> None:
    bench = Bench(variant)
    connect(bench)
    bench.spi(VIRQ, enabled=False)
    for register in (ISENABLER, ISPENDR):
        bench.do(op.Write(0, op.Space.GICD, register[1], 4, BIT, op.Plane.RESTORE))
        assert bench.calls == []
    assert bench.irq(VIRQ).enabled
    assert bench.irq(VIRQ).pending_latch
    bench.do(op.Write(1, op.Space.GICD, ISPENDR[0], 4, 1 << 5, op.Plane.RESTORE))
    assert bench.irq(5, 1).source == 0x02
    bench.sgi(5, by=0, to=0x02)
    bench.do(op.Write(1, op.Space.GICD, ICPENDR[0], 4, 1 << 5, op.Plane.RESTORE))
    assert bench.irq(5, 1).source == 0
    assert not bench.irq(5, 1).pending_latch
