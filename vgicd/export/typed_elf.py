"""The symbol file: what makes gdb see the interrupt controller as variables of a program.

Every window of the layout is a structure (`gicd`, `gicc2`, `live_gicc`), every register word of the guest's own frames
a variable called as everywhere else (GICD_ISENABLER1), every edge of an interrupt's life a function.  All of it comes
from the register rows:

- a register with fields is a structure of bit fields, least significant first; one whose only field is a number in its
  low bits (GICC_PMR) is that number;
- registers indexed by INTID are arrays: of words for one or two bits per interrupt, of bytes for eight, so that
  gicd.IPRIORITYR[42] is interrupt 42;
- a list register has the fields of HW=1; gich_lr_software[0] is LR0 with those of HW=0, and for another vCPU's it is
  `{struct gich_lr_software} &gich2.LR[0]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vgicd import __version__
from vgicd.domain.address_map import PAGE
from vgicd.export.dwarf import Code, Encoding, FrameRules, Member, Unit, abbreviations
from vgicd.export.elf import ALLOC, EXECUTE, WRITE, Kind, Section, Symbol, write
from vgicd.export.places import (
    FRAMES,
    enumerator,
    existing,
    is_list_register,
    own_windows,
    page_distance,
    seen_at,
    words,
)
from vgicd.gdbstub.arch import Arch
from vgicd.gdbstub.layout import AddressSpace
from vgicd.gdbstub.lifecycle import SLOT, SPLIT, STEP
from vgicd.hw.gich import GICH
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Field, Frame, Layout, Register

SOFTWARE_LRS: Final = "gich_lr_software"
"""Both the structure of a list register with HW=0, and the variable that shows all of them so."""
_UNIT: Final = "<vgicd, no source>"
"""What gdb takes for the source's name, and tells of in vain: nothing that may exist where gdb was started."""
_ARM_FLAGS: Final = {40: 0x05000000}  # EF_ARM_EABI_VER5: without it gdb takes the procedure calls of before 2005


def symbol_file(arch: Arch, layout: AddressSpace, lrs: int, names: Mapping[int, str]) -> bytes:
    """An ELF file with DWARF for `layout` with `lrs` list registers; `names` gives INTIDs an alias, irqN_NAME."""
    unit = Unit(_UNIT, f"vgicd {__version__}", arch.word)
    sections = [
        *_registers(unit, layout, lrs),
        *_code(layout, names),
        Section(".debug_info", content=unit.finish()),
        Section(".debug_abbrev", content=abbreviations()),
        Section(".debug_frame", content=_frames(layout)),
    ]
    return write(arch.elf_machine, arch.elf_class, sections, flags=_ARM_FLAGS.get(arch.elf_machine, 0))


def _registers(unit: Unit, layout: AddressSpace, lrs: int) -> Iterator[Section]:
    """A section for each window; what is in them is declared to `unit`, which then is complete."""
    types = _Types(unit, layout.nr_irqs, lrs)
    own = dict(own_windows(layout))
    for window in layout.windows:
        if window.space not in FRAMES:
            continue
        frame = FRAMES[window.space]
        unit.variable(window.name, types.frame(frame, page_distance(window)), window.base)
        if window in own:  # each word has a name, which a symbol of the whole would hide
            symbols = [
                Symbol(frame.register_name(word.offset), window.base + word.distance, 4, Kind.OBJECT)
                for word in words(window, layout.nr_irqs, lrs)
            ]
            for symbol in symbols:
                unit.variable(symbol.name, types.word, symbol.address)
            if frame is GICH:
                unit.variable(SOFTWARE_LRS, types.software_lrs(), window.base + GICH["GICH_LR"].offset)
        else:
            symbols = [Symbol(window.name, window.base, window.size, Kind.OBJECT)]
        yield Section(f".{window.name}", window.base, window.size, ALLOC | WRITE, symbols=symbols)


def _code(layout: AddressSpace, names: Mapping[int, str]) -> Iterator[Section]:
    """`idle`, and the edges of interrupts' lives."""
    functions = [Symbol(*found, Kind.FUNCTION) for found in layout.symbols(names)]
    for name, base, size in ((".text", *layout.code), (".irq", layout.irq_base, layout.irq_size)):
        inside = [symbol for symbol in functions if base <= symbol.address < base + size]
        yield Section(name, base, size, ALLOC | EXECUTE, symbols=inside)


def _frames(layout: AddressSpace) -> bytes:
    """.debug_frame: the outermost active interrupt has no caller, nor has `idle` where it is one."""
    arch = layout.arch
    text, size = layout.code
    slots = range(layout.irq_base, layout.irq_base + layout.irq_size, SLOT)
    rules = FrameRules(arch.word, arch.slot, arch.stack_column, arch.return_column)
    return rules.section(
        (
            Code(text, size, [(layout.idle, layout.idle + SPLIT)]),
            Code(layout.irq_base, layout.irq_size, [(slot + SPLIT, slot + STEP) for slot in slots]),
        )
    )


class _Types:
    """The types of one unit, each written when it is first used."""

    def __init__(self, unit: Unit, nr_irqs: int, lrs: int) -> None:
        self._unit = unit
        self._nr_irqs = nr_irqs
        self._lrs = lrs
        self.word = unit.base("unsigned int", 4, Encoding.UNSIGNED)
        self._byte = unit.base("unsigned char", 1, Encoding.UNSIGNED_CHAR)
        self._layouts: dict[str, int] = {}
        self._enumerations: dict[str, int] = {}
        self._frames: dict[tuple[str, int], int] = {}

    def frame(self, frame: Frame, pages: int) -> int:
        """The structure of a frame whose pages are `pages` bytes apart."""
        key = (frame.name, pages)
        if key not in self._frames:
            members = [
                Member(row.name.removeprefix(f"{frame.name}_"), self._register(row), seen_at(row.offset, pages))
                for row in frame.rows
            ]
            size = frame.size // PAGE * pages
            self._frames[key] = self._unit.structure(frame.name.lower(), size, members)
        return self._frames[key]

    def software_lrs(self) -> int:
        """All list registers, with the fields of HW=0."""
        return self._unit.array(self._layout(SOFTWARE, SOFTWARE_LRS), self._lrs, self.word)

    def _register(self, row: Register) -> int:
        size = existing(row, self._nr_irqs, self._lrs)
        if row.bits == 8:
            return self._unit.array(self._byte, size, self.word)
        if is_list_register(row):
            element = self._layout(HARDWARE, "gich_lr")
        else:
            element = self._word_of(row.fields)
        return element if row.length == 4 else self._unit.array(element, size // 4, self.word)

    def _word_of(self, fields: Layout | None) -> int:
        if fields is None or _is_number(fields):
            return self.word
        return self._layout(fields, fields.name.lower())

    def _layout(self, layout: Layout, name: str) -> int:
        if name not in self._layouts:
            ordered = sorted(layout.fields, key=lambda field: field.lsb)
            members = [Member(field.name, self._field(field), 0, field.lsb, field.width) for field in ordered]
            self._layouts[name] = self._unit.structure(name, 4, members)
        return self._layouts[name]

    def _field(self, field: Field) -> int:
        if not field.values:
            return self.word
        if field.name not in self._enumerations:
            values = {value: enumerator(meaning) for value, meaning in field.values.items()}
            self._enumerations[field.name] = self._unit.enumeration(field.name, 4, self.word, values)
        return self._enumerations[field.name]


def _is_number(layout: Layout) -> bool:
    """Is the register one number in its low bits, rather than flags?"""
    return len(layout.fields) == 1 and layout.fields[0].lsb == 0 and layout.fields[0].width > 1
