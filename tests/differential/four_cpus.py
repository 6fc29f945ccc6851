"""Case c: QEMU's distributor and CPU interfaces on several CPUs, through the mailbox guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential import qemu
from tests.differential.distributor import ALL_EDGE, BASES, DIR, EOIR, NR_INTIDS, replaced
from tests.differential.mailbox import Access, Mailbox, Sample
from tests.differential.state import EOI_MODE
from tests.differential.steps import Answer, Kind, Step, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.differential.divergence import Situation
    from tests.differential.qemu import Qemu

CPUS: Final = 4


class QemuFourCpus:
    """A machine with four CPUs. A script holds the steps between two changes of a line."""

    batch = 24

    def __init__(self, machine: Qemu) -> None:
        self._machine = machine
        self._mailbox = Mailbox(machine, CPUS)
        self._activated: set[int] = set()
        spis = range(32, NR_INTIDS, 16)
        self._mailbox.run([Access(0, 4, qemu.GICD + 0xC00 + intid // 4, ALL_EDGE) for intid in spis])

    def plan(self, situation: Situation) -> Sequence[Step]:
        step = situation.step
        steps = replaced(step)
        if step.kind is not Kind.WRITE:
            return steps
        if step.is_at("GICD", 0x820, 0xBFC):
            return [*steps, *self._move(situation)]
        if step.is_at("GICD", 0x304, 0x37C):
            first = (step.offset - 0x300) * 8
            self._activated |= {first + bit for bit in range(32) if step.value >> bit & 1}
        return [*steps, *self._deactivate(situation)]

    def perform(self, plans: Sequence[Sequence[Step]]) -> list[Answer]:
        answers: list[Answer] = []
        waiting: list[Sequence[Step]] = []
        for plan in plans:
            if len(plan) == 1 and plan[0].kind is Kind.LINE:
                answers += self._script(waiting)
                waiting = []
                self._machine.set_line(plan[0].offset, plan[0].value, plan[0].cpu)
                answers.append(Answer(0, self._mailbox.run([Access(0)])[0].outputs))
            else:
                waiting.append(plan)
        return answers + self._script(waiting)

    def _script(self, plans: Sequence[Sequence[Step]]) -> list[Answer]:
        accesses = [_accesses(plan) for plan in plans]
        samples = iter(self._mailbox.run([access for part in accesses for access in part]))
        answers = []
        for plan, part in zip(plans, accesses, strict=True):
            taken: list[Sample] = [next(samples) for _ in part]
            value = taken[0].value if plan and plan[0].kind is Kind.READ else 0
            answers.append(Answer(value, taken[-1].outputs))
        return answers

    def _move(self, situation: Situation) -> list[Step]:
        """Let pending and active states follow new targets (entries `pending-per-cpu`, `active-spi`)."""
        step, interface = situation.step, situation.interface
        first = step.offset - 0x800
        extra: list[Step] = []
        for intid in range(first, first + step.size):
            if intid in interface.latched:
                extra += [_bit(0x280, intid, step.cpu), _bit(0x200, intid, step.cpu)]
            if intid in interface.active:
                self._activated.add(intid)
                extra.append(_bit(0x300, intid, step.cpu))
        return extra

    def _deactivate(self, situation: Situation) -> list[Step]:
        """Complete the deactivation of an SPI (entry `active-spi`)."""
        step = situation.step
        splits = bool(situation.interface.ctlr & EOI_MODE) if step.frame == "GICC" else False
        intid = step.value & 0x3FF
        ended = step.is_at("GICC", EOIR) and not splits and intid in self._activated
        deactivated = step.is_at("GICC", DIR) and splits
        if not (ended or deactivated) or not 32 <= intid < NR_INTIDS:
            return []
        self._activated.discard(intid)
        return [_bit(0x380, intid, step.cpu)]


def _bit(base: int, intid: int, cpu: int) -> Step:
    return write("GICD", base + intid // 32 * 4, 1 << intid % 32, cpu=cpu)


def _accesses(plan: Sequence[Step]) -> list[Access]:
    """An empty plan still samples the outputs."""
    return [
        Access(step.cpu, step.size, BASES[step.frame] + step.offset, step.value if step.kind is Kind.WRITE else None)
        for step in plan
    ] or [Access(0)]
