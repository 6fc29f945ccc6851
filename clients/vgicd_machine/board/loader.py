"""From files to memory: the image, the initrd and the device tree, each where its reader expects it.

| image | goes to | device tree |
|---|---|---|
| AArch64 ELF | its physical addresses | the start of RAM, if that is free |
| arm64 Linux Image, also in gzip | text_offset above a multiple of 2 MiB | behind the first half of RAM, or 128 MiB |
| flat binary | 512 KiB into RAM | the same |
| firmware | address 0, which is flash | the start of RAM |

These are the places of QEMU's virt.  X0 holds the device tree's address for every kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from vgicd_machine.board import elf, linux
from vgicd_machine.board.devicetree import Chosen
from vgicd_machine.board.elf import Part, Program
from vgicd_machine.board.layout import Layout
from vgicd_machine.board.memory import FLASH_BASE, FLASH_SIZE, Memory
from vgicd_machine.errors import ImageError
from vgicd_machine.files import contents

FLAT_OFFSET: Final = 0x8_0000
"""Where a flat binary goes, from the start of RAM, unless told otherwise."""

KINDS: Final = ("elf", "linux", "flat", "firmware")
_HIGHEST_EXTRAS: Final = 128 << 20  # into RAM: initrd and device tree
_PAGE: Final = 0x1000
_TREE_ALIGNMENT: Final = 8


class Boot(NamedTuple):
    """How CPU 0 begins: at `entry`, with `context`, the device tree's address, in X0.

    `kind` is one of `KINDS`, `sha256` that of the image's file, `tree` the flattened device tree.
    """

    entry: int
    context: int
    kind: str
    sha256: str
    tree: bytes


class Job(NamedTuple):
    """What is to be loaded. `address` is a flat binary's; `firmware` says that the image is one."""

    image: Path
    initrd: Path | None = None
    append: str | None = None
    address: int | None = None
    firmware: bool = False


def load(job: Job, ram: Memory, flash: Memory | None, tree: Callable[[Chosen], bytes]) -> Boot:
    """Put everything into memory; `tree` makes the device tree once it is known where the initrd is.

    Raises `ImageError` with the reason; memory is then as it was.
    """
    image = contents(job.image, "image")
    program, kind = _program(job, image, ram)
    layout = Layout(ram.base, ram.end)
    for part in program.parts:
        inside = Layout(FLASH_BASE, FLASH_BASE + FLASH_SIZE, "the flash") if kind == "firmware" else layout
        inside.take(str(job.image), part.address, part.size)
    after = max(ram.base + min(ram.size // 2, _HIGHEST_EXTRAS), layout.top)
    parts = list(program.parts)
    span: tuple[int, int] | None = None
    if job.initrd is not None:
        data = contents(job.initrd, "initrd")
        start = layout.place(f"the initrd {job.initrd}", len(data), _up(after, _PAGE), _PAGE)
        span = (start, start + len(data))
        parts.append(Part(start, data, len(data)))
        after = max(after, span[1])
    blob = tree(Chosen(job.append, span))
    preferred = ram.base if kind in {"elf", "firmware"} else _up(after, linux.BLOCK)
    if not layout.is_free(preferred, len(blob)):
        preferred = _up(after, linux.BLOCK)
    context = layout.place("the device tree", len(blob), preferred, _TREE_ALIGNMENT)
    parts.append(Part(context, blob, len(blob)))
    for part in parts:
        memory = flash if flash is not None and flash.contains(part.address, part.size) else ram
        memory.write(part.address, part.data + bytes(part.size - len(part.data)))
    return Boot(program.entry, context, kind, hashlib.sha256(image).hexdigest(), blob)


def _program(job: Job, image: bytes, ram: Memory) -> tuple[Program, str]:
    name = str(job.image)
    if not image:
        raise ImageError(f"{name} is empty")
    if job.firmware:
        if job.address is not None:
            raise ImageError("firmware begins at address 0: leave --load-address out")
        return Program((Part(FLASH_BASE, image, len(image)),), FLASH_BASE), "firmware"
    if not image.startswith(elf.MAGIC):
        image = linux.unpacked(name, image, ram.size)
    if image.startswith(elf.MAGIC):
        if job.address is not None:
            raise ImageError(f"{name} is an ELF, which says itself where it goes: leave --load-address out")
        return elf.read(name, image), "elf"
    if (header := linux.header(name, image)) is not None:
        at = linux.load_address(ram.base, header) if job.address is None else job.address
        if at % linux.BLOCK != header.text_offset % linux.BLOCK:
            raise ImageError(
                f"{name} is an arm64 Image, which goes to {header.text_offset:#x} above a multiple of 2 MiB, and "
                f"{at:#x} is not such an address"
            )
        return Program((Part(at, image, header.size),), at), "linux"
    at = ram.base + FLAT_OFFSET if job.address is None else job.address
    if at % 4:
        raise ImageError(f"{at:#x} is not a multiple of 4, as an instruction's address is")
    return Program((Part(at, image, len(image)),), at), "flat"


def _up(address: int, alignment: int) -> int:
    return -(-address // alignment) * alignment
