"""Steps for cases a and c: devices that drive lines, and a guest on each CPU that takes their interrupts.

Interrupts that are enabled at once have distinct priorities (ties have a test of their own): there are 32, so a CPU
has at most 30 interrupts enabled, its 16 SGIs among them.  Interrupts are ended in reverse order unless the run is
`disorderly`.  What the generator believes of the state (enabled, line levels, running interrupts) follows from its own
writes and the answers, so the same seed gives the same steps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.differential.divergence import acknowledges, ends
from tests.differential.state import EOI_MODE
from tests.differential.steps import Answer, Kind, Step, line, read, write
from vgicd.hw.gicv import GICC
from vgicd.vgic.distributor import GICD

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

PPIS: Final = (16, 20, 23, 27, 30, 31)
SPIS: Final = (32, 33, 40, 47, 63, 64, 71, 95, 96, 127, 128, 200, 255, 256, 287)
NR_INTIDS: Final = 288
MAX_PPIS: Final = 3  # enabled at once on a CPU
MAX_SPIS: Final = 10
PRIVATE_LEVELS: Final = 20  # priorities of SGIs and PPIs; SPIs have the other 12
DEEP: Final = 4
BOTH_GROUPS: Final = 3
READABLE: Final = tuple(
    (frame.name, offset)
    for frame in (GICD, GICC)
    for row in frame.rows
    for offset in range(row.offset, row.offset + row.length, 4)
    if row.access != "WO" and not row.read_effect and (not row.bits or row.first(offset) < NR_INTIDS)
)
RESERVED: Final = (
    ("GICD", 0x00C, 0x080),
    ("GICD", 0x124, 0x180),  # beyond the last SPI
    ("GICD", 0xD00, 0xF00),
    ("GICC", 0x02C, 0x0D0),
    ("GICC", 0x0F0, 0x0FC),
    ("GICC", 0x100, 0x1000),
)


@dataclass
class Cpu:
    """What one CPU's guest knows."""

    outputs: int = 0
    ctlr: int = 0
    running: list[int] = field(default_factory=list)  # values of IAR whose priority has not been dropped
    undone: list[int] = field(default_factory=list)  # dropped with EOImode 1, to be deactivated


