"""Where everything lies in gdb's address space.

The frames are where the guest finds them, seen by the selected thread's vCPU.  The same frames are seen again in alias
windows: one per vCPU, so that a watchpoint on a banked register means one vCPU, and a live one, where a read is a real
guest read.  Fake code gives `idle` and the edges of interrupts' lives addresses, and every vCPU has a fake stack.

With 64-bit addresses an alias is the physical address plus a constant; a 32-bit gdb sees them packed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from vgicd.domain.address_map import Region
from vgicd.domain.operations import Space
from vgicd.gdbstub import lifecycle
from vgicd.gdbstub.arch import Arch, ArchError
from vgicd.gdbstub.lifecycle import SLOT, STEP, Edge

LIVE: Final = 0x1_0000_0000_0000
PER_VCPU: Final = 0x2_0000_0000_0000
_VCPU_SHIFT: Final = 32
_PACKING: Final = 0x1_0000  # alignment of packed aliases
_SET: Final = 0x10_0000  # what the packed aliases of one window set may take
_SETS: Final = 9  # a live one and eight vCPUs'
_FREE_GICH: Final = (0x0803_0000, 0x0903_0000, 0x5803_0000)
_FREE_CODE: Final = (0x0010_0000, 0x4010_0000, 0x8010_0000, 0xC010_0000)
_FREE_PACKED: Final = (0xE000_0000, 0xD000_0000, 0xA000_0000, 0x6000_0000)
_GICH_SIZE: Final = 0x1000

_BLOCK: Final = 0x10_0000  # fake code and stacks together
_IDLE: Final = 0x40  # from the start of the text; not its first byte, which symbolless tools call the entry
_TEXT_SIZE: Final = 0x1000
_IRQ: Final = 0x1_0000  # irq0; the slots of no INTID precede it, so that a reset with fewer SPIs moves nothing
_ANY, _DOMAIN, _SLOTS_BEFORE = 0, 1, 2  # the slot of any INTID, and the domain's own
_STACKS: Final = 0x8_0000
STACK_SIZE: Final = 0x8000
"""Bytes of a vCPU's fake stack: room for a frame of every INTID."""


class Window(NamedTuple):
    """[base, base + size) shows `space` from offset `start` on, as vCPU `vcpu` sees it (None: the selected thread's).

    `live`: a read is the guest's own, with its side effects.
    """

    name: str  # of the variable that lies here: gicd, gicc2, live_gicc
    base: int
    size: int
    space: int
    start: int = 0
    vcpu: int | None = None
    live: bool = False


class Place(NamedTuple):
    """What fake code means: an edge of `intid` (None: of any INTID)."""

    intid: int | None
    edge: Edge


