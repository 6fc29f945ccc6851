"""The device tree that a guest finds: generated in the form of QEMU's virt machine, or the user's own completed.

Node names and properties are those that programs written for QEMU's virt look for.  Absent is what this machine does
not have: PCI, virtio, flash, GPIO, firmware configuration, PMU, MSI frame, and the seed for kernel address
randomisation; a tree is a function of its `Site`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from vgicd_machine.board import pl011, pl031
from vgicd_machine.errors import ImageError, MissingPart
from vgicd_machine.gic.port import Window

try:
    import fdt
except ImportError as error:
    raise MissingPart(f"device trees need the package fdt ({error}): install vgicd[emulator]") from error

LARGEST: Final = 2 << 20
"""Bytes of a device tree: a kernel maps no more of it (booting.rst)."""

_VERSION: Final = 17
_OLDEST: Final = 16  # whose layout version 17 readers understand
_INTC, _CLOCK = 0x8003, 0x8000  # phandles
_FRAME: Final = 0x10000  # what QEMU declares of each GIC frame, if nothing else is there
_SPI, _PPI = 0, 1
_LEVEL_HIGH: Final = 4
_TIMER_PPIS: Final = (13, 14, 11, 10)  # secure and non-secure physical, virtual, hypervisor
_CPU_SUSPEND, _CPU_OFF, _CPU_ON, _MIGRATE = 0xC400_0001, 0x8400_0002, 0xC400_0003, 0xC400_0005  # DEN 0022 5.1
_CLOCK_HZ: Final = 24_000_000
_FDT_MAGIC: Final = b"\xd0\x0d\xfe\xed"


@dataclass(frozen=True, slots=True)
class Site:
    """What the tree describes: the GIC's frames, RAM, CPUs, the UART; `seed` makes its random numbers."""

    windows: tuple[Window, ...]
    ram_base: int
    ram_size: int
    cpus: int = 1
    uart: Window = pl011.WINDOW
    uart_intid: int = pl011.INTID
    sbsa_uart: bool = False  # a UART with the registers of SBSA's generic one only: the daemon's
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What /chosen says of this run; `initrd` is its first and the first address after it."""

    append: str | None = None
    initrd: tuple[int, int] | None = None


def generate(site: Site, chosen: Chosen) -> bytes:
    """The flattened tree of the machine itself.

    Raises `ImageError` for an `append` that is not ASCII.
    """
    tree = _empty()
    root = tree.root
    _fill(
        root,
        {
            "interrupt-parent": _INTC,
            "model": "linux,dummy-virt",
            "#size-cells": 2,
            "#address-cells": 2,
            "compatible": "linux,dummy-virt",
        },
    )
    _add(root, "psci", _psci())
    _add(root, _memory_name(site), _memory(site))
    uart = _add_uart(root, site)
    if not site.sbsa_uart:
        _add(
            root,
            f"pl031@{pl031.BASE:x}",
            {
                "clock-names": "apb_pclk",
                "clocks": _CLOCK,
                "reg": _cells(pl031.BASE, pl031.SIZE),
                "compatible": ["arm,pl031", "arm,primecell"],
            },
        )
    gicd, gicc = _frames(site.windows)
    _add(
        root,
        f"intc@{gicd.base:x}",
        {
            "phandle": _INTC,
            "reg": [*_cells(gicd.base, gicd.size), *_cells(gicc.base, gicc.size)],
            "compatible": "arm,cortex-a15-gic",
            "ranges": None,
            "#size-cells": 2,
            "#address-cells": 2,
            "interrupt-controller": None,
            "#interrupt-cells": 3,
        },
    )
    _add_cpus(root, site.cpus)
    flags = (1 << site.cpus) - 1 << 8 | _LEVEL_HIGH
    _add(
        root,
        "timer",
        {
            "interrupts": [cell for ppi in _TIMER_PPIS for cell in (_PPI, ppi, flags)],
            "always-on": None,
            "compatible": ["arm,armv8-timer", "arm,armv7-timer"],
        },
    )
    _add(
        root,
        "apb-pclk",
        {
            "phandle": _CLOCK,
            "clock-output-names": "clk24mhz",
            "clock-frequency": _CLOCK_HZ,
            "#clock-cells": 0,
            "compatible": "fixed-clock",
        },
    )
    _add(root, "aliases", {"serial0": uart})
    random = hashlib.sha256(f"vgicd_machine {site.seed}".encode()).digest()
    _add(root, "chosen", {"stdout-path": uart, "rng-seed": random})
    _choose(root, chosen)
    return _flat(tree)


def completed(name: str, blob: bytes, site: Site, chosen: Chosen) -> bytes:
    """The user's tree `blob` with /memory, and of /chosen what is given, as this run has them; the rest as it was.

    Raises `ImageError`, which calls the file `name`, when it is no device tree.
    """
    tree = _parse(name, blob)
    root = tree.root
    for node in [node for node in root.nodes if node.name.partition("@")[0] == "memory"]:
        root.remove_subnode(node.name)
    address, size = (_cell_count(name, root, what) for what in ("#address-cells", "#size-cells"))
    _add(
        root,
        _memory_name(site),
        {
            "device_type": "memory",
            "reg": b"".join(
                number.to_bytes(cells * 4, "big") for number, cells in ((site.ram_base, address), (site.ram_size, size))
            ),
        },
    )
    _choose(root, chosen)
    return _flat(tree)


def _empty() -> Any:
    tree = fdt.FDT()
    tree.header.version = _VERSION
    tree.header.last_comp_version = _OLDEST
    tree.entries = []  # the default is one list for all trees of this library
    return tree


def _parse(name: str, blob: bytes) -> Any:
    if not blob.startswith(_FDT_MAGIC):
        raise ImageError(f"{name} is not a flattened device tree: dtc -O dtb makes one of a source")
    shared = fdt.FDT().entries
    try:
        tree = fdt.parse_dtb(blob)
    except (Exception, AssertionError) as error:
        raise ImageError(f"{name} is a broken device tree: {error}") from error
    finally:
        reserved = list(shared)
        shared.clear()
    if tree.root is None or tree.header.version < _OLDEST:
        raise ImageError(
            f"{name} is a device tree of version {tree.header.version}; {_OLDEST} is the oldest to be read"
        )
    tree.entries = reserved
    return tree


def _flat(tree: Any) -> bytes:
    try:
        blob: bytes = tree.to_dtb()
    except UnicodeError as error:
        raise ImageError(f"a device tree holds ASCII only: {error}") from error
    if len(blob) > LARGEST:
        raise ImageError(f"a device tree of {len(blob):#x} bytes: a kernel takes at most {LARGEST:#x}")
    return blob


def _fill(node: Any, properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        node.set_property(name, value)


def _add(parent: Any, name: str, properties: dict[str, Any]) -> Any:
    node = fdt.Node(name)
    _fill(node, properties)
    parent.append(node)
    return node


def _cells(*numbers: int) -> list[int]:
    """Each number as two cells."""
    return [cell for number in numbers for cell in (number >> 32, number & 0xFFFF_FFFF)]


def _cell_count(name: str, root: Any, what: str) -> int:
    found = root.get_property(what)
    value = 2 if found is None and what == "#address-cells" else 1 if found is None else found.value
    if value not in {1, 2}:
        raise ImageError(f"{name} has {what} = {value!r}: a memory node needs 1 or 2")
    return int(value)


def _memory_name(site: Site) -> str:
    return f"memory@{site.ram_base:x}"


def _memory(site: Site) -> dict[str, Any]:
    return {"reg": _cells(site.ram_base, site.ram_size), "device_type": "memory"}


def _psci() -> dict[str, Any]:
    return {
        "migrate": _MIGRATE,
        "cpu_on": _CPU_ON,
        "cpu_off": _CPU_OFF,
        "cpu_suspend": _CPU_SUSPEND,
        "method": "hvc",
        "compatible": ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"],
    }


def _frames(windows: Iterable[Window]) -> tuple[Window, Window]:
    """The distributor's and the CPU interface's: as large as QEMU declares them, where the next is not in the way."""
    named = {window.name: window for window in windows}
    gicd, gicc = named["GICD"], named["GICC"]
    room = min((w.base for w in named.values() if w.base > gicd.base), default=gicd.base + _FRAME) - gicd.base
    behind = min((w.base for w in named.values() if w.base > gicc.base), default=gicc.base + _FRAME) - gicc.base
    wide = room >= _FRAME and behind >= _FRAME and not (gicc.base | gicd.base) % _FRAME
    return (gicd._replace(size=_FRAME), gicc._replace(size=_FRAME)) if wide else (gicd, gicc)


def _add_uart(root: Any, site: Site) -> str:
    """The UART's node; yields its path."""
    interrupts = [_SPI, site.uart_intid - 32, _LEVEL_HIGH]
    reg = _cells(site.uart.base, site.uart.size)
    if site.sbsa_uart:
        name = f"sbsa-uart@{site.uart.base:x}"
        _add(
            root,
            name,
            {"compatible": "arm,sbsa-uart", "reg": reg, "interrupts": interrupts, "current-speed": 115_200},
        )
    else:
        name = f"pl011@{site.uart.base:x}"
        _add(
            root,
            name,
            {
                "clock-names": ["uartclk", "apb_pclk"],
                "clocks": [_CLOCK, _CLOCK],
                "interrupts": interrupts,
                "reg": reg,
                "compatible": ["arm,pl011", "arm,primecell"],
            },
        )
    return f"/{name}"