class DistributorGenerator:
    """`rng` decides; `cpus` guests take turns."""

    def __init__(self, rng: Random, *, cpus: int = 1, disorderly: bool = False) -> None:
        self._rng = rng
        self._disorderly = disorderly
        self._cpus = [Cpu() for _ in range(cpus)]
        levels = rng.sample(range(32), 32)
        self._levels = {True: levels[:PRIVATE_LEVELS], False: levels[PRIVATE_LEVELS:]}
        self._priority: dict[tuple[int, int], int] = {}  # by (CPU or 0, INTID), of enabled interrupts, as level
        self._high: set[tuple[int, int]] = set()  # lines
        self._edge: dict[int, bool] = defaultdict(lambda: True)  # SPIs
        self._queue: list[Step] = []
        for cpu in range(cpus):
            self._queue += self._bring_up(cpu)

    def next(self) -> Step:
        if self._queue:
            return self._queue.pop(0)
        rng = self._rng
        cpu = rng.randrange(len(self._cpus))
        state = self._cpus[cpu]
        if state.outputs and rng.random() < 0.4:
            return self._acknowledge(cpu)
        if state.running and rng.random() < (0.4 if len(state.running) >= DEEP else 0.1):
            return self._end(cpu)
        actions: tuple[tuple[Callable[[int], Step], int], ...] = (
            (self._drive, 20), (self._pend, 9), (self._send, 11), (self._acknowledge, 4), (self._end, 8),
            (self._deactivate, 8), (self._enable, 5), (self._prioritise, 4), (self._activate, 2), (self._group, 2),
            (self._configure, 2), (self._target, 2), (self._control, 3), (self._mask, 3), (self._look, 20),
        )  # fmt: skip
        chosen: Callable[[int], Step] = rng.choices(
            [action for action, _ in actions], [weight for _, weight in actions]
        )[0]
        return chosen(cpu)

    def observe(self, step: Step, answer: Answer) -> None:
        for number, cpu in enumerate(self._cpus):
            cpu.outputs = answer.outputs >> 2 * number & 3
        cpu = self._cpus[step.cpu]
        if step.kind is Kind.READ:
            if acknowledges(step) and answer.value & 0x3FF < 1020:
                cpu.running.append(answer.value)
        elif step.is_at("GICD", 0xC08, 0xCFC):
            first = (step.offset - 0xC00) * 4
            self._edge.update({first + n: bool(step.value >> 2 * n & 2) for n in range(16)})
        elif step.is_at("GICC", 0x00):
            cpu.ctlr = step.value
        elif ends(step) and cpu.running and step.value & 0x3FF < 1020:
            cpu.running.remove(step.value) if step.value in cpu.running else cpu.running.pop()
            if cpu.ctlr & EOI_MODE:
                cpu.undone.append(step.value)

    def excluded(self, step: Step) -> None:
        """Leave the states in which the systems do not acknowledge alike: a group disabled, a binary point raised."""
        if acknowledges(step):
            self._queue += [
                write("GICC", 0x00, self._cpus[step.cpu].ctlr | BOTH_GROUPS, cpu=step.cpu),
                write("GICC", 0x08, 2, cpu=step.cpu),
                write("GICC", 0x1C, 3, cpu=step.cpu),
            ]

    # --- start --------------------------------------------------------------------------------------------------

    def _bring_up(self, cpu: int) -> list[Step]:
        rng = self._rng
        free = rng.sample(self._levels[True], 16)
        steps = [write("GICD", 0x400 + n, level << 3, 1, cpu) for n, level in enumerate(free)]
        self._priority.update({(cpu, n): level for n, level in enumerate(free)})
        if cpu == 0:
            words = {intid // 16 for intid in SPIS}
            for word in sorted(words):
                value = rng.getrandbits(32)
                steps.append(write("GICD", 0xC00 + 4 * word, value))
            if len(self._cpus) > 1:
                steps += [write("GICD", 0x800 + n, 1 << rng.randrange(len(self._cpus)), 1) for n in SPIS]
            steps.append(write("GICD", 0x000, 1))
        for intid in (*rng.sample(PPIS, 2), *(rng.sample(SPIS, 7) if cpu == 0 else ())):
            steps += self._switch_on(cpu, intid)
        return [*steps, write("GICC", 0x04, 0xFF, cpu=cpu), write("GICC", 0x00, 7, cpu=cpu)]

    # --- helpers ------------------------------------------------------------------------------------------------

    def _key(self, cpu: int, intid: int) -> tuple[int, int]:
        return (cpu if intid < 32 else 0, intid)

    def _free_levels(self, cpu: int, intid: int) -> list[int]:
        """Priorities that no enabled interrupt of the same kind has."""
        private = intid < 32
        used = {
            level
            for (owner, other), level in self._priority.items()
            if (other < 32) == private and (not private or owner == cpu)
        }
        return [level for level in self._levels[private] if level not in used]

    def _switch_on(self, cpu: int, intid: int) -> list[Step]:
        level = self._rng.choice(self._free_levels(cpu, intid))
        self._priority[self._key(cpu, intid)] = level
        return [
            write("GICD", 0x400 + intid, level << 3 | self._rng.getrandbits(3), 1, cpu),
            write("GICD", 0x100 + intid // 32 * 4, 1 << intid % 32, 4, cpu),
        ]

    def _some(self, cpu: int) -> int:
        """An interrupt with a line, rather an enabled one."""
        rng = self._rng
        enabled = [intid for owner, intid in self._priority if intid >= 16 and (intid >= 32 or owner == cpu)]
        return rng.choice(enabled) if enabled and rng.random() < 0.8 else rng.choice(PPIS + SPIS)

    # --- actions ------------------------------------------------------------------------------------------------

    def _drive(self, cpu: int) -> Step:
        intid = self._some(cpu)
        key = self._key(cpu, intid)
        if key in self._high:
            self._high.discard(key)
            return line(intid, 0, key[0])
        self._high.add(key)
        if self._edge[intid] and intid >= 32 and self._rng.random() < 0.7:
            self._high.discard(key)
            self._queue.append(line(intid, 0, key[0]))
        return line(intid, 1, key[0])

    def _pend(self, cpu: int) -> Step:
        rng = self._rng
        base = 0x200 if rng.random() < 0.6 else 0x280
        chosen = {self._some(cpu) for _ in range(rng.choice((1, 1, 2, 4)))}
        word = rng.choice([intid // 32 for intid in chosen])
        value = sum(1 << intid % 32 for intid in chosen if intid // 32 == word)
        if word == 0:
            value |= rng.getrandbits(16)  # SGI bits are read-only
        return write("GICD", base + 4 * word, value, cpu=cpu)

    def _send(self, cpu: int) -> Step:
        rng = self._rng
        roll = rng.random()
        if roll < 0.6:
            filter_ = rng.choices((0, 1, 2, 3), (10, 5 if len(self._cpus) > 1 else 1, 10, 1))[0]
            junk = rng.getrandbits(32) & 0xFC007FF0 if rng.random() < 0.3 else 0
            targets = rng.getrandbits(8) | (rng.random() < 0.7) << cpu
            return write("GICD", 0xF00, junk | filter_ << 24 | targets << 16 | rng.randrange(16), cpu=cpu)
        base = 0xF20 if roll < 0.85 else 0xF10
        place = rng.randrange(16)
        if rng.random() < 0.6:
            return write("GICD", base + place, rng.choice((1 << rng.randrange(8), rng.getrandbits(8))), 1, cpu)
        return write("GICD", base + (place & ~3), rng.getrandbits(32) & rng.getrandbits(32), 4, cpu)

    def _acknowledge(self, cpu: int) -> Step:
        return read("GICC", 0x20 if self._aliased() else 0x0C, cpu=cpu)

    def _aliased(self) -> bool:
        return len(self._cpus) == 1 and self._rng.random() < 0.15

    def _end(self, cpu: int) -> Step:
        rng = self._rng
        running = self._cpus[cpu].running
        offset = 0x24 if self._aliased() else 0x10
        if len(self._cpus) == 1 and rng.random() < 0.06:  # nothing that was acknowledged last, if at all
            others = (rng.randrange(1020, 1024), rng.randrange(NR_INTIDS, 1020), rng.choice(PPIS + SPIS))
            return write("GICC", offset, rng.choice(others), cpu=cpu)
        if not running:
            return self._drive(cpu)
        place = rng.randrange(len(running)) if self._disorderly else -1
        return write("GICC", offset, running[place], cpu=cpu)

    def _deactivate(self, cpu: int) -> Step:
        rng = self._rng
        undone = self._cpus[cpu].undone
        if undone and rng.random() < 0.9:
            return write("GICC", 0x1000, undone.pop(rng.randrange(len(undone))), cpu=cpu)
        if rng.random() < 0.2:
            return write("GICC", 0x1000, rng.choice((1020, 1023, *PPIS, *SPIS)), cpu=cpu)
        return self._drive(cpu)

    def _enable(self, cpu: int) -> Step:
        """Enable, or disable, one interrupt or several."""
        rng = self._rng
        enabled = [intid for owner, intid in self._priority if intid >= 16 and (intid >= 32 or owner == cpu)]
        intid = rng.choice(PPIS if rng.random() < 0.3 else SPIS)
        same = [other for other in enabled if (other < 32) == (intid < 32)]
        if intid not in enabled and len(same) < (MAX_PPIS if intid < 32 else MAX_SPIS):
            first, second = self._switch_on(cpu, intid)
            self._queue.append(second)
            return first
        if rng.random() < 0.05:
            return write("GICD", 0x180, 1 << rng.randrange(16), cpu=cpu)
        chosen = {rng.choice(enabled) for _ in range(rng.choice((1, 1, 3)))} if enabled else set()
        if not chosen:
            return self._look(cpu)
        word = rng.choice([intid // 32 for intid in chosen])
        if rng.random() < 0.3:  # enabled already: no change
            return write("GICD", 0x100 + 4 * word, sum(1 << n % 32 for n in chosen if n // 32 == word), cpu=cpu)
        value = 0
        for number in chosen:
            if number // 32 == word:
                value |= 1 << number % 32
                del self._priority[self._key(cpu, number)]
        return write("GICD", 0x180 + 4 * word, value, cpu=cpu)

    def _prioritise(self, cpu: int) -> Step:
        """Give an interrupt a priority that no other enabled one has; any, while it is disabled."""
        rng = self._rng
        intid = rng.choice((*range(16), *PPIS, *SPIS))
        key = self._key(cpu, intid)
        if key not in self._priority:
            return write("GICD", 0x400 + intid, rng.getrandbits(8), 1, cpu)
        level = rng.choice(self._free_levels(cpu, intid))
        self._priority[key] = level
        if rng.random() < 0.7:
            return write("GICD", 0x400 + intid, level << 3 | rng.getrandbits(3), 1, cpu)
        word = intid & ~3
        others = (self._priority.get(self._key(cpu, n), rng.randrange(32)) for n in range(word, word + 4))
        value = int.from_bytes([other << 3 | rng.getrandbits(3) for other in others], "little")
        return write("GICD", 0x400 + word, value, 4, cpu)

    def _activate(self, cpu: int) -> Step:
        rng = self._rng
        intid = rng.choice((rng.randrange(16), *PPIS, *SPIS))
        base = rng.choice((0x300, 0x380, 0x380))
        return write("GICD", base + intid // 32 * 4, 1 << intid % 32, cpu=cpu)

    def _group(self, cpu: int) -> Step:
        if len(self._cpus) > 1 and self._disorderly:  # entry `active-priorities`
            return self._look(cpu)
        word = self._rng.choice(sorted({intid // 32 for intid in (0, *SPIS)}))
        value = self._rng.getrandbits(32) & self._rng.getrandbits(32)
        return write("GICD", 0x080 + 4 * word, value, cpu=cpu)

    def _configure(self, cpu: int) -> Step:
        """Change the trigger of one SPI, or try it with PPIs and SGIs."""
        rng = self._rng
        if rng.random() < 0.1:
            return write("GICD", rng.choice((0xC00, 0xC04)), rng.getrandbits(32), cpu=cpu)
        intid = rng.choice(SPIS)
        first = intid & ~15
        edges = [self._edge[first + n] != (first + n == intid) for n in range(16)]
        value = sum((2 * edge | rng.getrandbits(1)) << 2 * n for n, edge in enumerate(edges))
        return write("GICD", 0xC00 + first // 4, value, cpu=cpu)

    def _target(self, cpu: int) -> Step:
        rng = self._rng
        intid = rng.choice(SPIS)
        if len(self._cpus) > 1:
            return write("GICD", 0x800 + intid, rng.choice((1, 2, 4, 8)), 1, cpu)
        size = rng.choice((1, 4))
        return write("GICD", 0x800 + rng.choice((0, intid)) // size * size, rng.getrandbits(8 * size), size, cpu)

    def _control(self, cpu: int) -> Step:
        rng = self._rng
        if rng.random() < 0.2:
            self._queue.append(write("GICD", 0x000, 1, cpu=rng.randrange(len(self._cpus))))
            return write("GICD", 0x000, rng.getrandbits(32), cpu=cpu)
        groups = rng.choices((3, 1, 2, 0), (80, 8, 6, 6))[0]
        mode = EOI_MODE if rng.random() < 0.4 else 0
        flags = (rng.random() < 0.7) << 2 | (rng.random() < 0.3) << 3 | (rng.random() < 0.3) << 4
        reserved = rng.getrandbits(22) << 10 if rng.random() < 0.1 else 0
        return write("GICC", 0x00, groups | flags | mode | reserved, cpu=cpu)

    def _mask(self, cpu: int) -> Step:
        rng = self._rng
        match rng.randrange(8):
            case 0:
                return write("GICC", 0x04, rng.choice((rng.getrandbits(8), 0xC0, 0x80)), cpu=cpu)
            case 1:
                return write("GICC", 0x08, rng.choice((0, 2, rng.getrandbits(32))), cpu=cpu)
            case 2:
                return write("GICC", 0x1C, rng.choice((0, 3, rng.getrandbits(32))), cpu=cpu)
            case 3 if len(self._cpus) == 1:
                return write("GICC", 0xD0, rng.choice((0, 0, 1 << rng.randrange(32), rng.getrandbits(32))), cpu=cpu)
            case 4:
                return write("GICC", 0x08, 2, cpu=cpu)
            case _:
                return write("GICC", 0x04, 0xFF, cpu=cpu)

    def _look(self, cpu: int) -> Step:
        rng = self._rng
        roll = rng.random()
        if roll < 0.45:
            offset = rng.choice((0x14, 0x18, 0x18, 0x28, 0xD0) if len(self._cpus) == 1 else (0x14, 0x18))
            return read("GICC", offset, cpu=cpu)
        if roll < 0.7:
            intid = rng.choice((0, *PPIS, *SPIS))
            return read("GICD", rng.choice((0x100, 0x200, 0x280, 0x300, 0x380)) + intid // 32 * 4, cpu=cpu)
        if roll < 0.92:
            frame, offset = rng.choice(READABLE)
            if frame == "GICC" and len(self._cpus) > 1 and offset in (0x20, 0x28, 0xD0):
                offset = 0x14
            return read(frame, offset, cpu=cpu)
        if roll < 0.95:
            return read("GICD", rng.choice((0x400, 0x800)) + rng.choice(PPIS + SPIS), 1, cpu)
        if roll < 0.98:  # reserved words
            frame, first, end = rng.choice(RESERVED)
            offset = rng.randrange(first, end, 4)
            return rng.choice((read(frame, offset, cpu=cpu), write(frame, offset, rng.getrandbits(32), cpu=cpu)))
        frame, offset = rng.choice(READABLE)
        size = rng.choice((1, 2))
        offset += rng.randrange(0, 4, size)
        return rng.choice((read(frame, offset, size, cpu), write(frame, offset, rng.getrandbits(8 * size), size, cpu)))
