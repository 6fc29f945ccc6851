"""The world in which the golden traces were recorded, written a second time: Xen's new VGIC over bare list registers.

Source: the prose description of vgic-trace/1, the format of tests/conformance/traces; sections named below are its.
Nothing of vgicd is imported, and nothing is clever: no caches, no variants, no modes.  Where this model and variant
`xen` agree over random programs, two readings of the same rules agree.

Operations and observations have the names that they have in a trace, so that a line of a trace is a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tests.conformance.trace_state import (
    EN,
    LR_ACTIVE,
    LR_CPUID,
    LR_EOI,
    LR_HW,
    LR_INTID,
    LR_PENDING,
    LR_PRIORITY,
    PRIVATE,
    SGIS,
    UIE,
    Interrupt,
    Physical,
    Vcpu,
    lowest,
)

Answer = dict[str, Any]

EVENT_CHANNEL: Final = 31
IIDR: Final = 0x4B01_043B
EBUSY, EINVAL = -16, -22


class Stopped(Exception):
    """Xen's BUG_ON: the host ends here."""


class Bank(NamedTuple):
    """Registers of one name: `bits` per interrupt, from offset `first` to before `end`."""

    name: str
    first: int
    end: int
    bits: int
    bytewise: bool = False


BANKS: Final = (
    Bank("IGROUPR", 0x080, 0x100, 1),
    Bank("ISENABLER", 0x100, 0x180, 1),
    Bank("ICENABLER", 0x180, 0x200, 1),
    Bank("ISPENDR", 0x200, 0x280, 1),
    Bank("ICPENDR", 0x280, 0x300, 1),
    Bank("ISACTIVER", 0x300, 0x380, 1),
    Bank("ICACTIVER", 0x380, 0x400, 1),
    Bank("IPRIORITYR", 0x400, 0x800, 8, bytewise=True),
    Bank("ITARGETSR", 0x800, 0xC00, 8, bytewise=True),
    Bank("ICFGR", 0xC00, 0xD00, 2),
    Bank("CPENDSGIR", 0xF10, 0xF20, 8, bytewise=True),
    Bank("SPENDSGIR", 0xF20, 0xF30, 8, bytewise=True),
)
CTLR, TYPER, IIDR_OFFSET, SGIR = 0x000, 0x004, 0x008, 0xF00
SINGLE: Final = (CTLR, TYPER, IIDR_OFFSET, SGIR)

READ: Final[Mapping[str, Callable[[Interrupt], int]]] = {
    "IGROUPR": lambda _irq: 1,
    "ISENABLER": lambda irq: irq.enabled,
    "ICENABLER": lambda irq: irq.enabled,
    "ISPENDR": lambda irq: irq.pending,
    "ICPENDR": lambda irq: irq.pending,
    "ISACTIVER": lambda irq: irq.active,
    "ICACTIVER": lambda irq: irq.active,
    "IPRIORITYR": lambda irq: irq.priority,
    "ITARGETSR": lambda irq: irq.mask,
    "ICFGR": lambda irq: 0 if irq.level else 2,
    "CPENDSGIR": lambda irq: irq.sources,
    "SPENDSGIR": lambda irq: irq.sources,
}


