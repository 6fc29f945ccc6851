"""Names and fields of the GIC's registers, from the description that the daemon's register rows export.

The description (`registers.json`) is data of this package, so decoding needs neither a daemon nor its code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from vgicd_client.decode import list_register


@dataclass(frozen=True, slots=True)
class Field:
    """Bits [lsb + width - 1 : lsb] of a register; `values` names what they may hold."""

    name: str
    lsb: int
    width: int
    doc: str
    values: dict[int, str]

    def get(self, word: int) -> int:
        """The field's value in `word`."""
        return word >> self.lsb & (1 << self.width) - 1

    def show(self, word: int) -> str:
        """`Name=value`, with the value's meaning where it has a name."""
        value = self.get(word)
        shown = str(value) if self.width <= 4 else f"{value:#x}"
        meaning = self.values.get(value)
        return f"{self.name}={shown} ({meaning})" if meaning else f"{self.name}={shown}"


@dataclass(frozen=True, slots=True)
class Register:
    """A row: one register, or an array of them (`bits` per interrupt, or `length` bytes of one kind)."""

    name: str
    offset: int
    length: int
    widths: tuple[int, ...]
    bits: int
    access: str
    doc: str
    fields: tuple[Field, ...]

    def name_at(self, offset: int) -> str:
        """The name of the word at frame offset `offset`, such as GICD_ISENABLER1."""
        return self.name if self.length == 4 else f"{self.name}{(offset - self.offset) >> 2}"

    @property
    def readable(self) -> bool:
        """Whether a read answers something."""
        return "R" in self.access

    def words(self, nr_irqs: int, nr_lrs: int) -> Iterator[int]:
        """Frame offsets of the words that exist with that many interrupts and list registers."""
        length = self.length
        if self.bits:
            length = min(length, nr_irqs * self.bits // 8)
        elif self.name == "GICH_LR":
            length = min(length, nr_lrs * 4)
        yield from range(self.offset, self.offset + length, 4)

    def decode(self, offset: int, value: int, size: int = 4) -> str:
        """`value`, read with `size` bytes at `offset`, in words: fields, or the interrupts that are not 0."""
        if self.name == "GICH_LR":
            return str(list_register(value))
        if self.fields:
            ordered = sorted(self.fields, key=lambda field: -field.lsb)
            return " ".join(field.show(value) for field in ordered if field.lsb < 8 * size)
        if self.bits:
            return self._per_irq(offset, value, size)
        return ""

    def _per_irq(self, offset: int, value: int, size: int) -> str:
        first = (offset - self.offset) * 8 // self.bits
        mask = (1 << self.bits) - 1
        found = [(first + n, value >> n * self.bits & mask) for n in range(8 * size // self.bits)]
        if self.bits == 1:
            return "irqs " + _ranges([intid for intid, bit in found if bit]) if value else ""
        digits = "{}={:#x}" if self.bits > 2 else "{}={}"
        return " ".join(digits.format(intid, element) for intid, element in found if element)


@dataclass(frozen=True, slots=True)
class Frame:
    """A register frame: its size in bytes and its rows by offset."""

    name: str
    size: int
    registers: tuple[Register, ...]

    def at(self, offset: int) -> Register | None:
        """The row that covers `offset`, if any."""
        for row in self.registers:
            if row.offset <= offset < row.offset + row.length:
                return row
        return None

    def named(self, name: str) -> int | None:
        """The offset of the register called `name` (with or without its frame's prefix), if there is one."""
        wanted = name.upper().removeprefix(self.name + "_")
        for row in self.registers:
            base = row.name.removeprefix(self.name + "_")
            if wanted == base:
                return row.offset
            index = wanted.removeprefix(base)
            if wanted.startswith(base) and index.isdigit() and int(index) < row.length // 4 and row.length > 4:
                return row.offset + 4 * int(index)
        return None


@cache
def frames() -> dict[str, Frame]:
    """GICD, GICC and GICH, by name."""
    description = json.loads(files(__package__).joinpath("registers.json").read_text("utf-8"))
    return {
        name: Frame(name, frame["size"], tuple(map(_register, frame["registers"])))
        for name, frame in description["frames"].items()
    }


def locate(frame: str, offset: int) -> str:
    """The name of the register at `offset` of `frame`; "reserved" where there is none."""
    row = frames()[frame].at(offset)
    return row.name_at(offset & ~3) if row is not None else "reserved"


def describe(frame: str, offset: int, value: int, size: int = 4) -> list[str]:
    """`value` of the register at `offset`, with name and fields; one line, or none for a reserved place."""
    row = frames()[frame].at(offset)
    if row is None:
        return []
    return [f"{row.name_at(offset & ~3)} {value:#x}: {row.decode(offset, value, size)}".removesuffix(": ")]


def _register(row: dict[str, Any]) -> Register:
    return Register(
        name=row["name"],
        offset=row["offset"],
        length=row["length"],
        widths=tuple(row["widths"]),
        bits=row["bits"],
        access=row["access"],
        doc=row["doc"],
        fields=tuple(
            Field(f["name"], f["lsb"], f["width"], f["doc"], {int(k): v for k, v in f["values"].items()})
            for f in row["fields"]
        ),
    )


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers, runs written as 40-43."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
