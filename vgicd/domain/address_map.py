"""Where a guest finds what (spec 6.8): the layouts, and the decoding of physical addresses."""

from __future__ import annotations

from typing import Final, NamedTuple

from vgicd.domain.config import DomainConfig
from vgicd.domain.devices.bundle import VPL011_WINDOW
from vgicd.domain.errors import Code, RequestError
from vgicd.domain.operations import Space
from vgicd.hw.gicv import IIDR

PAGE: Final = 0x1000
GICD_SIZE: Final = 0x1000
GICC_SIZE: Final = 0x2000
VPL011_BASE: Final = 0x22000000
GIC400_IIDR: Final = 0x0202043B
ALIAS_OFFSET: Final = 0xF000
ALIASED_SIZE: Final = 0x20000
ALIAS_SPAN: Final = 0x10000  # over which each 4 KiB page of such a host is repeated


class Region(NamedTuple):
    """Guest-physical [base, base + size) is `space`; `guest` is false where only DEBUG reads reach.

    `start` is the place in the host's frame, or in the device space, that is seen at `base`.
    """

    name: str
    base: int
    size: int
    space: int
    guest: bool = True
    start: int = 0


class Layout(NamedTuple):
    """Default bases."""

    gicd: int
    gicc: int
    gich: int | None = None


LAYOUTS: Final = {
    "virt": Layout(0x08000000, 0x08010000, 0x08030000),
    "trace": Layout(0x08000000, 0x08010000, 0x08030000),
    "xen-guest": Layout(0x03001000, 0x03002000),
}


def alias_offset(gicc_size: int, iidr_first: int, iidr_last: int) -> int:
    """Where in a host's GICV frame the guest's view begins.

    0xF000 on a GIC-400 whose 4 KiB pages are aliased over 64 KiB (a 128 KiB CPU interface that identifies itself at
    both ends): from there GICV_DIR at +0x1000 is contiguous.  Else 0.
    """
    if gicc_size != ALIASED_SIZE:
        return 0
    same = all(word & 0x0FFF0FFF == GIC400_IIDR for word in (iidr_first, iidr_last))
    return ALIAS_OFFSET if same else 0


class AddressMap:
    """The regions of one domain.

    Raises RequestError BAD_CONFIG for an unknown layout, a base that is not page-aligned, a CPU interface under
    8 KiB, or regions that overlap.
    """

    def __init__(self, config: DomainConfig, vpl011: bool) -> None:
        self.regions = self._resources(config, vpl011)
        for index, region in enumerate(self.regions):
            if region.base % PAGE:
                raise RequestError(Code.BAD_CONFIG, "base", f"{region.name} at {region.base:#x} is not 4 KiB aligned")
            for other in self.regions[:index]:
                if region.base < other.base + other.size and other.base < region.base + region.size:
                    raise RequestError(Code.BAD_CONFIG, "base", f"{region.name} overlaps {other.name}")

    def _resources(self, config: DomainConfig, vpl011: bool) -> list[Region]:
        layout, csize = LAYOUTS[config.profile], GICC_SIZE
        start = alias_offset(config.gicc_size, IIDR, IIDR)  # the host's silicon is the guest's
        self.aliased = start != 0 and config.layout != "profile"
        match config.layout:
            case "profile":  # no host is behind it
                start = 0
            case "ordinary":
                layout = LAYOUTS["xen-guest"]
            case "direct":
                pass  # the host's addresses, the guest's sizes
            case "hardware":  # the host's addresses and its whole CPU interface
                csize, start = config.gicc_size, 0
                if csize < GICC_SIZE:
                    text = f"a CPU interface has at least 8 KiB, not {csize:#x}"
                    raise RequestError(Code.BAD_CONFIG, "gicc_size", text)
            case other:
                raise RequestError(
                    Code.BAD_CONFIG, "layout", f"layout {other!r} is none of profile, ordinary, hardware, direct"
                )
        gicd = layout.gicd if config.gicd_base is None else config.gicd_base
        gicc = layout.gicc if config.gicc_base is None else config.gicc_base
        regions = [Region("GICD", gicd, GICD_SIZE, Space.GICD), Region("GICC", gicc, csize, Space.GICC, start=start)]
        if layout.gich is not None:
            regions.append(Region("GICH", layout.gich, PAGE, Space.GICH, guest=False))
        if vpl011:
            regions.append(Region("VPL011", VPL011_BASE, PAGE, Space.DEVICE, start=VPL011_WINDOW))
        return regions

    def find(self, address: int) -> Region | None:
        """The region that holds guest-physical `address`."""
        for region in self.regions:
            if region.base <= address < region.base + region.size:
                return region
        return None

    def decode(self, address: int, *, guest: bool = True) -> tuple[int, int] | None:
        """The space that guest-physical `address` reaches, and the offset in it; None where nothing answers."""
        region = self.find(address)
        if region is None or (guest and not region.guest):
            return None
        offset = address - region.base + region.start
        if region.space == Space.GICC:
            if self.aliased:
                offset = offset // ALIAS_SPAN * PAGE + offset % PAGE
            elif offset >= GICC_SIZE:
                return None  # a host's CPU interface may be larger than its registers
        return int(region.space), offset
