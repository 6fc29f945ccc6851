"""What the traces' world is made of: interrupts, the physical controller and each vCPU's virtual interface.

Source: sections 3 and 7 of the description named in trace_model.py, whose other half this is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SGIS: Final = 16
PRIVATE: Final = 32
SPURIOUS: Final = 1023
RESERVED: Final = 1020
"""From here on an INTID names no interrupt."""
WORD: Final = 0xFFFF_FFFF
IDLE: Final = 32
"""The running priority when nothing runs."""

EN, UIE = 1 << 0, 1 << 1
EOI_COUNT: Final = 1 << 27
LR_INTID: Final = 0x3FF
LR_CPUID: Final = 10
LR_CPUID_MASK: Final = 7 << LR_CPUID
LR_EOI: Final = 1 << 19
LR_PRIORITY: Final = 23
LR_PENDING: Final = 1 << 28
LR_ACTIVE: Final = 1 << 29
LR_STATE: Final = LR_PENDING | LR_ACTIVE
LR_HW: Final = 1 << 31


@dataclass(eq=False, slots=True)
class Interrupt:
    """Section 3: everything that is known of one interrupt. `queue` is the vCPU on whose queue it is."""

    intid: int
    enabled: bool
    level: bool
    mask: int
    target: int | None
    latch: bool = False
    line: bool = False
    active: bool = False
    priority: int = 0
    sources: int = 0
    pirq: int | None = None
    queue: int | None = None

    @classmethod
    def at_reset(cls, intid: int, owner: int | None) -> Interrupt:
        """The private interrupt of vCPU `owner`, or an SPI."""
        mask = 0 if owner is None else 1 << owner
        return cls(intid, enabled=intid < SGIS, level=SGIS <= intid < PRIVATE, mask=mask, target=owner)

    @property
    def pending(self) -> bool:
        return self.latch or (self.level and self.line)

    @property
    def rank(self) -> tuple[int, int]:
        """Section 6: what a queue that is too long is sorted by."""
        if self.active:
            return 0, 0
        return (1, self.priority) if self.enabled and self.pending else (2, 0)

    def row(self) -> list[int]:
        """Section 8."""
        return [
            self.intid,
            *map(int, (self.enabled, self.latch, self.line, self.active, self.level)),
            *(self.priority, self.mask, self.sources),
            *(-1 if number is None else number for number in (self.pirq, self.queue)),
        ]


@dataclass(slots=True)
class Physical:
    """Section 7: a tied interrupt at the physical controller."""

    line: bool = False
    latch: bool = False
    active: bool = False
    enabled: bool = False


@dataclass(slots=True)
class Vcpu:
    """A vCPU's private interrupts, its queue and its virtual interface (section 7, GICH and GICV)."""

    private: list[Interrupt]
    lrs: list[int]
    pcpu: int
    queue: list[Interrupt] = field(default_factory=list)
    hcr: int = EN
    apr: int = 0
    pmr: int = 31
    used: int = 0
    inside: bool = False

    @property
    def eisr(self) -> int:
        return self._where(lambda word: not word & (LR_STATE | LR_HW) and bool(word & LR_EOI))

    @property
    def elrsr(self) -> int:
        return self._where(lambda word: not word & LR_STATE and (bool(word & LR_HW) or not word & LR_EOI))

    @property
    def misr(self) -> int:
        few = self._where(lambda word: bool(word & LR_STATE)).bit_count() <= 1
        return (self.eisr != 0) | (bool(self.hcr & UIE) and few) << 1

    def _where(self, test: Callable[[int], bool]) -> int:
        return sum(1 << index for index, word in enumerate(self.lrs) if test(word))

    def acknowledge(self) -> int:
        waiting = [(word >> LR_PRIORITY & 31, n) for n, word in enumerate(self.lrs) if word & LR_STATE == LR_PENDING]
        running = lowest(self.apr) if self.apr else IDLE
        if not self.hcr & EN or not waiting or min(waiting)[0] >= min(self.pmr, running):
            return SPURIOUS
        priority, index = min(waiting)
        word = self.lrs[index]
        self.lrs[index] = word ^ LR_STATE
        self.apr |= 1 << priority
        intid = word & LR_INTID
        return intid | (word & LR_CPUID_MASK if intid < SGIS and not word & LR_HW else 0)

    def end(self, intid: int) -> int | None:
        """EOIR in EOImode 0; the pINTID that is physically deactivated, if any."""
        if intid >= RESERVED or not self.apr:
            return None
        self.apr &= self.apr - 1
        for index, word in enumerate(self.lrs):
            if word & LR_INTID == intid and word & LR_ACTIVE:
                self.lrs[index] = word & ~LR_ACTIVE
                return word >> LR_CPUID & 0x3FF if word & LR_HW else None
        self.hcr = (self.hcr + EOI_COUNT) & WORD
        return None


def lowest(mask: int) -> int:
    """The index of the lowest bit set in `mask`, which is not 0."""
    return (mask & -mask).bit_length() - 1
