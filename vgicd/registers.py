"""The row types of which every register frame is made, and the one gate in front of all handlers.

A register is one row: its name, place, widths, fields, reset value, meaning and handlers.  Dispatch, the checks of
range, width and alignment, names in logs and debuggers, the register reference and the exhaustive tests are all
derived from the rows.  Layouts are validated when they are built: fields fit, and none overlaps another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

BYTE_OR_WORD: Final = 1 | 4
WORD: Final = 4
MAX_INTID: Final = 1024

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Field:
    """Bits [lsb + width - 1 : lsb] of a word; `values` names what they may hold, `access` is RW, RO or WO."""

    name: str
    lsb: int
    width: int = 1
    doc: str = ""
    access: str = "RW"
    values: Mapping[int, str] = field(default_factory=dict)

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.lsb

    def get(self, word: int) -> int:
        return (word >> self.lsb) & ((1 << self.width) - 1)

    def put(self, value: int) -> int:
        """`value` moved to the field's place.

        Raises ValueError if it does not fit.
        """
        if value >> self.width:
            raise ValueError(f"{self.name} takes {self.width} bits, not {value:#x}")
        return value << self.lsb


class Layout:
    """The fields of one word.

    Raises ValueError when two fields overlap, one leaves the word, or a name comes twice.
    """

    def __init__(self, name: str, width: int, *fields: Field) -> None:
        seen = 0
        for item in fields:
            if item.lsb + item.width > width:
                raise ValueError(f"{name}.{item.name} leaves the {width}-bit word")
            if seen & item.mask:
                raise ValueError(f"{name}.{item.name} overlaps another field")
            seen |= item.mask
        self.name = name
        self.width = width
        self.fields = fields
        self.mask = seen
        self._by_name = {item.name: item for item in fields}
        if len(self._by_name) != len(fields):
            raise ValueError(f"{name} names a field twice")

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def decode(self, word: int) -> dict[str, int]:
        """Every field's value, most significant first."""
        return {item.name: item.get(word) for item in sorted(self.fields, key=lambda f: -f.lsb)}

    def encode(self, **values: int) -> int:
        """The word with these field values, the others 0."""
        word = 0
        for name, value in values.items():
            word |= self[name].put(value)
        return word


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One row of a frame.

    `bits` is the number of bits per interrupt, 0 for a register that is not indexed by INTID.  `widths` is a set of
    byte counts as an integer (1 | 4).  `writable` is the mask of bits that a write can change, per interrupt when
    `bits` is not 0.  `effect` is what a written 1 does: "store", "set", "clear", "command" (the write is an event) or
    "none".  `reset` is the word at reset, per interrupt as (SGI, PPI, SPI) when `bits` is not 0; None where it
    depends on the accessing vCPU.  `live` rows show state that a running vCPU's list registers hold; a write to a row
    that `folds` changes or reinterprets it, so that it must be folded first.

    Handlers get the frame's target first.  `peek` answers as `read` would, without its side effects; `restore`
    stores exactly, without effects on queues' owners or hardware (None: the register holds no state of its own).
    """

    name: str
    offset: int
    length: int
    widths: int
    bits: int
    access: str
    read: Handler
    write: Handler
    peek: Handler
    restore: Handler | None
    fields: Layout | None
    reset: int | tuple[int, int, int] | None
    writable: int
    effect: str
    live: bool
    folds: bool
    read_effect: bool
    doc: str

    def first(self, offset: int) -> int:
        """The lowest INTID that an access at frame offset `offset` touches."""
        return (offset - self.offset) * 8 // self.bits

    @property
    def words(self) -> int:
        return self.length // 4

    def element(self, intid: int) -> int:
        """Reset value of one interrupt's field."""
        if not isinstance(self.reset, tuple):
            raise TypeError(f"{self.name} is not reset per interrupt")
        return self.reset[0 if intid < 16 else 1 if intid < 32 else 2]


def zero(*_: object) -> int:
    """Read as zero."""
    return 0


def ignore(*_: object) -> None:
    """Writes are ignored."""


