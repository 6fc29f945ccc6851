"""One CPU interface, twice: the bare silicon, and the same silicon inside a domain.

The scenarios of the CPU interface use only what both have: interrupts arrive in list registers, the guest uses its
registers, the hypervisor its own.
"""

from __future__ import annotations

from typing import Any, Protocol

from vgicd.domain import operations as op
from vgicd.hw.gich import EN, GICH, Gich
from vgicd.hw.gicv import GICC

from .harness import IGROUPR, Bench


class CpuInterface(Protocol):
    """A CPU inside the guest: GICC_CTLR 1, GICC_PMR 0xF8, HCR.En 1, list registers empty."""

    counts_missed_dir: bool  # a DIR that matches no list register is EOICount's

    def arrives(self, intid: int, priority: int = 0, *, group: int = 0) -> None:
        """The interrupt becomes pending in a list register."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, value: int) -> None: ...

    def read_gich(self, offset: int) -> int: ...

    def write_gich(self, offset: int, value: int) -> None: ...

    def outputs(self) -> int:
        """Bit 0 the virtual IRQ, bit 1 the virtual FIQ."""

    def maintenance(self) -> bool: ...


class Silicon:
    """`vgicd.hw` by itself."""

    counts_missed_dir = True

    def __init__(self, **options: Any) -> None:
        self.gich = Gich(4, **options)
        self.gich.write_vmcr(0xF8000001)
        self.gich.write_hcr(EN)

    def arrives(self, intid: int, priority: int = 0, *, group: int = 0) -> None:
        free = next(n for n, word in enumerate(self.gich.lrs) if not word >> 28 & 3)
        self.gich.write_lr(free, intid | 1 << 28 | priority >> 3 << 23 | group << 30)

    def read(self, offset: int) -> int:
        row = GICC.gate(offset, 4)
        assert row is not None
        return int(row.read(self.gich))

    def write(self, offset: int, value: int) -> None:
        row = GICC.gate(offset, 4)
        assert row is not None
        row.write(self.gich, value)

    def read_gich(self, offset: int) -> int:
        row = GICH.gate(offset, 4)
        assert row is not None
        return int(row.read(self.gich, offset))

    def write_gich(self, offset: int, value: int) -> None:
        row = GICH.gate(offset, 4)
        assert row is not None
        row.write(self.gich, offset, value)

    def outputs(self) -> int:
        return self.gich.outputs()

    def maintenance(self) -> bool:
        return self.gich.maintenance()


class Hosted:
    """vCPU 0 of a domain in explicit mode, inside the guest; the distributor's accesses are vCPU 1's."""

    def __init__(self, variant: str, **options: Any) -> None:
        self.bench = Bench(variant, **options)
        self.bench.enter(0)
        self.counts_missed_dir = self.bench.xen
        self.bench.do(op.Gich(0, 0x00, EN))

    def arrives(self, intid: int, priority: int = 0, *, group: int = 0) -> None:
        """Xen has no group 1, so there its list register is written by hand."""
        bench = self.bench
        bench.gicd_write(0x400 + intid, priority, size=1, vcpu=1)
        bench.gicd_write(0x800 + intid, 0x01, size=1, vcpu=1)
        bench.enable(intid, vcpu=1)
        if group and not bench.xen:
            word = IGROUPR[intid // 32]
            bench.gicd_write(word, bench.gicd_read(word, vcpu=1) | 1 << intid % 32, vcpu=1)
        hcr = bench.hcr()
        bench.inject(intid)
        bench.rerun(0)
        if group and bench.xen:
            place = next(n for n, lr in enumerate(bench.lr_state().lrs) if lr & 0x3FF == intid)
            bench.do(op.LrSet(0, place, bench.lr(place) | 1 << 30))
        bench.do(op.Gich(0, 0x00, hcr))

    def read(self, offset: int) -> int:
        return self.bench.gicc_read(offset)

    def write(self, offset: int, value: int) -> None:
        self.bench.gicc_write(offset, value)

    def read_gich(self, offset: int) -> int:
        return int(self.bench.do(op.Read(0, op.Space.GICH, offset, 4, op.Plane.DEBUG)).value)

    def write_gich(self, offset: int, value: int) -> None:
        self.bench.do(op.Gich(0, offset, value))

    def outputs(self) -> int:
        return self.bench.domain.outputs & 3

    def maintenance(self) -> bool:
        return self.bench.maintenance(0)


def build(place: str, **options: Any) -> CpuInterface:
    """`place`: silicon, xen or correct."""
    if place != "silicon":
        return Hosted(place, **options)
    names = {"eoi_when_idle": "idle_deactivates"}
    return Silicon(**{names.get(name, name): value == "deactivate" for name, value in options.items()})
