"""QEMU's own GIC as what it is for a hypervisor: it tells which of QEMU's devices want an interrupt.

The guest never sees it.  Each shared line that it signals goes on to vgicd: an edge as a pulse; a level as a raised
line, which QEMU's GIC is told to keep to itself until the line has been seen to fall.  It is looked at again before
every access of the guest to its GIC, so that a line that has fallen is never acknowledged (IHI 0048B 3.2.4, 4.3.8).
"""

from __future__ import annotations

from typing import Final

from vgicd_bridge.gic import Gic
from vgicd_bridge.stage2 import Span
from vgicd_bridge.wires import Wires

DISTRIBUTOR: Final = 0x08000000
INTERFACE: Final = 0x08010000
IAR: Final = INTERFACE + 0x0C
HIDDEN: Final = (Span(DISTRIBUTOR, 0x08020000), Span(0x08030000, 0x08050000))
"""QEMU's GICD, GICC, GICH and GICV."""

SPIS: Final = 256
FIRST: Final = 32
_ISENABLER: Final = DISTRIBUTOR + 0x100
_ICENABLER: Final = DISTRIBUTOR + 0x180
_ISPENDR: Final = DISTRIBUTOR + 0x200
_IPRIORITYR: Final = DISTRIBUTOR + 0x400
_ICFGR: Final = 0xC00
_ICFGR_END: Final = _ICFGR + (FIRST + SPIS) // 4
_SHARED: Final = 0xC08
_EVERY_PRIORITY: Final = 0xFF
_BELOW_SGIS: Final = 0x80808080  # or an active line would keep the waking SGI from the stub that waits for its answer
_TO_SELF: Final = 2 << 24
_WAKING_SGI: Final = 15


class Devices:
    """The shared lines of QEMU's devices, passed on to `gic`."""

    def __init__(self, wires: Wires, gic: Gic) -> None:
        self._wires = wires
        self._gic = gic
        self._spis = min(SPIS, gic.spis)
        self._distributor = gic.windows["GICD"].start
        self._types: dict[int, int] = {}  # by offset of the ICFGR
        self._held: set[int] = set()  # level lines that vgicd has high, and QEMU's GIC keeps to itself
        self.signalled = 0

    def start(self) -> None:
        """Have QEMU's GIC signal every shared line that vgicd's domain has."""
        for offset in range(_SHARED, _ICFGR_END, 4):
            self._follow_types(offset)
        self._wires.write(
            *((_IPRIORITYR + intid, _BELOW_SGIS) for intid in range(FIRST, FIRST + SPIS, 4)),
            *((_ISENABLER + word * 4, self._lines(word)) for word in range(1, 1 + SPIS // 32)),
            (INTERFACE + 0x04, _EVERY_PRIORITY),
            (INTERFACE, 1),
            (DISTRIBUTOR, 1),
        )

    def wake(self) -> None:
        """Have QEMU's GIC interrupt the stub, which waits for an answer that is there."""
        self._wires.post(DISTRIBUTOR + 0xF00, _TO_SELF | _WAKING_SGI)

    def signal(self, intid: int) -> None:
        """QEMU's GIC has had `intid` acknowledged; its EOI follows from the stub."""
        self.signalled += 1
        if self._types[_ICFGR + intid // 16 * 4] >> 2 * (intid % 16) & 2:
            self._gic.pulse(intid)
            return
        self._wires.write((_ICENABLER + intid // 32 * 4, 1 << intid % 32))
        self._held.add(intid)
        self._gic.spi(intid, 1)

    def look(self) -> None:
        """Lower what has fallen meanwhile."""
        for word in sorted({intid // 32 for intid in self._held}):
            level = self._wires.read(_ISPENDR + word * 4)
            fallen = [intid for intid in self._held if intid // 32 == word and not level >> intid % 32 & 1]
            for intid in fallen:
                self._held.discard(intid)
                self._gic.spi(intid, 0)
            if fallen:
                self._wires.write((_ISENABLER + word * 4, sum(1 << intid % 32 for intid in fallen)))

    def written(self, address: int) -> None:
        """The guest has written at `address`: QEMU's GIC follows what it says of a line's type."""
        offset = (address - self._distributor) & ~3
        if _SHARED <= offset < _ICFGR_END:
            self._follow_types(offset)

    def _follow_types(self, offset: int) -> None:
        if (offset - _ICFGR) * 4 < FIRST + self._gic.spis:
            types = self._gic.peek(self._distributor + offset)
            if types != self._types.get(offset):
                self._types[offset] = types
                self._wires.write((DISTRIBUTOR + offset, types))
                self._release(offset)

    def _release(self, offset: int) -> None:
        """Lines that are edges now are not held any more."""
        first = (offset - _ICFGR) * 4
        edges = {n for n in self._held if first <= n < first + 16 and self._types[offset] >> 2 * (n % 16) & 2}
        for intid in sorted(edges):
            self._held.discard(intid)
            self._gic.spi(intid, 0)
            self._wires.write((_ISENABLER + intid // 32 * 4, 1 << intid % 32))

    def _lines(self, word: int) -> int:
        """The mask of the shared lines in `word` that vgicd has, too."""
        count = max(0, min(32, FIRST + self._spis - word * 32))
        return (1 << count) - 1