class AddressSpace:
    """The layout for one domain's address map.

    Raises ArchError when a 32-bit architecture cannot address the frames.
    """

    def __init__(self, arch: Arch, regions: Iterable[Region], vcpus: int, nr_irqs: int) -> None:
        found = list(regions)
        if arch.word == 4 and any(region.base + region.size > 1 << 32 for region in found):
            raise ArchError(f"{arch.name} cannot address this domain's frames: use --gdb-arch aarch64 or x86-64.")
        self.arch = arch
        self.vcpus = vcpus
        self.nr_irqs = nr_irqs
        if not any(region.space == Space.GICH for region in found):
            base = _free(_FREE_GICH, _GICH_SIZE, found)
            found.append(Region("GICH", base, _GICH_SIZE, Space.GICH, guest=False))
        block = _free(_FREE_CODE, _BLOCK, found)
        self.code = (block, _TEXT_SIZE)
        self.idle = block + _IDLE
        self.irq_base = block + _IRQ - _SLOTS_BEFORE * SLOT
        self.irq_size = (_SLOTS_BEFORE + nr_irqs) * SLOT
        self._stacks = block + _STACKS
        self.windows: tuple[Window, ...] = tuple(self._windows(found, block))

    def _windows(self, regions: list[Region], block: int) -> Iterator[Window]:
        for region in regions:
            yield Window(region.name.lower(), region.base, region.size, region.space, region.start)
        taken = [*regions, Region("code", block, _BLOCK, Space.DEVICE)]
        live, of_vcpu = self._alias_bases(regions, taken)
        for region, base in zip(regions, live, strict=True):
            if region.guest:
                name = f"live_{region.name.lower()}"
                yield Window(name, base, region.size, region.space, region.start, live=True)
        for vcpu in range(self.vcpus):
            for region, base in zip(regions, of_vcpu[vcpu], strict=True):
                if region.space == Space.DEVICE:
                    continue  # a device that is in memory is nobody's own
                yield Window(f"{region.name.lower()}{vcpu}", base, region.size, region.space, region.start, vcpu)

    def _alias_bases(self, regions: list[Region], taken: list[Region]) -> tuple[list[int], list[list[int]]]:
        """Where the regions begin in the live window, and in each vCPU's."""
        if self.arch.word == 8:
            live = [LIVE + region.base for region in regions]
            low = [region.base for region in regions]
            if max(region.base + region.size for region in regions) > 1 << _VCPU_SHIFT:
                low = _packed(regions)
            return live, [[PER_VCPU + (vcpu << _VCPU_SHIFT) + at for at in low] for vcpu in range(self.vcpus)]
        packed = _packed(regions)
        if packed[-1] + regions[-1].size > _SET:
            raise ArchError(f"The frames are too large for the windows of {self.arch.name}: use --gdb-arch aarch64.")
        start = _free(_FREE_PACKED, _SETS * _SET, taken)
        sets = [[start + n * _SET + at for at in packed] for n in range(self.vcpus + 1)]
        return sets[0], sets[1:]

    def find(self, address: int) -> Window | None:
        """The window that holds `address`."""
        for window in self.windows:
            if window.base <= address < window.base + window.size:
                return window
        return None

    def stack(self, vcpu: int) -> tuple[int, int]:
        """Base and size of the fake stack of `vcpu`."""
        return self._stacks + vcpu * STACK_SIZE, STACK_SIZE

    # --- fake code ------------------------------------------------------------------------------------------------

    def slot(self, intid: int) -> int:
        """Where irq`intid` begins."""
        return self.irq_base + (_SLOTS_BEFORE + intid) * SLOT

    def place_at(self, address: int) -> Place | None:
        """What the fake code at `address` means: an address within STEP of an edge's is that edge's."""
        offset = address - self.irq_base
        if not 0 <= offset < self.irq_size:
            return None
        slot, index = offset // SLOT, offset % SLOT // STEP
        if slot >= _SLOTS_BEFORE:
            return Place(slot - _SLOTS_BEFORE, lifecycle.EDGES[index])
        if slot == _ANY:
            return Place(None, lifecycle.EDGES[index]) if index else None
        return Place(None, lifecycle.DOMAIN_EDGES[index]) if index < len(lifecycle.DOMAIN_EDGES) else None

    def symbols(self, names: Mapping[int, str]) -> Iterator[tuple[str, int, int]]:
        """Every function of the fake code as (symbol, address, size in bytes).

        `names` gives INTIDs an alias, irqN_NAME.
        """
        yield "idle", self.idle, STEP
        for intid in range(self.nr_irqs):
            for symbol, offset in lifecycle.slot_symbols(intid, names):
                yield symbol, self.slot(intid) + offset, STEP
        for symbol, offset in lifecycle.any_symbols():
            yield symbol, self.irq_base + _ANY * SLOT + offset, STEP
        for symbol, offset in lifecycle.domain_symbols():
            yield symbol, self.irq_base + _DOMAIN * SLOT + offset, STEP


def _packed(regions: Iterable[Region]) -> list[int]:
    """Offsets at which the regions follow each other."""
    bases, at = [], 0
    for region in regions:
        bases.append(at)
        at += -(-region.size // _PACKING) * _PACKING
    return bases


def _free(candidates: Iterable[int], size: int, taken: Iterable[Region]) -> int:
    """The first of `candidates` where `size` bytes overlap none of `taken`."""
    held = list(taken)
    for base in candidates:
        if all(base + size <= region.base or region.base + region.size <= base for region in held):
            return base
    raise ArchError("The frames leave no room for gdb's windows: move gicd_base or gicc_base.")
