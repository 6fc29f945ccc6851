"""The documents in which gdb reads what the machine is (gdb manual, "Target Description Format" and others)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from vgicd_machine.gdb.fields import TYPES
from vgicd_machine.gdb.registers import FPU, REGISTERS, SYSTEM

_VECTORS: Final = (  # gdb's name, type of an element, how many: the views of a V register
    ("v2d", "ieee_double", 2), ("v2u", "uint64", 2), ("v2i", "int64", 2),
    ("v4f", "ieee_single", 4), ("v4u", "uint32", 4), ("v4i", "int32", 4),
    ("v8u", "uint16", 8), ("v8i", "int16", 8), ("v16u", "uint8", 16), ("v16i", "int8", 16),
    ("v1u", "uint128", 1), ("v1i", "int128", 1),
)  # fmt: skip
_UNIONS: Final = (
    ("vnd", (("f", "v2d"), ("u", "v2u"), ("s", "v2i"))),
    ("vns", (("f", "v4f"), ("u", "v4u"), ("s", "v4i"))),
    ("vnh", (("u", "v8u"), ("s", "v8i"))),
    ("vnb", (("u", "v16u"), ("s", "v16i"))),
    ("vnq", (("u", "v1u"), ("s", "v1i"))),
    ("aarch64v", (("d", "vnd"), ("s", "vns"), ("h", "vnh"), ("b", "vnb"), ("q", "vnq"))),
)
_HALF: Final = 1 << 63


@cache
def target_description() -> bytes:
    """target.xml."""
    root = ET.Element("target", version="1.0")
    ET.SubElement(root, "architecture").text = "aarch64"
    ET.SubElement(root, "osabi").text = "none"  # else gdb takes the guest for a program on Linux
    for name, group in groupby(REGISTERS, key=lambda register: register.feature):
        registers = list(group)
        feature = ET.SubElement(root, "feature", name=name)
        if name == FPU:
            _add_vectors(feature)
        for kind in dict.fromkeys(register.type for register in registers):
            if kind in TYPES:
                _add_flags(feature, kind)
        for register in registers:
            attributes = {"name": register.name, "bitsize": str(register.bits), "type": register.type}
            attributes["regnum"] = str(REGISTERS.index(register))
            if name == SYSTEM:  # else gdb would write them all back after it has called a function
                attributes |= {"group": "system", "save-restore": "no"}
            ET.SubElement(feature, "reg", attributes)
    return _document(root, "target", "gdb-target.dtd")


def threads(states: Iterable[str]) -> bytes:
    """The CPUs by what they do."""
    root = ET.Element("threads")
    for number, state in enumerate(states):
        thread = ET.SubElement(root, "thread", id=f"p1.{number + 1:x}", core=str(number), name=f"cpu{number}")
        thread.text = state
    return _document(root)


@cache
def memory_map() -> bytes:
    """Everything: gdb's addresses are the guest's virtual ones, and what is mapped where changes all the time."""
    root = ET.Element("memory-map")
    for half in (0, _HALF):
        ET.SubElement(root, "memory", type="ram", start=f"{half:#x}", length=f"{_HALF:#x}")
    return _document(root, "memory-map", "gdb-memory-map.dtd")


def _add_vectors(feature: ET.Element) -> None:
    for name, kind, count in _VECTORS:
        ET.SubElement(feature, "vector", id=name, type=kind, count=str(count))
    for name, views in _UNIONS:
        union = ET.SubElement(feature, "union", id=name)
        for view, kind in views:
            ET.SubElement(union, "field", name=view, type=kind)


def _add_flags(feature: ET.Element, kind: str) -> None:
    flags = ET.SubElement(feature, "flags", id=kind, size="4")
    for name, low, high in TYPES[kind]:
        ET.SubElement(flags, "field", name=name, start=str(low), end=str(high))


def _document(root: ET.Element, kind: str = "", dtd: str = "") -> bytes:
    ET.indent(root, " ")
    doctype = f'<!DOCTYPE {kind} SYSTEM "{dtd}">\n' if kind else ""
    return f'<?xml version="1.0"?>\n{doctype}{ET.tostring(root, encoding="unicode")}\n'.encode()