def _add_cpus(root: Any, count: int) -> None:
    cpus = _add(root, "cpus", {"#size-cells": 0, "#address-cells": 1})
    cluster = fdt.Node("cluster0")
    for index in range(count):
        handle = 0x8000 + 0x100 + index
        _add(cluster, f"core{index}", {"cpu": handle})
        _add(
            cpus,
            f"cpu@{index}",
            {
                "phandle": handle,
                "reg": index,
                **({"enable-method": "psci"} if count > 1 else {}),
                "compatible": "arm,cortex-a57",
                "device_type": "cpu",
            },
        )
    socket = fdt.Node("socket0")
    socket.append(cluster)
    topology = fdt.Node("cpu-map")
    topology.append(socket)
    cpus.append(topology)


def _choose(root: Any, chosen: Chosen) -> None:
    node = root.get_subnode("chosen")
    if node is None:
        node = _add(root, "chosen", {})
    if chosen.append is not None:
        # Not a string to the library, which refuses an empty one and what it does not think printable.
        try:
            text = chosen.append.encode("ascii")
        except UnicodeError as error:
            raise ImageError(f"--append holds more than ASCII: {error}") from error
        node.set_property("bootargs", text + b"\0")
    if chosen.initrd is not None:
        for name, value in zip(("linux,initrd-start", "linux,initrd-end"), chosen.initrd, strict=True):
            node.set_property(name, struct.pack(">Q", value))
