"""Devices of QEMU's virt that this machine does not have: programs that look for them find nothing, and do not fault.

Each answers what says so: a virtio slot has its magic number and no device, PCI configuration space reads as ones, an
MSI frame has no interrupts, and the rest reads as zero.  None is in the device tree.  What is at no window at all is an
external abort, as there.
"""

from __future__ import annotations

from typing import Final

from vgicd_machine.board.bus import Place
from vgicd_machine.gic.port import Window


class Nothing:
    """Reads as `words` where these have an offset, else as `fill` in every byte; ignores writes."""

    def __init__(self, words: dict[int, int] | None = None, *, fill: int = 0, every: int = 1 << 64) -> None:
        self._words = words or {}
        self._fill = fill
        self._every = every  # bytes after which it begins anew

    def read(self, offset: int, size: int) -> int:
        offset %= self._every
        word = self._words.get(offset & ~3)
        if word is None:
            return int.from_bytes(bytes((self._fill,)) * size, "little")
        return word >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Ignored."""


def _identified(*values: int) -> dict[int, int]:
    """The registers by which a PrimeCell is recognised."""
    return {0xFE0 + 4 * n: value for n, value in enumerate(values)}


_VIRTIO: Final = {0x0: 0x7472_6976, 0x4: 1, 0x8: 0, 0xC: 0x554D_4551}  # "virt", legacy, no device, QEMU as vendor

PLACES: Final = (
    Place(Window("v2m", 0x0802_0000, 0x1000), Nothing()),
    Place(Window("fw-cfg", 0x0902_0000, 0x1000), Nothing()),
    Place(Window("pl061", 0x0903_0000, 0x1000), Nothing(_identified(0x61, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1))),
    Place(Window("virtio", 0x0A00_0000, 0x4000), Nothing(_VIRTIO, every=0x200)),
    Place(Window("PCI configuration space", 0x40_1000_0000, 256 << 20), Nothing(fill=0xFF)),
)
