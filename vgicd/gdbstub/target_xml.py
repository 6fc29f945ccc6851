"""The documents in which gdb reads what the target is: registers, memory and threads.

gdb manual, "Target Description Format", "Memory Map Format", "Thread List Format".  Types come from the layouts of the
register rows: a word with fields is `<flags>`, which prints the names of its bits and its raw value, and a field whose
values have names is an `<enum>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from vgicd.export.places import enumerator
from vgicd.gdbstub.arch import ARCHES, Arch
from vgicd.gdbstub.layout import AddressSpace
from vgicd.gdbstub.registers import LINE, LINE_LEVELS, VendorRegister, vendor_registers
from vgicd.gdbstub.target import Target
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Field, Layout

GROUP: Final = "vgic"
"""Register group of ours: `info registers vgic` (not on i386, whose gdb ignores groups)."""

_LINE_TYPE: Final = "irq_level"
_SHORT: Final = {
    "VirtualID": "virq",
    "PhysicalID": "pirq",
    "Priority": "prio",
    "State": "state",
    "Grp1": "GRP1",
    "HW": "HW",
    "EOI": "EOI",
}  # four list registers are to fit on a screen


def target_description(target: Target) -> str:
    """target.xml, the answer to qXfer:features:read."""
    return _description(target.arch.name, target.domain.vgic.options.nr_lrs)


@lru_cache(maxsize=64)
def _description(arch_name: str, nr_lrs: int) -> str:
    arch = ARCHES[arch_name]
    root = ET.Element("target", version="1.0")
    ET.SubElement(root, "architecture").text = arch.gdb_name
    ET.SubElement(root, "osabi").text = "none"  # else gdb takes it for Linux, and steps ARM by breakpoints of its own
    _add_core(root, arch)
    for name, registers in groupby(vendor_registers(nr_lrs), key=lambda register: register.feature):
        _add_feature(root, name, list(registers))
    return _document(root, "target", "gdb-target.dtd")


def memory_map(layout: AddressSpace) -> str:
    """The answer to qXfer:memory-map:read: everything that gdb may read, for it never asks about other places."""
    root = ET.Element("memory-map")
    for base, size in _joined(_everything(layout)):
        ET.SubElement(root, "memory", type="ram", start=f"{base:#x}", length=f"{size:#x}")
    return _document(root, "memory-map", "gdb-memory-map.dtd")


def threads(target: Target, *, multiprocess: bool = True) -> str:
    """The answer to qXfer:threads:read: the vCPUs, on their physical CPUs, each with its line of live state.

    `multiprocess`: thread ids name process 1, too, as gdb and the stub have agreed.
    """
    root = ET.Element("threads")
    process = "p1." if multiprocess else ""
    for vcpu in target.domain.vgic.vcpus:
        number = f"{process}{vcpu.id + 1:x}"
        thread = ET.SubElement(root, "thread", id=number, core=str(vcpu.pcpu), name=f"vcpu{vcpu.id}")
        thread.text = target.line_of(vcpu.id)
    return _document(root)


# --- registers --------------------------------------------------------------------------------------------------------


def _add_core(root: ET.Element, arch: Arch) -> None:
    for name, registers in arch.features:
        feature = ET.SubElement(root, "feature", name=name)
        expected = 0
        for register in registers:
            attributes = {"name": register.name, "bitsize": str(register.bits), "type": register.type}
            if register.number != expected:
                attributes["regnum"] = str(register.number)
            expected = register.number + 1
            ET.SubElement(feature, "reg", attributes)


def _add_feature(root: ET.Element, name: str, registers: list[VendorRegister]) -> None:
    feature = ET.SubElement(root, "feature", name=name)
    defined: set[str] = set()
    for register in registers:
        kind = _add_type(feature, register, defined)
        attributes = {"name": register.name, "bitsize": str(register.bits), "regnum": str(register.number)}
        # save-restore: else gdb would write them all back after a call of a function.
        ET.SubElement(feature, "reg", attributes, type=kind, group=GROUP, **{"save-restore": "no"})


def _add_type(feature: ET.Element, register: VendorRegister, defined: set[str]) -> str:
    """The type of `register`, whose definition precedes its first use."""
    layout = register.layout
    if layout is not None:
        kind = _type_name(layout)
        if kind not in defined:
            _add_flags(feature, kind, layout)
    elif register.name == LINE:
        kind = _LINE_TYPE
        _add_enum(feature, kind, LINE_LEVELS)
    else:
        kind = f"uint{register.bits}"
    defined.add(kind)
    return kind


def shown_fields(layout: Layout) -> tuple[Field, ...]:
    """The fields of `layout` that `<flags>` has: of a list register also EOI, which only HW = 0 gives a meaning."""
    return (*layout.fields, SOFTWARE["EOI"]) if layout is HARDWARE else layout.fields


def _add_flags(feature: ET.Element, kind: str, layout: Layout) -> None:
    fields = sorted(shown_fields(layout), key=lambda field: field.lsb)
    for field in fields:
        if field.values:
            _add_enum(feature, _enum_name(kind, field), {n: enumerator(text) for n, text in field.values.items()})
    flags = ET.SubElement(feature, "flags", id=kind, size=str(layout.width // 8))
    for field in fields:
        name = _SHORT[field.name] if layout is HARDWARE else field.name
        attributes = {"name": name, "start": str(field.lsb), "end": str(field.lsb + field.width - 1)}
        if field.values:
            attributes["type"] = _enum_name(kind, field)
        ET.SubElement(flags, "field", attributes)


def _add_enum(feature: ET.Element, kind: str, names: Mapping[int, str]) -> None:
    enum = ET.SubElement(feature, "enum", id=kind, size="4")
    for value, name in names.items():
        ET.SubElement(enum, "evalue", name=name, value=str(value))


def _type_name(layout: Layout) -> str:
    """`gicc_ctlr` for GICC_CTLR; `gich_lr` for what a list register is shown as."""
    return "gich_lr" if layout is HARDWARE else re.sub(r"\W+", "_", layout.name.lower()) + "_flags"


def _enum_name(kind: str, field: Field) -> str:
    return f"{kind}_{field.name.lower()}"


# --- memory -----------------------------------------------------------------------------------------------------------


def _everything(layout: AddressSpace) -> Iterator[tuple[int, int]]:
    for window in layout.windows:
        yield window.base, window.size
    yield layout.code
    yield layout.irq_base, layout.irq_size
    for vcpu in range(layout.vcpus):
        yield layout.stack(vcpu)


def _joined(areas: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Areas (base, size) in order, those that adjoin made one, so that gdb does not split what spans two."""
    joined: list[tuple[int, int]] = []
    for base, size in sorted(areas):
        if joined and sum(joined[-1]) == base:
            joined[-1] = (joined[-1][0], joined[-1][1] + size)
        else:
            joined.append((base, size))
    return joined


# --- the form ---------------------------------------------------------------------------------------------------------


def _document(root: ET.Element, kind: str = "", dtd: str = "") -> str:
    ET.indent(root, " ")
    doctype = f'<!DOCTYPE {kind} SYSTEM "{dtd}">\n' if kind else ""
    return f'<?xml version="1.0"?>\n{doctype}{ET.tostring(root, encoding="unicode")}\n'
