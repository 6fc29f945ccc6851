"""Case b's steps: a hypervisor that loads list registers, and its guest that takes what they hold.

Whatever is pending or active at once has distinct VirtualIDs (a rule of the architecture) and distinct priorities
(ties have a test of their own).  The guest ends interrupts in reverse order unless the run is `disorderly`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.differential.divergence import acknowledges, ends
from tests.differential.silicon import NR_LRS, PIRQS
from tests.differential.state import EOI_MODE
from tests.differential.steps import Answer, Kind, Step, read, write
from vgicd.hw import list_register as lr
from vgicd.hw.gich import EN, GICH, HCR
from vgicd.hw.gicv import GICC

if TYPE_CHECKING:
    from random import Random

INTIDS: Final = (*range(0, 16, 3), *range(16, 32, 5), *range(32, 1020, 97), 1019)
BOTH_GROUPS: Final = 0x3
READABLE: Final = tuple(
    (frame.name, offset)
    for frame in (GICH, GICC)
    for row in frame.rows
    for offset in range(row.offset, row.offset + row.length, 4)
    if row.access != "WO" and not row.read_effect
)
DEEP: Final = 3


class SiliconGenerator:
    """`rng` decides; the same seed and the same answers give the same steps."""

    def __init__(self, rng: Random, *, disorderly: bool = False) -> None:
        self._rng = rng
        self._disorderly = disorderly
        self._lrs = [0] * NR_LRS
        self._ctlr = 0
        self._outputs = 0
        self._running: list[int] = []  # values of IAR whose priority has not been dropped
        self._undone: list[int] = []  # dropped with EOImode 1, to be deactivated
        self._queue: list[Step] = [
            write("GICH", 0x00, EN),
            write("GICH", 0x08, 0x1F << 27 | BOTH_GROUPS),
            *(read("GICH", 0x100 + 4 * n) for n in range(NR_LRS)),
        ]

    def next(self) -> Step:
        if self._queue:
            return self._queue.pop(0)
        rng = self._rng
        if self._outputs and rng.random() < 0.4:
            return read("GICC", 0x20 if rng.random() < 0.15 else 0x0C)
        if self._running and rng.random() < (0.5 if len(self._running) >= DEEP else 0.08):
            return self._end()
        action = rng.choices(
            (self._load, self._end, self._deactivate, self._acknowledge, self._control, self._mask, self._look),
            (36, 10, 8, 4, 8, 6, 24),
        )[0]
        return action()

    def observe(self, step: Step, answer: Answer) -> None:
        self._outputs = answer.outputs
        if step.kind is Kind.READ:
            self._observe_read(step, answer.value)
        elif step.is_at("GICC", 0x00):
            self._ctlr = step.value
        elif step.is_at("GICH", 0x08):
            self._ctlr = step.value & 0x21F
        elif ends(step):
            self._ended(step.value)
        elif step.is_at("GICC", 0x1000):
            self._refresh(step.value)
        elif step.is_at("GICH", 0x100, 0x100 + 4 * NR_LRS - 4):
            self._lrs[(step.offset - 0x100) // 4] = lr.writable(step.value)

    def excluded(self, step: Step) -> None:
        """Leave the states in which the systems do not acknowledge alike: a group disabled, a binary point raised."""
        if acknowledges(step):
            self._queue += [
                write("GICC", 0x00, self._ctlr | BOTH_GROUPS, cpu=step.cpu),
                write("GICC", 0x08, 2, cpu=step.cpu),
                write("GICC", 0x1C, 3, cpu=step.cpu),
            ]

    def _observe_read(self, step: Step, value: int) -> None:
        if step.is_at("GICH", 0x100, 0x100 + 4 * NR_LRS - 4):
            self._lrs[(step.offset - 0x100) // 4] = value
        elif acknowledges(step) and value & 0x3FF < 1020:
            self._running.append(value)
            self._refresh(value)

    def _ended(self, value: int) -> None:
        if self._running:
            self._running.remove(value) if value in self._running else self._running.pop()
        if self._ctlr & EOI_MODE and value & 0x3FF < 1020:
            self._undone.append(value)
        self._refresh(value)

    def _refresh(self, value: int) -> None:
        """Look at the list register that the guest's access has changed."""
        for index, word in enumerate(self._lrs):
            if word & lr.VIRTUAL_ID == value & lr.VIRTUAL_ID:
                self._queue.append(read("GICH", 0x100 + 4 * index))

    def _load(self) -> Step:
        rng = self._rng
        index = rng.randrange(NR_LRS)
        free = [n for n, word in enumerate(self._lrs) if not word & lr.STATE]
        if free and rng.random() < 0.8:
            index = rng.choice(free)
        others = [word for n, word in enumerate(self._lrs) if n != index]
        valid = [word for word in others if word & lr.STATE]
        intid = rng.choice([n for n in INTIDS if n not in {word & lr.VIRTUAL_ID for word in valid}])
        priority = rng.choice([n for n in range(32) if n not in {_priority(word) for word in valid}])
        hardware = intid >= 32 and rng.random() < 0.25
        state = rng.choices((1, 2, 3, 0), (70, 14, 0 if hardware else 8, 8))[0]
        word = state << 28 | priority << lr.PRIORITY_SHIFT | intid
        if rng.random() < 0.3:
            word |= lr.GROUP1
        if hardware:
            pirqs = {word >> lr.SOURCE_SHIFT & 0x3FF for word in others if word & lr.HW}
            pirq = rng.choice([n for n in PIRQS if n not in pirqs])
            word |= lr.HW | pirq << lr.SOURCE_SHIFT
        else:
            word |= rng.choice((0, lr.EOI)) | (rng.randrange(8) << lr.SOURCE_SHIFT if intid < 16 else 0)
            if rng.random() < 0.1:
                word |= rng.getrandbits(6) << 13
        if rng.random() < 0.1:
            word |= rng.getrandbits(3) << 20
        return write("GICH", 0x100 + 4 * index, word)

    def _end(self) -> Step:
        rng = self._rng
        offset = 0x24 if rng.random() < 0.15 else 0x10
        if rng.random() < 0.06:  # nothing that was acknowledged last, if at all
            return write("GICC", offset, rng.choice((1020, 1021, 1022, 1023, rng.randrange(1020), rng.choice(INTIDS))))
        if not self._running:
            return self._acknowledge()
        place = rng.randrange(len(self._running)) if self._disorderly else -1
        return write("GICC", offset, self._running[place])

    def _deactivate(self) -> Step:
        rng = self._rng
        if self._undone and rng.random() < 0.9:
            return write("GICC", 0x1000, self._undone.pop(rng.randrange(len(self._undone))))
        if rng.random() < 0.3:
            return write("GICC", 0x1000, rng.choice((1020, 1023, *INTIDS)))
        return self._load()

    def _acknowledge(self) -> Step:
        return read("GICC", self._rng.choice((0x0C, 0x0C, 0x0C, 0x20)))

    def _control(self) -> Step:
        rng = self._rng
        match rng.randrange(4):
            case 0:
                enables = 0 if rng.random() < 0.4 else rng.getrandbits(7) << 1
                count = rng.choice((0, 0, 1, 30, 31)) << HCR["EOICount"].lsb
                return write("GICH", 0x00, (rng.random() < 0.9) * EN | enables | count)
            case 1:
                return write("GICC", 0x00, self._interface_control())
            case 2:
                points = rng.getrandbits(6) if rng.random() < 0.3 else 0o23
                return write("GICH", 0x08, rng.choice((31, 31, 20, 8)) << 27 | points << 18 | self._interface_control())
            case _:
                return write("GICH", 0x00, EN | rng.getrandbits(32) if rng.random() < 0.2 else EN | 0xE)

    def _interface_control(self) -> int:
        rng = self._rng
        groups = rng.choices((3, 1, 2, 0), (80, 10, 5, 5))[0]
        mode = rng.choice((0, 0, EOI_MODE))
        return groups | (rng.random() < 0.6) << 2 | (rng.random() < 0.3) << 3 | (rng.random() < 0.3) << 4 | mode

    def _mask(self) -> Step:
        rng = self._rng
        match rng.randrange(5):
            case 0:
                return write("GICC", 0x04, rng.choice((0xFF, 0xF8, rng.getrandbits(8))))
            case 1:
                return write("GICC", 0x08, rng.choice((0, 2, 2, rng.getrandbits(32))))
            case 2:
                return write("GICC", 0x1C, rng.choice((0, 3, 3, rng.getrandbits(32))))
            case 3:
                self._running.clear()
                frame, offset = rng.choice((("GICH", 0xF0), ("GICC", 0xD0)))
                return write(frame, offset, rng.choice((0, 0, 0, 1 << rng.randrange(16, 32), rng.getrandbits(32))))
            case _:
                return write("GICC", 0x04, 0xFF)

    def _look(self) -> Step:
        rng = self._rng
        roll = rng.random()
        if roll < 0.5:
            place = rng.choice((("GICH", 0x00), ("GICH", 0x10), ("GICH", 0x20), ("GICH", 0x30), ("GICH", 0xF0),
                                ("GICC", 0x14), ("GICC", 0x18), ("GICC", 0x28), ("GICH", 0x08)))  # fmt: skip
            return read(*place)
        if roll < 0.9:
            return read(*rng.choice(READABLE))
        if roll < 0.95:  # reserved words and list registers that do not exist
            frame = rng.choice(("GICH", "GICC"))
            offset = rng.randrange(0, 0x200, 4) if frame == "GICH" else rng.randrange(0x2C, 0x1000, 4)
            if frame == "GICH" and offset < 0x100:
                return read(frame, offset)
            return rng.choice((read(frame, offset), write(frame, offset, rng.getrandbits(32))))
        place = rng.choice(READABLE)
        size = rng.choice((1, 2))
        offset = place[1] + rng.randrange(0, 4, size)
        return rng.choice((read(place[0], offset, size), write(place[0], offset, rng.getrandbits(32), size)))


def _priority(word: int) -> int:
    return (word & lr.PRIORITY) >> lr.PRIORITY_SHIFT