def block(
    name: str,
    offset: int,
    widths: int = WORD,
    read: Handler | None = None,
    write: Handler | None = None,
    *,
    length: int = 4,
    fields: Layout | None = None,
    reset: int | None = 0,
    writable: int = 0,
    effect: str = "",
    peek: Handler | None = None,
    restore: Handler | None = None,
    live: bool = False,
    doc: str = "",
) -> Register:
    """A register at a fixed place, `length` bytes long (several words of one kind)."""
    return Register(
        name=name,
        offset=offset,
        length=length,
        widths=widths,
        bits=0,
        access="WO" if read is None else "RO" if write is None else "RW",
        read=read or zero,
        write=write or ignore,
        peek=peek or read or zero,
        restore=restore,
        fields=fields,
        reset=reset,
        writable=writable,
        effect=effect or ("store" if write else "none"),
        live=live,
        folds=live,
        read_effect=peek is not None,
        doc=doc,
    )


def per_irq(
    name: str,
    offset: int,
    bits: int,
    widths: int = WORD,
    read: Handler | None = None,
    write: Handler | None = None,
    *,
    count: int = MAX_INTID,
    reset: tuple[int, int, int] | None = (0, 0, 0),
    writable: int = 0,
    effect: str = "store",
    peek: Handler | None = None,
    restore: Handler | None = None,
    live: bool = False,
    folds: bool = False,
    doc: str = "",
) -> Register:
    """A register array with `bits` bits for each of `count` interrupts, INTID 0 first."""
    return Register(
        name=name,
        offset=offset,
        length=count * bits // 8,
        widths=widths,
        bits=bits,
        access="RW" if write else "RO",
        read=read or zero,
        write=write or ignore,
        peek=peek or read or zero,
        restore=restore,
        fields=None,
        reset=reset,
        writable=writable,
        effect=effect if write else "none",
        live=live,
        folds=folds or live,
        read_effect=False,
        doc=doc,
    )


class Frame:
    """A register frame: rows, and the flat list by word offset that dispatch uses.

    Raises ValueError when two rows overlap or one leaves the frame.
    """

    def __init__(self, name: str, size: int, rows: Iterable[Register]) -> None:
        self.name = name
        self.size = size
        self.rows: tuple[Register, ...] = tuple(sorted(rows, key=lambda row: row.offset))
        by_word: list[Register | None] = [None] * (size // 4)
        for row in self.rows:
            for word in range(row.offset // 4, (row.offset + row.length) // 4):
                if by_word[word] is not None:
                    raise ValueError(f"{row.name} overlaps another register of {name}")
                by_word[word] = row
        if len(by_word) != size // 4:
            raise ValueError(f"a register leaves the frame {name}")
        self.by_word: tuple[Register | None, ...] = tuple(by_word)
        self._by_name = {row.name: row for row in self.rows}

    def __getitem__(self, name: str) -> Register:
        return self._by_name[name]

    def row_at(self, offset: int) -> Register | None:
        """The row that covers frame offset `offset` (0 .. size-1), if any."""
        return self.by_word[offset >> 2]

    def gate(self, offset: int, size: int, nr_irqs: int = MAX_INTID) -> Register | None:
        """The row that an access of `size` bytes at `offset` reaches; None when the access is refused.

        Refused are places without a register, widths the row does not take, misaligned accesses, and those whose
        first interrupt is `nr_irqs` or above.  This is the only check: handlers trust it.
        """
        row = self.by_word[offset >> 2]
        if row is None or not row.widths & size or offset & (size - 1):
            return None
        if row.bits and (offset - row.offset) * 8 // row.bits >= nr_irqs:
            return None
        return row

    def register_name(self, offset: int) -> str:
        """The name to show for `offset`: GICD_ISENABLER1, GICC_IAR; "reserved" where no register is."""
        row = self.by_word[offset >> 2]
        if row is None:
            return f"{self.name}+{offset:#05x} (reserved)"
        if row.length == 4:
            return row.name
        return f"{row.name}{(offset - row.offset) >> 2}"
