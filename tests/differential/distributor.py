"""Cases a and c: a whole domain of vgicd, and for case a QEMU's distributor and physical CPU interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential import qemu
from tests.differential.aliases import AEOIR, AHPPIR, AIAR, read_alias
from tests.differential.generate_distributor import SPIS
from tests.differential.state import EOI_MODE, IDLE, Interface, Pending, State
from tests.differential.steps import Answer, Kind, Step
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.differential.divergence import Situation
    from tests.differential.qemu import Qemu

LRS: Final = 64
SPACES: Final = {"GICD": op.Space.GICD, "GICC": op.Space.GICC, "GICH": op.Space.GICH}
BASES: Final = {"GICD": qemu.GICD, "GICC": qemu.GICC}
NR_INTIDS: Final = 32 + qemu.SPIS
IRQ: Final = 0  # inputs of a QEMU CPU
FIQ: Final = 1
EOIR: Final = 0x10
APR0: Final = 0xD0
NSAPR0: Final = 0xE0
DIR: Final = 0x1000
ALL_EDGE: Final = 0xAAAAAAAA


class OurDomain:
    """A domain of variant `correct` in automatic mode, as many SPIs as QEMU's machine, 64 list registers."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.domain = Domain(DomainConfig(vcpus=cpus, spis=qemu.SPIS, lrs=LRS))
        self._high: set[int] = set()

    def perform(self, step: Step) -> Answer:
        if step.kind is Kind.LINE:
            (self._high.add if step.value else self._high.discard)(step.offset)
        result = self.domain.apply(self._operation(step))
        return Answer(result.value or 0, result.outputs)

    def capture(self) -> State:
        spis = [self._info(intid) for intid in SPIS]
        edge = frozenset(irq.intid for irq in spis if not irq.is_level)
        return State(
            tuple(self._interface(cpu, spis) for cpu in range(self.cpus)),
            frozenset(intid for intid in self._high if intid >= 32),
            edge,
        )

    def peek(self, cpu: int, space: op.Space, offset: int) -> int:
        """A register's value on the DEBUG plane."""
        return int(self.domain.apply(op.Read(cpu, space, offset, 4, op.Plane.DEBUG)).value)

    def _info(self, intid: int, cpu: int = op.NO_VCPU) -> op.IrqState:
        state = self.domain.apply(op.IrqInfo(intid, cpu)).value
        if not isinstance(state, op.IrqState):
            raise TypeError(f"IRQ_INFO answered {state!r}")
        return state

    def _interface(self, cpu: int, spis: Sequence[op.IrqState]) -> Interface:
        ctlr, pmr, bpr, abpr = (self.peek(cpu, op.Space.GICC, offset) for offset in (0x00, 0x04, 0x08, 0x1C))
        apr = self.peek(cpu, op.Space.GICC, APR0)
        irqs = [*(self._info(intid, cpu) for intid in range(32)), *spis]
        pending = sorted(
            Pending(irq.priority, irq.group, irq.intid)
            for irq in irqs
            if irq.pending and irq.enabled and not irq.active and (irq.intid < 32 or irq.target == cpu)
        )
        return Interface(
            *(ctlr, pmr, bpr, abpr, (apr & -apr).bit_length() - 1 << 3 if apr else IDLE),
            pending=tuple(pending) if self.peek(cpu, op.Space.GICD, 0x000) else (),
            active=frozenset(irq.intid for irq in irqs if irq.active),
            latched=frozenset(irq.intid for irq in irqs if irq.pending_latch or (irq.pending and not irq.is_level)),
        )

    @staticmethod
    def _operation(step: Step) -> op.Read | op.Write | op.Line:
        match step.kind:
            case Kind.READ:
                return op.Read(step.cpu, SPACES[step.frame], step.offset, step.size)
            case Kind.WRITE:
                return op.Write(step.cpu, SPACES[step.frame], step.offset, step.size, step.value)
            case Kind.LINE:
                return op.Line(step.offset, step.value, step.cpu if step.offset < 32 else op.NO_VCPU)


def replaced(step: Step) -> list[Step]:
    """What QEMU performs for `step` (entries `distributor-enable` and `sgi-without-source`)."""
    if step.kind is Kind.WRITE and step.is_at("GICD", 0x000):
        return [step._replace(value=3 * (step.value & 1))]
    if step.kind is Kind.WRITE and step.is_at("GICD", 0xF20, 0xF2C):
        sources = enumerate(step.value.to_bytes(step.size, "little"))
        return [step._replace(offset=step.offset + place, size=1, value=source) for place, source in sources if source]
    return [step]


