"""What a load or store does that has come to the stub: from ESR_EL2 where that tells it, else from its word.

The syndrome tells of single registers without write-back, LDAR and STLR among them (DDI 0487 D17.2.37, ISV); for the
rest the instruction is decoded here: pre- and post-index, and pairs, which become two accesses, as QEMU makes of them
for its own devices.  Exclusive, atomic, SIMD and `DC ZVA` accesses to a GIC are nobody's programs, and refused.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_ISV: Final = 1 << 24
_WNR: Final = 1 << 6
_S1PTW: Final = 1 << 7
_PRE, _POST = 3, 1


class Access(NamedTuple):
    """One instruction: `registers` (31: XZR) are loaded or stored one after the other, `size` bytes each.

    A loaded value is sign-extended to `width` bits if `signed`, else zero-extended. `base` and `step`: the register
    (31: SP) that is changed by write-back, and by how much; None and 0 without.
    """

    write: bool
    size: int
    registers: tuple[int, ...]
    signed: bool = False
    width: int = 64
    base: int | None = None
    step: int = 0

    def loaded(self, value: int) -> int:
        """What the register holds after loading `value`, of `size` bytes."""
        bits = 8 * self.size
        value &= (1 << bits) - 1
        if self.signed and value >> bits - 1:
            value |= (1 << self.width) - (1 << bits)
        return value


def from_syndrome(syndrome: int) -> Access | None:
    """The access that ESR_EL2 of a data abort describes; None where it does not, and the word is needed."""
    if not syndrome & _ISV:
        return None
    return Access(
        write=bool(syndrome & _WNR),
        size=1 << (syndrome >> 22 & 3),
        registers=(syndrome >> 16 & 31,),
        signed=bool(syndrome >> 21 & 1),
        width=64 if syndrome >> 15 & 1 else 32,
    )


def during_walk(syndrome: int) -> bool:
    """Whether the abort is that of a translation table walk: the guest has its tables where its GIC is."""
    return bool(syndrome & _S1PTW)


def from_word(word: int) -> Access | None:
    """The access of the instruction `word`; None if it is none that is carried out here (DDI 0487 C4.1.94)."""
    if word >> 24 & 0x3F == 0x38:
        return _single(word)
    if word >> 24 & 0x3F == 0x39:  # unsigned offset: as by register
        return _single(word & ~(3 << 10) | 1 << 21 | 2 << 10)
    if word >> 25 & 0x1F == 0x14:
        return _pair(word)
    return None


def _single(word: int) -> Access | None:
    """Load/store register: unscaled, post-indexed, unprivileged, pre-indexed, by register."""
    size, kind, target, base = word >> 30, word >> 22 & 3, word & 31, word >> 5 & 31
    form = word >> 10 & 3
    by_register = bool(word >> 21 & 1)
    if by_register and form != 2:
        return None  # atomics, pointer authentication
    signed, width = kind >= 2, 64 if kind != 3 else 32
    if size + signed + (width == 32) > 3:
        return None  # prefetches, and what is not allocated
    step = _sign_extend(word >> 12, 9) if not by_register and form in (_PRE, _POST) else 0
    written = base if not by_register and form in (_PRE, _POST) else None
    return Access(kind == 0, 1 << size, (target,), signed, width, written, step)


def _pair(word: int) -> Access | None:
    """LDP, STP, LDNP, STNP, LDPSW of general registers."""
    kind, form, load = word >> 30, word >> 23 & 3, bool(word >> 22 & 1)
    if kind == 3 or (kind == 1 and (not load or form == 0)):
        return None  # not allocated; STGP
    size = 8 if kind == 2 else 4
    written = word >> 5 & 31 if form in (_PRE, _POST) else None
    step = _sign_extend(word >> 15, 7) * size if written is not None else 0
    return Access(not load, size, (word & 31, word >> 10 & 31), kind == 1, 64, written, step)


def _sign_extend(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)
