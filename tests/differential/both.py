"""One step at a time to both systems as they are: no entry of the table is applied, nothing is converted or mended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from tests.differential import qemu
from tests.differential.distributor import OurDomain
from tests.differential.four_cpus import CPUS
from tests.differential.mailbox import Access, Mailbox
from tests.differential.served import ServedDomain
from tests.differential.silicon import NR_LRS, Silicon
from tests.differential.steps import Answer, Kind, Step, line, read, write

if TYPE_CHECKING:
    from tests.differential.compare import Ours
    from tests.differential.qemu import Qemu
    from tests.differential.served import Served


class Pair(NamedTuple):
    vgicd: int
    qemu: int


class Both(ABC):
    """vgicd and a QEMU machine fresh from reset. Values are those of vgicd and of QEMU."""

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self._outputs = Pair(0, 0)

    def read(self, frame: str, offset: int, size: int = 4, cpu: int = 0) -> Pair:
        return self._perform(read(frame, offset, size, cpu))

    def write(self, frame: str, offset: int, value: int, size: int = 4, cpu: int = 0) -> None:
        self._perform(write(frame, offset, value, size, cpu))

    def write_each(self, frame: str, offset: int, values: Pair) -> None:
        """Write each system its own value, such as what it has acknowledged."""
        ours = self.ours.perform(write(frame, offset, values.vgicd))
        self._outputs = Pair(ours.outputs, self._ask(write(frame, offset, values.qemu)).outputs)

    def line(self, intid: int, level: int, cpu: int = 0) -> None:
        self._perform(line(intid, level, cpu))

    @property
    def outputs(self) -> Pair:
        """Levels after the last step: bit 2c is the IRQ and bit 2c+1 the FIQ of CPU c."""
        return self._outputs

    def _perform(self, step: Step) -> Pair:
        ours, theirs = self.ours.perform(step), self._ask(step)
        self._outputs = Pair(ours.outputs, theirs.outputs)
        return Pair(ours.value, theirs.value)

    @abstractmethod
    def _ask(self, step: Step) -> Answer:
        """QEMU's answer."""


class OverQtest(Both):
    """A machine with one CPU; `inputs` are the CPU's that are its IRQ and FIQ, `bases` the frames' addresses."""

    def __init__(self, ours: Ours, machine: Qemu, bases: dict[str, int], inputs: tuple[int, int]) -> None:
        super().__init__(ours)
        self._machine = machine
        self._bases = bases
        self._inputs = inputs

    def _ask(self, step: Step) -> Answer:
        qtest = self._machine.qtest
        value = 0
        if step.kind is Kind.LINE:
            self._machine.set_line(step.offset, step.value)
        elif step.kind is Kind.READ:
            value = qtest.read(self._bases[step.frame] + step.offset, step.size)
        else:
            qtest.write(self._bases[step.frame] + step.offset, step.value, step.size)
        irq, fiq = (qtest.levels.get(index, 0) for index in self._inputs)
        return Answer(value, irq | fiq << 1)


class OverMailbox(Both):
    """A machine with several CPUs."""

    def __init__(self, ours: Ours, machine: Qemu) -> None:
        super().__init__(ours)
        self._machine = machine
        self._mailbox = Mailbox(machine, CPUS)

    def _ask(self, step: Step) -> Answer:
        if step.kind is Kind.LINE:
            self._machine.set_line(step.offset, step.value, step.cpu)
            access = Access(step.cpu)
        else:
            address = {"GICD": qemu.GICD, "GICC": qemu.GICC}[step.frame] + step.offset
            access = Access(step.cpu, step.size, address, step.value if step.kind is Kind.WRITE else None)
        value, outputs = self._mailbox.run([access])[0]
        return Answer(value if step.kind is Kind.READ else 0, outputs)


def silicon(machine: Qemu) -> Both:
    """GICH and GICV of both, enabled: HCR.En, both groups, PMR 0xF8."""
    machine.reset()
    for offset in (0x00, 0xF0, *range(0x100, 0x100 + 4 * (NR_LRS + 1), 4)):
        machine.qtest.write(qemu.GICH + offset, 0)  # QEMU's reset keeps GICH_APR
    both = OverQtest(Silicon(), machine, {"GICH": qemu.GICH, "GICC": qemu.GICV}, (2, 3))
    both.write("GICH", 0x00, 1)
    both.write("GICH", 0x08, 0xF8000003)
    return both


def one_cpu(machine: Qemu, served: Served | None = None) -> Both:
    """GICD and GICC of both, enabled: the distributor, both groups, AckCtl, PMR 0xF8.

    vgicd is in this process, or `served`.
    """
    machine.reset()
    for offset in range(0xD0, 0xF0, 4):
        machine.qtest.write(qemu.GICC + offset, 0)  # QEMU's reset keeps the active priorities
    machine.qtest.write(qemu.GICD, 0)  # lowers the lines
    ours = OurDomain(1) if served is None else ServedDomain(served)
    both = OverQtest(ours, machine, {"GICD": qemu.GICD, "GICC": qemu.GICC}, (0, 1))
    _enable(both, 1)
    return both


def four_cpus(machine: Qemu) -> Both:
    """As `one_cpu`, on each of four CPUs of a machine that has just started."""
    both = OverMailbox(OurDomain(CPUS), machine)
    _enable(both, CPUS)
    return both


def _enable(both: Both, cpus: int) -> None:
    both.write("GICD", 0x000, 3)
    for cpu in range(cpus):
        both.write("GICC", 0x04, 0xFF, cpu=cpu)
        both.write("GICC", 0x00, 7, cpu=cpu)