class QemuDistributor:
    """QEMU's GICD and GICC on a machine with one CPU."""

    batch = 1

    def __init__(self, machine: Qemu) -> None:
        self._machine = machine
        self._qtest = machine.qtest
        self._qtest.intercept_inputs(machine.cpu)
        self._activated: set[int] = set()
        self.restart()

    def restart(self) -> None:
        """Begin anew after a reset, which keeps GICC_APR. SPIs are edge-triggered as vgicd's are (entry `trigger`)."""
        self._activated.clear()
        self._set_active_priorities(0)
        for intid in range(32, NR_INTIDS, 16):
            self._qtest.write(qemu.GICD + 0xC00 + intid // 4, ALL_EDGE)
        self._qtest.write(qemu.GICD, 0)  # recomputes the lines

    def plan(self, situation: Situation) -> Sequence[Step]:
        return replaced(situation.step)

    def perform(self, plans: Sequence[Sequence[Step]]) -> list[Answer]:
        return [self._perform(plan) for plan in plans]

    def _perform(self, plan: Sequence[Step]) -> Answer:
        values = [self._access(step) for step in plan]
        levels = self._qtest.levels
        outputs = levels.get(IRQ, 0) | levels.get(FIQ, 0) << 1
        return Answer(values[0] if values else 0, outputs)

    def _access(self, step: Step) -> int:
        if step.kind is Kind.LINE:
            self._machine.set_line(step.offset, step.value)
            return 0
        if step.frame == "GICC":
            return self._access_interface(step)
        address = qemu.GICD + step.offset
        if step.kind is Kind.READ:
            return self._qtest.read(address, step.size)
        self._qtest.write(address, step.value, step.size)
        if step.is_at("GICD", 0x300, 0x3FC):
            self._note_active(step)
        return 0

    def _access_interface(self, step: Step) -> int:
        offset = step.offset
        if step.kind is Kind.READ:
            if offset in (AIAR, AHPPIR):
                return read_alias(self._qtest, qemu.GICC, offset, self._group_of)
            if offset == APR0:
                return self._active_priorities()
            return self._qtest.read(qemu.GICC + offset, step.size)
        if offset in (EOIR, AEOIR):
            self._end(step.value)
        elif offset == APR0:
            self._set_active_priorities(step.value)
        else:
            self._qtest.write(qemu.GICC + offset, step.value, step.size)
            if offset == DIR and self._splits():
                self._deactivate_on_all(step.value & 0x3FF)
        return 0

    def _end(self, value: int) -> None:
        """An EOI, then what QEMU leaves out (entries `end-of-interrupt` and `active-spi`)."""
        intid = value & 0x3FF
        before = self._active_priorities()
        self._qtest.write(qemu.GICC + EOIR, value)
        if intid >= 1020:
            return
        after = before & before - 1 if before else 0
        if self._active_priorities() != after:
            self._set_active_priorities(after)
        if not self._splits():
            self._deactivate_on_all(intid, always=not before)

    def _splits(self) -> bool:
        return bool(self._qtest.read(qemu.GICC) & EOI_MODE)

    def _deactivate_on_all(self, intid: int, *, always: bool = False) -> None:
        if intid < NR_INTIDS and (always or intid in self._activated):
            self._activated.discard(intid)
            self._qtest.write(qemu.GICD + 0x380 + intid // 32 * 4, 1 << intid % 32)

    def _note_active(self, step: Step) -> None:
        """Remember the SPIs that ISACTIVER has set."""
        first = (step.offset & 0x7F) * 8
        if first < 32:
            return
        intids = {first + bit for bit in range(32) if step.value >> bit & 1}
        if step.offset < 0x380:
            self._activated |= intids
        else:
            self._activated -= intids

    def _group_of(self, intid: int) -> int:
        return self._qtest.read(qemu.GICD + 0x080 + intid // 32 * 4) >> intid % 32 & 1

    def _active_priorities(self) -> int:
        """QEMU's 128 active priorities of both groups as 32, bit n for n << 3 (entry `active-priorities`)."""
        registers = [qemu.GICC + first + 4 * n for first in (APR0, NSAPR0) for n in range(4)]
        words = self._qtest.run([f"readl {register:#x}" for register in registers])
        both = sum((words[n] | words[n + 4]) << 32 * n for n in range(4))
        return sum(1 << bit for bit in range(32) if both >> 4 * bit & 0xF)

    def _set_active_priorities(self, value: int) -> None:
        spread = sum(1 << 4 * bit for bit in range(32) if value >> bit & 1)
        for n in range(4):
            self._qtest.write(qemu.GICC + NSAPR0 + 4 * n, 0)
            self._qtest.write(qemu.GICC + APR0 + 4 * n, spread >> 32 * n & 0xFFFFFFFF)
