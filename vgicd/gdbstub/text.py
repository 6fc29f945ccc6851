"""Words as people read them: flags by name, list registers in fields, tables in columns.

Everything is derived from the layouts of the rows, and plain ASCII without colours: what is made here ends on a gdb
console, in an MI record or in a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from vgicd.hw import list_register as lr
from vgicd.hw.gicv import FIRST_SPECIAL
from vgicd.registers import Layout
from vgicd.vgic.irq import NR_PRIVATE, NR_SGIS

WIDTH: Final = 100
"""No line of a table that people read is longer."""

_SPECIAL: Final = {1022: "1022 (group 1: read GICC_AIAR)", 1023: "1023 (none)"}


def kind_of(intid: int) -> str:
    """SGI, PPI or SPI."""
    return "SGI" if intid < NR_SGIS else "PPI" if intid < NR_PRIVATE else "SPI"


def irq_name(intid: int, names: Mapping[int, str]) -> str:
    """The interrupt's symbol: irq42, or irq27_vtimer where `names` has an alias."""
    return f"irq{intid}_{names[intid]}" if intid in names else f"irq{intid}"


def bits(mask: int) -> str:
    """The numbers of the set bits: `0 2 3`, or `-`."""
    return " ".join(str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1) or "-"


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, neighbours together: `16-31 42`, or `-`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return " ".join("-".join(map(str, part)) for part in found) or "-"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def hold(holders: Sequence[str]) -> str:
    """`gdb#1 holds`, `gdb#1 and gdb#2 hold`."""
    return f"{listed(holders)} {'holds' if len(holders) == 1 else 'hold'}"


def vcpus(mask: int) -> str:
    """The vCPUs whose bit is set: `vCPU 0`, `vCPUs 0 2`, or `no vCPU`."""
    if not mask:
        return "no vCPU"
    return f"vCPU{'s' if mask & mask - 1 else ''} {bits(mask)}"


def flags(layout: Layout, word: int) -> str:
    """A word by its fields, most significant first: set flags by name, wider fields as NAME=value unless 0; or `-`."""
    words = []
    for name, value in layout.decode(word).items():
        if value:
            words.append(name if layout[name].width == 1 else f"{name}={value}")
    return " ".join(words) or "-"


def layout_of(word: int) -> Layout:
    """The layout of a list register that holds `word`: with HW set it has others."""
    return lr.HARDWARE if word & lr.HW else lr.SOFTWARE


def list_register(word: int, names: Mapping[int, str]) -> str:
    """GICH_LR in words: `irq27_vtimer pending prio 0x80 hw 27`; `free` as in GICH_ELRSR, with what it held last."""
    layout = layout_of(word)
    fields = layout.decode(word)
    if lr.is_free(word):
        return f"free, held {irq_name(fields['VirtualID'], names)}" if word else "free"
    state = layout["State"].values[fields["State"]]
    words = [irq_name(fields["VirtualID"], names), state, f"prio {fields['Priority'] << 3:#04x}"]
    if fields["Grp1"]:
        words.append("group 1")
    if fields["HW"]:
        words.append(f"hw {fields['PhysicalID']}")
    elif fields["VirtualID"] < NR_SGIS:
        words.append(f"from cpu {fields['CPUID']}")
    if fields.get("EOI"):
        words.append("reports EOI")
    return " ".join(words)


def identity(word: int, names: Mapping[int, str]) -> str:
    """What IAR answered or EOIR was given: the interrupt, and the requesting CPU of an SGI."""
    intid = word & lr.VIRTUAL_ID
    if intid >= FIRST_SPECIAL:
        return _SPECIAL.get(intid, str(intid))
    name = irq_name(intid, names)
    return f"{name} from cpu {(word & lr.CPUID) >> lr.SOURCE_SHIFT}" if intid < NR_SGIS else name


def outputs(word: int, count: int) -> str:
    """The levels of all vIRQ and vFIQ lines: `vcpu0 irq, vcpu2 fiq`, or `all low`."""
    high = []
    for vcpu in range(count):
        levels = word >> 2 * vcpu & 3
        names = [name for bit, name in enumerate(("irq", "fiq")) if levels >> bit & 1]
        if names:
            high.append(f"vcpu{vcpu} {'+'.join(names)}")
    return ", ".join(high) or "all low"


def cell(value: Any) -> str:
    """A value in a table: yes or no for a bool, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, indent: str = "") -> list[str]:
    """Lines of a table under a header; a column of numbers is flush right, others flush left."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[n]) for row in cells), 0) for n, name in enumerate(columns)]
    right = [bool(cells) and all(_is_number(row[n]) for row in cells) for n in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        parts = (
            value.rjust(width) if flush else value.ljust(width)
            for value, width, flush in zip(values, widths, right, strict=True)
        )
        return f"{indent}{'  '.join(parts)}".rstrip()

    return [line(columns), *(line(row) for row in cells)]


def _is_number(value: str) -> bool:
    return not value or value.isdecimal() or value.startswith("0x")


def pairs(items: Iterable[tuple[str, Any]], *, indent: str = "  ") -> list[str]:
    """Lines `name   value`, the values below each other; those without a value are left out."""
    found = [(name, cell(value)) for name, value in items if value is not None]
    width = max((len(name) for name, _ in found), default=0)
    return [f"{indent}{name:<{width}}  {value}".rstrip() for name, value in found]
