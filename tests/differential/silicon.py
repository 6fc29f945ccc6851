"""Case b: the bare list-register hardware of vgicd against QEMU's GICH and GICV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential import qemu
from tests.differential.aliases import AEOIR, AHPPIR, AIAR, EOIR, read_alias
from tests.differential.state import IDLE, Interface, Pending, State
from tests.differential.steps import Answer, Kind, Step
from vgicd.hw import list_register as lr
from vgicd.hw.gich import GICH, Gich
from vgicd.hw.gicv import GICC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.differential.divergence import Situation
    from tests.differential.qemu import Qemu

NR_LRS: Final = 4
PIRQS: Final = range(16, 32)  # physical interrupts, kept active in QEMU's distributor (SPIs: entry `active-spi`)
ISACTIVER0: Final = qemu.GICD + 0x300
ALL_ACTIVE: Final = 0xFFFF0000
ISPENDR0: Final = qemu.GICD + 0x200
MAINTENANCE: Final = 25  # the PPI to which machine `virt` ties the maintenance interrupt
VIRQ: Final = 2  # inputs of a QEMU CPU
VFIQ: Final = 3
BASES: Final = {"GICH": qemu.GICH, "GICC": qemu.GICV}


class Silicon:
    """vgicd's GICH and GICV with nothing around them."""

    def __init__(self) -> None:
        self._deactivated = 0
        self.gich = Gich(NR_LRS, deactivate=self._deactivate)

    def perform(self, step: Step) -> Answer:
        self._deactivated = 0
        value = self._access(step)
        maintenance = int(self.gich.maintenance())
        return Answer(value, self.gich.outputs(), maintenance, self._deactivated)

    def capture(self) -> State:
        gich = self.gich
        pending = sorted(
            Pending((word & lr.PRIORITY) >> lr.PRIORITY_SHIFT << 3, int(bool(word & lr.GROUP1)), word & 0x3FF)
            for word in gich.lrs
            if word & lr.STATE == lr.PENDING and gich.hcr & 1
        )
        active = frozenset(word & lr.VIRTUAL_ID for word in gich.lrs if word & lr.ACTIVE)
        running = min(gich.running_priority(), IDLE)
        return State((Interface(gich.ctlr, gich.pmr, gich.bpr, gich.abpr, running, tuple(pending), active),))

    def _access(self, step: Step) -> int:
        frame = GICH if step.frame == "GICH" else GICC
        row = frame.gate(step.offset, step.size)
        if row is None:
            return 0
        place = (step.offset,) if frame is GICH else ()
        if step.kind is Kind.READ:
            return int(row.read(self.gich, *place))
        row.write(self.gich, *place, step.value)
        return 0

    def _deactivate(self, pirq: int) -> None:
        self._deactivated |= 1 << pirq


class QemuSilicon:
    """QEMU's GICH and GICV; HW-mapped interrupts deactivate those of its own distributor."""

    batch = 1

    def __init__(self, machine: Qemu) -> None:
        self._qtest = machine.qtest
        self._qtest.intercept_inputs(machine.cpu)
        self.restart()

    def restart(self) -> None:
        """Begin anew. QEMU's reset keeps GICH_APR, and its lines until the next access."""
        self._qtest.write(ISACTIVER0, ALL_ACTIVE)
        for offset in (0x00, 0xF0, *range(0x100, 0x100 + 4 * NR_LRS, 4)):
            self._qtest.write(qemu.GICH + offset, 0)

    def plan(self, situation: Situation) -> Sequence[Step]:
        return (situation.step,)

    def perform(self, plans: Sequence[Sequence[Step]]) -> list[Answer]:
        return [self._perform(step) for plan in plans for step in plan]

    def _perform(self, step: Step) -> Answer:
        value = self._access(step)
        levels = self._qtest.levels
        outputs = levels.get(VIRQ, 0) | levels.get(VFIQ, 0) << 1
        pending, active = self._qtest.run((f"readl {ISPENDR0:#x}", f"readl {ISACTIVER0:#x}"))
        deactivated = ~active & ALL_ACTIVE
        if deactivated:
            self._qtest.write(ISACTIVER0, ALL_ACTIVE)
        return Answer(value, outputs, pending >> MAINTENANCE & 1, deactivated)

    def _access(self, step: Step) -> int:
        base = BASES[step.frame]
        offset = step.offset
        if step.frame == "GICC" and offset in (AIAR, AHPPIR) and step.kind is Kind.READ:
            return read_alias(self._qtest, base, offset, self._group_of)
        if step.frame == "GICC" and offset == AEOIR:
            offset = EOIR
        if step.kind is Kind.READ:
            return self._qtest.read(base + offset, step.size)
        self._qtest.write(base + offset, step.value, step.size)
        return 0

    def _group_of(self, intid: int) -> int:
        words = self._qtest.run([f"readl {qemu.GICH + 0x100 + 4 * n:#x}" for n in range(NR_LRS)])
        return next(int(bool(word & lr.GROUP1)) for word in words if word & lr.STATE and word & lr.VIRTUAL_ID == intid)
