"""The guest's image, looked at before QEMU has it: QEMU says little of one that it cannot load or run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vgicd_machine.board import elf, linux
from vgicd_machine.board.layout import Layout
from vgicd_machine.board.memory import FLASH_BASE, FLASH_SIZE
from vgicd_machine.errors import ImageError
from vgicd_machine.files import contents

FLAT_OFFSET: Final = 0x8_0000
"""Where QEMU has a flat binary, from the start of RAM."""


def check(image: Path, base: int, size: int) -> None:
    """Raises `ImageError` unless `image` is an ELF, an arm64 Image or a flat binary for RAM of `size` bytes at `base`.

    An Image may be in gzip.  Whether a flat binary has instructions in it nobody can tell.
    """
    name = str(image)
    packed = contents(image, "image")
    if not packed:
        raise ImageError(f"{name} is empty")
    data = packed if packed.startswith(elf.MAGIC) else linux.unpacked(name, packed, size)
    ram = Layout(base, base + size)
    if not data.startswith(elf.MAGIC):
        header = linux.header(name, data)
        if header is None:
            ram.take(name, base + FLAT_OFFSET, len(data))
        else:
            ram.take(name, linux.load_address(base, header), header.size)
        return
    if data is not packed:
        raise ImageError(f"{name} is a packed ELF, which QEMU does not unpack: unpack it first")
    flash = Layout(FLASH_BASE, FLASH_BASE + FLASH_SIZE, "the flash")
    for part in elf.read(name, data).parts:
        (flash if part.address < FLASH_BASE + FLASH_SIZE else ram).take(name, part.address, part.size)
