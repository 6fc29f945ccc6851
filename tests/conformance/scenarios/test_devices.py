"""T33 to T35 of 9.3: the devices of a Xen guest that drive level lines."""

from __future__ import annotations

from typing import Final

from vgicd.domain import operations as op

from .catalogue import scenario
from .harness import SPURIOUS, Bench

XEN_GUEST: Final = "xen-guest, explicit"

CNTV_CTL, CNTV_CVAL, CNTP_CTL, CNTP_CVAL = 0x00, 0x08, 0x10, 0x18
ENABLE, IMASK = 1, 2
UART: Final = 0x22000000
UARTDR, UARTFR, UARTIMSC, UARTRIS, UARTMIS, UARTICR = 0x00, 0x18, 0x38, 0x3C, 0x40, 0x44
TXI: Final = 0x20


def guest(variant: str) -> Bench:
    return Bench(variant, profile="xen-guest")


def timer_write(bench: Bench, offset: int, value: int, *, vcpu: int = 0) -> None:
    bench.do(op.Write(vcpu, op.Space.DEVICE, offset, 8, value))


def timer_read(bench: Bench, offset: int, *, vcpu: int = 0) -> int:
    return int(bench.do(op.Read(vcpu, op.Space.DEVICE, offset, 8)).value)


def set_timers(bench: Bench, ctl: int, cval: int) -> list[int]:
    """Program both timers of vCPU 0 and let it exit once; what their controls then read."""
    for control, compare in ((CNTV_CTL, CNTV_CVAL), (CNTP_CTL, CNTP_CVAL)):
        timer_write(bench, compare, cval)
        timer_write(bench, control, ctl)
    bench.enter()
    bench.exit()
    return [timer_read(bench, CNTV_CTL), timer_read(bench, CNTP_CTL)]


def uart_write(bench: Bench, offset: int, value: int) -> None:
    bench.do(op.Write(0, op.Space.PHYSICAL, UART + offset, 4, value))


def uart_read(bench: Bench, offset: int) -> int:
    return int(bench.do(op.Read(0, op.Space.PHYSICAL, UART + offset, 4)).value)


@scenario("T33", setup=XEN_GUEST)
def test_T33_timer_lines_follow_their_controls_at_every_exit(variant: str) -> None:
    """Xen masks the virtual timer itself when it expires, so IMASK counts for the physical one alone."""
    bench = guest(variant)
    for vcpu in (0, 1):
        bench.private(27, vcpu=vcpu, priority=0xA0)
        bench.private(30, vcpu=vcpu, priority=0xA0)
    lines = [(27, 0), (30, 0), (27, 1), (30, 1)]
    assert set_timers(bench, ENABLE, cval=0) == [5, 5]
    assert [bench.irq(intid, vcpu).line_level for intid, vcpu in lines] == [True, True, False, False]
    assert bench.enter(0).lrs[:2] == (0x1A08001B, 0x1A08001E)
    assert bench.enter(1).lrs == (0, 0, 0, 0)
    bench.exit(0)
    bench.exit(1)
    assert set_timers(bench, ENABLE | IMASK, cval=0) == [7, 7]
    assert [bench.irq(intid, vcpu).line_level for intid, vcpu in lines] == [True, False, False, False]
    assert set_timers(bench, ENABLE, cval=1000) == [1, 1]
    assert [bench.irq(intid, vcpu).line_level for intid, vcpu in lines] == [False] * 4


@scenario("T33", setup=XEN_GUEST)
def test_T33_expiry_raises_the_line_at_its_time(variant: str) -> None:
    bench = guest(variant)
    bench.private(27, vcpu=1, priority=0xA0)
    timer_write(bench, CNTV_CVAL, 1000, vcpu=1)
    timer_write(bench, CNTV_CTL, ENABLE, vcpu=1)
    bench.do(op.Time(999))
    assert bench.kicks == []
    bench.do(op.Time(1000))
    assert bench.kicks == [1]
    assert bench.enter(1).lrs[0] == 0x1A08001B
    assert bench.iar(1) == 27
    assert bench.listed(0) == []


@scenario("T34", setup=XEN_GUEST)
def test_T34_the_event_channel_line_is_a_flag_in_shared_memory(variant: str) -> None:
    bench = guest(variant)
    bench.private(31, priority=0xA0)
    bench.do(op.EventChannel(0, True))
    assert bench.kicks == [0]
    assert bench.domain.apply(op.EventChannelPending(0)).value
    assert not bench.domain.apply(op.EventChannelPending(1)).value
    bench.do(op.EventChannel(0, True))
    assert bench.kicks == []
    assert bench.enter().lrs[0] == 0x1A08001F
    bench.do(op.EventChannel(0, False))
    bench.exit()
    assert bench.irq(31).line_level == 0
    assert bench.listed() == []
    assert not bench.domain.apply(op.EventChannelPending(0)).value
    bench.enter()
    assert bench.iar() == SPURIOUS


@scenario("T35", setup=XEN_GUEST)
def test_T35_the_uart_line_is_its_masked_status(variant: str) -> None:
    bench = guest(variant)
    bench.spi(32, level=True)
    assert uart_read(bench, UARTFR) & 0x90 == 0x90
    uart_write(bench, UARTDR, ord("x"))
    assert uart_read(bench, UARTRIS) == TXI
    assert bench.irq(32).line_level == 0
    uart_write(bench, UARTIMSC, TXI)
    assert uart_read(bench, UARTMIS) == TXI
    assert bench.irq(32).line_level == 1
    assert bench.listed() == [32]
    uart_write(bench, UARTICR, TXI)
    assert bench.irq(32).line_level == 0
    assert not bench.pending(32)


@scenario("T35", setup=f"{XEN_GUEST}; SPI 32 left at edge")
def test_T35_with_an_edge_spi_every_update_with_a_status_latches(variant: str) -> None:
    bench = guest(variant)
    bench.spi(32)
    uart_write(bench, UARTDR, ord("x"))
    assert not bench.pending(32)
    uart_write(bench, UARTIMSC, TXI)
    for _ in range(2):
        assert bench.irq(32).pending_latch
        bench.enter()
        assert bench.iar() == 32
        bench.eoi(32)
        bench.exit()
        assert not bench.pending(32)
        uart_write(bench, UARTDR, ord("y"))
    uart_write(bench, UARTICR, TXI)
    assert bench.irq(32).pending_latch