class Model:
    """One recorded domain. `apply` is the way in; everything else is named after the operation or the rule."""

    def __init__(self, vcpus: int, spis: int, lrs: int, *, domu: bool) -> None:
        self.domu = domu
        self.vcpus = [
            Vcpu([Interrupt.at_reset(intid, n) for intid in range(PRIVATE)], [0] * lrs, pcpu=n) for n in range(vcpus)
        ]
        self.end = PRIVATE + -(-spis // 32) * 32
        self.spis = [Interrupt.at_reset(intid, None) for intid in range(PRIVATE, self.end)]
        self.on = False
        self.taken = set(range(SGIS))
        self.physical: dict[int, Physical] = {}
        self._kicks: list[int] = []
        self._calls: list[list[Any]] = []
        self._deactivated: int | None = None

    def apply(self, kind: str, inputs: Mapping[str, Any]) -> Answer:
        """Every observation of the operation, those that a trace leaves out when empty included. Raises `Stopped`."""
        self._kicks, self._calls, self._deactivated = [], [], None
        answer: Answer = getattr(self, f"do_{kind}")(**inputs) or {}
        return {**answer, "kicks": self._kicks, "hw": self._calls, "deact": self._deactivated}

    def irq(self, vcpu: int | None, intid: int) -> Interrupt:
        """`vcpu` matters for private interrupts only."""
        if vcpu is not None and intid < PRIVATE:
            return self.vcpus[vcpu].private[intid]
        return self.spis[intid - PRIVATE]

    # --- queues (section 5) ------------------------------------------------------------------------------------------

    def destination(self, irq: Interrupt) -> int | None:
        if irq.active:
            return irq.target if irq.queue is None else irq.queue
        return irq.target if irq.enabled and irq.pending and self.on else None

    def requeue(self, irq: Interrupt) -> None:
        destination = self.destination(irq)
        if destination is None:
            return
        if irq.queue is None:
            self._append(irq, destination)
        self._kicks.append(destination)

    def _append(self, irq: Interrupt, vcpu: int) -> None:
        irq.queue = vcpu
        self.vcpus[vcpu].queue.append(irq)

    def do_line(self, vcpu: int | None, intid: int, level: bool) -> None:
        irq = self.irq(vcpu, intid)
        if irq.level:
            if irq.line == level:
                return
            irq.line = level
        elif level:
            irq.latch = True
        else:
            return
        self.requeue(irq)

    def wakes(self, vcpu: int) -> bool:
        return self.on and any(irq.enabled and irq.pending for irq in self.vcpus[vcpu].queue)

    def do_pending(self, vcpu: int) -> Answer:
        return {"result": self.wakes(vcpu)}

    def do_evtchn_pending(self, vcpu: int) -> Answer:
        return {"result": self.irq(vcpu, EVENT_CHANNEL).pending}

    # --- the distributor (section 4) ---------------------------------------------------------------------------------

    def _bank(self, off: int, size: int) -> tuple[Bank, range] | None:
        """The registers at `off` and the interrupts of the access; None where it is refused."""
        bank = next((bank for bank in BANKS if bank.first <= off < bank.end), None)
        if bank is None or size not in ((1, 4) if bank.bytewise else (4,)) or off % size:
            return None
        first = (off - bank.first) * 8 // bank.bits
        if first >= (SGIS if bank.name.endswith("PENDSGIR") else self.end):
            return None
        return bank, range(first, first + size * 8 // bank.bits)

    def do_gicd_read(self, vcpu: int, off: int, size: int) -> Answer:
        if off in SINGLE and size == 4:
            typer = self.end // 32 - 1 + (len(self.vcpus) - 1 << 5)
            return {"val": {CTLR: int(self.on), TYPER: typer, IIDR_OFFSET: IIDR, SGIR: 0}[off], "fault": False}
        found = self._bank(off, size)
        if found is None:
            return {"val": 0, "fault": True}
        bank, intids = found
        values = (int(READ[bank.name](self.irq(vcpu, intid))) for intid in intids)
        return {"val": sum(value << bank.bits * n for n, value in enumerate(values)), "fault": False}

    def do_gicd_write(self, vcpu: int, off: int, size: int, val: int) -> Answer:
        if off in SINGLE and size == 4:
            if off == CTLR:
                self._write_ctlr(val)
            elif off == SGIR:
                self._write_sgir(vcpu, val)
            return {"fault": False}
        found = self._bank(off, size)
        if found is None:
            return {"fault": True}
        bank, intids = found
        write = getattr(self, f"_write_{bank.name.lower()}", None)
        if write is not None:
            for n, intid in enumerate(intids):
                write(self.irq(vcpu, intid), val >> bank.bits * n & (1 << bank.bits) - 1)
        return {"fault": False}

    def _write_ctlr(self, value: int) -> None:
        was, self.on = self.on, bool(value & 1)
        if self.on and not was:
            self._kicks.extend(vcpu for vcpu in range(len(self.vcpus)) if self.wakes(vcpu))

    def _write_sgir(self, writer: int, value: int) -> None:
        everybody = (1 << len(self.vcpus)) - 1
        targets = (value >> 16 & 0xFF & everybody, everybody & ~(1 << writer), 1 << writer, 0)[value >> 24 & 3]
        for vcpu in range(len(self.vcpus)):
            if targets >> vcpu & 1:
                irq = self.irq(vcpu, value & 15)
                irq.latch = True
                irq.sources |= 1 << writer
                self.requeue(irq)

    def _write_isenabler(self, irq: Interrupt, bit: int) -> None:
        if not bit or irq.enabled:
            return
        irq.enabled = True
        self.requeue(irq)
        if irq.pirq is not None:
            physical = self._physical(irq.pirq)
            if not self.domu and not physical.enabled:
                self._calls.append(["type", irq.pirq, "level" if irq.level else "edge"])
            self._route(irq)
            self._calls.append(["enable", irq.pirq])
            physical.enabled = True

    def _write_icenabler(self, irq: Interrupt, bit: int) -> None:
        if not bit or not irq.enabled:
            return
        irq.enabled = False
        if irq.pirq is not None:
            self._calls.append(["disable", irq.pirq])
            self._physical(irq.pirq).enabled = False

    def _write_ispendr(self, irq: Interrupt, bit: int) -> None:
        if not bit:
            return
        irq.latch = True
        self.requeue(irq)
        if irq.pirq is not None:
            self._force_active(irq.pirq, True)

    def _write_icpendr(self, irq: Interrupt, bit: int) -> None:
        if not bit:
            return
        irq.latch = False
        if irq.pirq is not None and not irq.pending:
            self._calls.append(["pending", irq.pirq, False])
            self._physical(irq.pirq).latch = False
            if not irq.active:
                self._force_active(irq.pirq, False)

    def _write_ipriorityr(self, irq: Interrupt, value: int) -> None:
        irq.priority = value & 0xF8

    def _write_itargetsr(self, irq: Interrupt, value: int) -> None:
        if irq.intid < PRIVATE:
            return
        irq.mask = value & (1 << len(self.vcpus)) - 1
        irq.target = lowest(irq.mask) if irq.mask else None
        self._route(irq)

    def _write_icfgr(self, irq: Interrupt, value: int) -> None:
        if irq.intid >= PRIVATE:
            irq.level = not value & 2

    def _write_cpendsgir(self, irq: Interrupt, sources: int) -> None:
        irq.sources &= ~sources
        if not irq.sources:
            irq.latch = False

    def _write_spendsgir(self, irq: Interrupt, sources: int) -> None:
        irq.sources |= sources
        if irq.sources:
            irq.latch = True
            self.requeue(irq)

    # --- entry and exit (section 6) ----------------------------------------------------------------------------------

    def do_enter(self, vcpu: int) -> Answer:
        cpu = self.vcpus[vcpu]
        cpu.inside = True
        if cpu.queue:
            self._load(vcpu, cpu)
        return {"lrs": list(cpu.lrs), "hcr": cpu.hcr, "used": cpu.used, "misr": cpu.misr}

    def _load(self, vcpu: int, cpu: Vcpu) -> None:
        if len(cpu.queue) > len(cpu.lrs):
            cpu.queue.sort(key=lambda irq: irq.rank)
        used = 0
        for position, irq in enumerate(cpu.queue, 1):
            if self.destination(irq) != vcpu:
                continue
            cpu.lrs[used] = self._fill(irq)
            used += 1
            if used == len(cpu.lrs):
                if position < len(cpu.queue):
                    cpu.hcr |= UIE
                break
        cpu.used = used
        cpu.hcr |= EN

    def _fill(self, irq: Interrupt) -> int:
        word = irq.intid | irq.priority >> 3 << LR_PRIORITY
        pending = irq.pending
        if irq.active:
            word |= LR_ACTIVE
        if irq.pirq is not None:
            word |= LR_HW | irq.pirq << LR_CPUID
            pending = pending and not (irq.level and irq.active)
        elif irq.level:
            word |= LR_EOI
        if not pending:
            return word
        if not irq.level:
            irq.latch = False
        if irq.intid < SGIS:
            if not irq.sources:
                raise Stopped(f"SGI {irq.intid} is pending without a source")
            source = lowest(irq.sources)
            irq.sources &= ~(1 << source)
            irq.latch = irq.sources != 0
            word |= source << LR_CPUID
        if irq.level and irq.pirq is not None:
            irq.line = False
        return word | LR_PENDING

    def do_exit(self, vcpu: int) -> Answer:
        cpu = self.vcpus[vcpu]
        cpu.inside = False
        found = {"lrs": list(cpu.lrs), "eisr": cpu.eisr, "elrsr": cpu.elrsr, "misr": cpu.misr, "apr": cpu.apr}
        if cpu.queue:
            if cpu.used:
                self._fold_all(vcpu, cpu)
            self._prune(vcpu, cpu)
        return {**found, "hcr": cpu.hcr}

    def _fold_all(self, vcpu: int, cpu: Vcpu) -> None:
        cpu.hcr &= ~UIE
        for index in range(cpu.used):
            word, cpu.lrs[index] = cpu.lrs[index], 0
            self._fold(self.irq(vcpu, word & LR_INTID), word)
        cpu.hcr &= ~EN
        cpu.used = 0

    def _fold(self, irq: Interrupt, word: int) -> None:
        pending = bool(word & LR_PENDING)
        irq.active = bool(word & LR_ACTIVE)
        if not irq.level:
            if pending:
                irq.latch = True
                if irq.intid < SGIS:
                    irq.sources |= 1 << (word >> LR_CPUID & 7)
            return
        if not pending:
            irq.latch = False
        elif irq.pirq is not None:
            physical = self._physical(irq.pirq)
            irq.line = physical.line or physical.latch
            self._calls.append(["sample", irq.pirq, irq.line])
            if not irq.line:
                self._force_active(irq.pirq, False)

    def _prune(self, vcpu: int, cpu: Vcpu) -> None:
        for irq in list(cpu.queue):
            destination = self.destination(irq)
            if destination == vcpu:
                continue
            cpu.queue.remove(irq)
            irq.queue = None
            if destination is not None:
                self._append(irq, destination)

    # --- the CPU interface and the physical controller (section 7) ---------------------------------------------------

    def do_ack(self, vcpu: int) -> Answer:
        return {"iar": self.vcpus[vcpu].acknowledge()}

    def do_eoi(self, vcpu: int, val: int) -> None:
        self._deactivated = self.vcpus[vcpu].end(val & LR_INTID)
        if self._deactivated is not None:
            self._physical(self._deactivated).active = False

    def do_pmr(self, vcpu: int, val: int) -> None:
        self.vcpus[vcpu].pmr = val >> 3

    def _physical(self, pirq: int) -> Physical:
        return self.physical.setdefault(pirq, Physical())

    def _force_active(self, pirq: int, value: bool) -> None:
        self._calls.append(["active", pirq, value])
        self._physical(pirq).active = value

    def _route(self, irq: Interrupt) -> None:
        if irq.pirq is not None and irq.target is not None:
            self._calls.append(["affinity", irq.pirq, self.vcpus[irq.target].pcpu])

    def do_pline(self, pirq: int, level: bool) -> None:
        self._physical(pirq).line = level

    def do_hwirq(self, pirq: int, virq: int) -> None:
        physical = self._physical(pirq)
        if physical.enabled and not physical.active:
            physical.active = True
            physical.latch = False
            self.do_line(None, virq, True)

    def do_map_hw(self, vcpu: None, virq: int, pirq: int | None, connect: bool) -> Answer:
        irq = self.irq(None, virq)
        if connect:
            if irq.pirq is not None or irq.enabled or irq.active or irq.latch:
                return {"result": EBUSY}
        elif pirq is not None and pirq != (irq.pirq or 0):
            return {"result": EINVAL}
        irq.pirq = pirq if connect else None
        return {"result": 0}

    def do_hw_desc(self, virq: int) -> Answer:
        return {"result": self.irq(None, virq).pirq}

    def do_move_irqs(self, vcpu: int, pcpu: int) -> None:
        self.vcpus[vcpu].pcpu = pcpu
        for irq in self.spis:
            if irq.target == vcpu:
                self._route(irq)

    # --- the allocator (section 7) and the white box (section 8) -----------------------------------------------------

    def do_alloc_virq(self, spi: bool) -> Answer:
        numbers = range(PRIVATE, self.end) if spi else range(SGIS, PRIVATE)
        free = next((virq for virq in numbers if virq not in self.taken), -1)
        if free >= 0:
            self.taken.add(free)
        return {"result": free}

    def do_reserve_virq(self, virq: int) -> Answer:
        if virq >= self.end or virq in self.taken:
            return {"result": False}
        self.taken.add(virq)
        return {"result": True}

    def do_free_virq(self, virq: int) -> None:
        self.taken.discard(virq)

    def do_state(self, vcpu: int) -> Answer:
        cpu = self.vcpus[vcpu]
        return {
            "running": [n for n, other in enumerate(self.vcpus) if other.inside],
            "ctlr": int(self.on),
            "aplist": [irq.intid for irq in cpu.queue],
            "priv": _changed(cpu.private, vcpu),
            "spi": _changed(self.spis, None),
        }


def _changed(irqs: list[Interrupt], owner: int | None) -> list[list[int]]:
    """The rows of the interrupts that are not as at reset."""
    return [row for irq in irqs if (row := irq.row()) != Interrupt.at_reset(irq.intid, owner).row()]
