"""The register frames as a CMSIS-SVD 1.3 file, which debuggers' register views read.

Registers are written out one by one, because readers disagree about <dim>; a register indexed by INTID has a field for
each of its interrupts.  A list register is described twice, as HW=1 and as HW=0.  What depends on the vCPU that reads,
or on the geometry, has the reset mask 0.  Access types are the guest's, for GICH the hypervisor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final
from xml.sax.saxutils import escape

from vgicd import __version__
from vgicd.export.places import Word, enumerator, is_list_register, own_windows, words
from vgicd.gdbstub.layout import AddressSpace, Window
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Field, Frame, Layout
from vgicd.vgic.irq import NR_PRIVATE

_ACCESS: Final[Mapping[str, str]] = {"RW": "read-write", "RO": "read-only", "WO": "write-only"}
_WRITES: Final[Mapping[str, str]] = {"set": "oneToSet", "clear": "oneToClear"}
_FRAMES: Final[Mapping[str, str]] = {
    "GICD": "Distributor",
    "GICC": "CPU interface, as the guest sees it",
    "GICH": "Virtual interface control: the list registers; where gdb finds it, for no guest does",
}
_FIXED_IF_PRIVATE: Final = {"GICD_ITARGETSR", "GICD_ICFGR"}
"""Read-only words of SGIs and PPIs (IHI 0048B 4.3.12, 4.3.13)."""
_ALL: Final = 0xFFFFFFFF
_SCHEMA: Final = (
    'schemaVersion="1.3" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance" '
    'xs:noNamespaceSchemaLocation="CMSIS-SVD.xsd"'
)


def svd(layout: AddressSpace, lrs: int) -> bytes:
    """The file for the frames of `layout` with `lrs` list registers, UTF-8; equal arguments give equal bytes."""
    text = f"Virtual GICv2: {layout.vcpus} vCPUs, INTIDs 0 to {layout.nr_irqs - 1}, {lrs} list registers"
    device = [
        _leaf("vendor", "vgicd"),
        _leaf("name", "vgicd"),
        _leaf("version", __version__),
        _leaf("description", text),
        _leaf("addressUnitBits", "8"),
        _leaf("width", "32"),
        _leaf("size", "32"),
        _leaf("access", "read-write"),
        _leaf("resetValue", _hex(0)),
        _leaf("resetMask", _hex(_ALL)),
    ]
    peripherals = [_peripheral(window, frame, layout.nr_irqs, lrs) for window, frame in own_windows(layout)]
    device += _node("peripherals", chain(*peripherals))
    lines = ['<?xml version="1.0" encoding="utf-8"?>', *_node("device", device, _SCHEMA)]
    return ("\n".join(lines) + "\n").encode()


def _peripheral(window: Window, frame: Frame, nr_irqs: int, lrs: int) -> list[str]:
    block = (_leaf("offset", "0x0"), _leaf("size", f"{window.size:#x}"), _leaf("usage", "registers"))
    registers: list[str] = []
    for word in words(window, nr_irqs, lrs):
        name = frame.register_name(word.offset).removeprefix(f"{frame.name}_")
        if is_list_register(word.row):
            registers += _register(name, "List register, HW=1", word, HARDWARE)
            registers += _register(f"{name}_SOFTWARE", "List register, HW=0", word, SOFTWARE, alternate_of=name)
        else:
            registers += _register(name, word.row.doc, word, word.row.fields)
    return _node(
        "peripheral",
        [
            _leaf("name", frame.name),
            _leaf("description", _FRAMES[frame.name]),
            _leaf("groupName", "GICv2"),
            _leaf("baseAddress", _hex(window.base)),
            *_node("addressBlock", block),
            *_node("registers", registers),
        ],
    )


def _register(name: str, doc: str, word: Word, layout: Layout | None, alternate_of: str = "") -> list[str]:
    row, access, reset = word.row, access_of(word), reset_of(word)
    lines = [_leaf("name", name), _leaf("description", doc)]
    if alternate_of:
        lines.append(_leaf("alternateRegister", alternate_of))
    lines += (
        _leaf("addressOffset", f"{word.distance:#x}"),
        _leaf("size", "32"),
        _leaf("access", _ACCESS[access]),
        _leaf("resetValue", _hex(reset or 0)),
        _leaf("resetMask", _hex(0 if reset is None else _ALL)),
    )
    if row.effect in _WRITES and access != "RO":
        lines.append(_leaf("modifiedWriteValues", _WRITES[row.effect]))
    if row.read_effect:
        lines.append(_leaf("readAction", "modify"))
    fields = _interrupts(word) if row.bits else layout.fields if layout is not None else ()
    if fields:
        ordered = sorted(fields, key=lambda field: field.lsb)
        lines += _node("fields", chain(*(_field(field, access) for field in ordered)))
    return _node("register", lines)


def _field(field: Field, access: str) -> list[str]:
    lines = [_leaf("name", field.name)]
    if field.doc:
        lines.append(_leaf("description", field.doc))
    lines += (_leaf("bitOffset", str(field.lsb)), _leaf("bitWidth", str(field.width)))
    if access == "RW" and field.access != "RW":
        lines.append(_leaf("access", _ACCESS[field.access]))
    values: list[str] = []
    for value, meaning in field.values.items():
        leaves = (_leaf("name", enumerator(meaning)), _leaf("description", meaning), _leaf("value", str(value)))
        values += _node("enumeratedValue", leaves)
    return _node("field", lines + (_node("enumeratedValues", values) if values else []))


def _interrupts(word: Word) -> tuple[Field, ...]:
    """A field for every interrupt in a register that is indexed by INTID."""
    first, bits = word.row.first(word.offset), word.row.bits
    return tuple(Field(f"IRQ{first + index}", index * bits, bits) for index in range(32 // bits))


def access_of(word: Word) -> str:
    """RW, RO or WO: what the row says, except for the words of SGIs and PPIs that cannot be changed."""
    row = word.row
    if row.name in _FIXED_IF_PRIVATE and row.first(word.offset) < NR_PRIVATE:
        return "RO"
    return row.access


def reset_of(word: Word) -> int | None:
    """The word at reset; None where it depends on more than the row."""
    row = word.row
    if not isinstance(row.reset, tuple):
        return row.reset
    first = row.first(word.offset)
    return sum(row.element(first + index) << index * row.bits for index in range(32 // row.bits))


def _leaf(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>"


def _node(tag: str, lines: Iterable[str], attributes: str = "") -> list[str]:
    opening = f"{tag} {attributes}" if attributes else tag
    return [f"<{opening}>", *[f"  {line}" for line in lines], f"</{tag}>"]


def _hex(value: int) -> str:
    return f"{value:#010x}"
