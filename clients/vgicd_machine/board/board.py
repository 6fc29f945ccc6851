"""What is where: the memories and windows that every CPU of the machine sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from vgicd_machine.board import absent, devicetree, loader, pl011, pl031
from vgicd_machine.board.bus import Bus, Place
from vgicd_machine.board.devicetree import Site
from vgicd_machine.board.loader import Boot, Job
from vgicd_machine.board.memory import FLASH_BASE, FLASH_SIZE, Memory
from vgicd_machine.board.pl011 import Pl011
from vgicd_machine.board.pl031 import Pl031
from vgicd_machine.files import contents
from vgicd_machine.gic.port import GicPort, Window

RAM_SIZE: Final = 128 << 20


class Board:
    """Memory and devices around `port`; `transmit(byte)` gets what the guest writes to the UART and by semihosting.

    `memories` and `bus` are complete once `load` has put an image there: a machine is built after that.
    """

    def __init__(self, port: GicPort, transmit: Callable[[int], None], *, ram_size: int = RAM_SIZE) -> None:
        self.transmit = transmit
        self.ram = Memory(ram_size)
        environment = Memory(FLASH_SIZE, FLASH_BASE + FLASH_SIZE, writable=False)  # where U-Boot keeps its own: empty
        self.memories: tuple[Memory, ...] = (self.ram, environment)
        self.uart = Pl011(transmit, lambda level: port.line(pl011.INTID, level))
        self.rtc = Pl031()
        self.bus = Bus(
            port,
            (
                Place(pl011.WINDOW, self.uart),
                Place(Window("RTC", pl031.BASE, pl031.SIZE), self.rtc),
                *(place for place in absent.PLACES if not _taken(place.window, port)),
            ),
        )
        self._windows = tuple(port.windows)

    def load(
        self,
        image: Path,
        initrd: Path | None = None,
        dtb: Path | None = None,
        append: str | None = None,
        address: int | None = None,
        *,
        cpus: int = 1,
        firmware: bool = False,
        seed: int = 0,
    ) -> Boot:
        """Put `image`, `initrd` and the device tree into memory, for a machine of `cpus` CPUs.

        Without `dtb` the tree is generated, and its random seed is made from `seed`.  `address` is where a flat
        binary goes.  `firmware` puts the image into flash at address 0.  Raises `ImageError`; nothing is then loaded.
        """
        site = Site(self._windows, self.ram.base, self.ram.size, cpus, seed=seed)
        blob = None if dtb is None else contents(dtb, "device tree")

        def tree(chosen: devicetree.Chosen) -> bytes:
            if blob is None:
                return devicetree.generate(site, chosen)
            return devicetree.completed(str(dtb), blob, site, chosen)

        flash = Memory(FLASH_SIZE, FLASH_BASE, writable=False) if firmware else None
        boot = loader.load(Job(image, initrd, append, address, firmware), self.ram, flash, tree)
        if flash is not None:
            self.memories = (*self.memories, flash)
        return boot


def _taken(window: Window, port: GicPort) -> bool:
    """Whether the interrupt controller is where `window` would be."""
    return any(
        other.base < window.base + window.size and window.base < other.base + other.size for other in port.windows
    )
