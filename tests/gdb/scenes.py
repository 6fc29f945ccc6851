"""States of a domain in which there is something for a debugger to see; made as a guest and its devices make them."""

from __future__ import annotations

from vgicd_client import Client, Space

TIMER, NESTED, DEVICE = 27, 3, 42
"""A PPI, an SGI that preempts it, and an SPI."""

TIMER_PRIORITY, NESTED_PRIORITY, DEVICE_PRIORITY = 0x80, 0x40, 0x90


def driver(gic: Client, vcpus: int = 4) -> None:
    """What a guest's driver does first: both controllers on, the timer's interrupt, SGI 3 and SPI 42 enabled.

    SPI 42 is a level and goes to vCPU 1; the CPU interfaces accept everything.
    """
    gic.write(0, Space.GICD, 0x000, 1)  # GICD_CTLR
    for vcpu in range(vcpus):
        gic.write(vcpu, Space.GICC, 0x000, 1)  # GICC_CTLR
        gic.write(vcpu, Space.GICC, 0x004, 0xF0)  # GICC_PMR
        gic.write(vcpu, Space.GICD, 0x100, 1 << TIMER | 1 << NESTED)  # GICD_ISENABLER0
        gic.write(vcpu, Space.GICD, 0x400 + TIMER, TIMER_PRIORITY, 1)
        gic.write(vcpu, Space.GICD, 0x400 + NESTED, NESTED_PRIORITY, 1)
    enable(gic, DEVICE, 1)


def enable(gic: Client, intid: int, vcpu: int, priority: int = DEVICE_PRIORITY, *, edge: bool = False) -> None:
    """Send SPI `intid` to `vcpu`, and enable it."""
    gic.write(0, Space.GICD, 0x400 + intid, priority, 1)  # GICD_IPRIORITYR
    gic.write(0, Space.GICD, 0x800 + intid, 1 << vcpu, 1)  # GICD_ITARGETSR
    config = 0xC00 + intid // 16 * 4  # GICD_ICFGR
    old = gic.peek(0, Space.GICD, config) & ~(2 << intid % 16 * 2)
    gic.write(0, Space.GICD, config, old | (2 << intid % 16 * 2 if edge else 0))
    gic.write(0, Space.GICD, 0x100 + intid // 32 * 4, 1 << intid % 32)  # GICD_ISENABLER


def acknowledge(gic: Client, vcpu: int) -> int:
    """The guest's read of GICC_IAR."""
    return gic.read(vcpu, Space.GICC, 0x00C)


def nest(gic: Client, vcpu: int) -> None:
    """On `vcpu` the timer's interrupt is active, and SGI 3 within it."""
    gic.line(TIMER, 1, vcpu)
    assert acknowledge(gic, vcpu) == TIMER
    gic.write(vcpu, Space.GICD, 0xF00, 2 << 24 | NESTED)  # GICD_SGIR: to itself
    assert acknowledge(gic, vcpu) & 0x3FF == NESTED


def busy(gic: Client) -> None:
    """Something of everything: pending, active, nested, held high, on each vCPU another."""
    driver(gic)
    gic.line(TIMER, 1, 0)
    gic.line(DEVICE, 1)
    nest(gic, 2)
    gic.write(3, Space.GICD, 0xF00, 1 << 24 | NESTED)  # GICD_SGIR: to all but itself
    for intid in range(50, 58):  # more than list registers
        enable(gic, intid, 3, edge=True)
        gic.pulse(intid)
