"""Words in, words out: list registers, GICH status and acknowledgements in a form that people compare.

The layouts are the architecture's (ARM IHI 0048B, chapters 4.4 and 5.3); a test holds them against the daemon's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

LR_STATES: Final = ("invalid", "pending", "active", "pending+active")
HCR_BITS: Final = ("En", "UIE", "LRENPIE", "NPIE", "VGrp0EIE", "VGrp0DIE", "VGrp1EIE", "VGrp1DIE")
MISR_BITS: Final = ("EOI", "U", "LRENP", "NP", "VGrp0E", "VGrp0D", "VGrp1E", "VGrp1D")


class ListRegister(NamedTuple):
    """GICH_LR in fields. `pintid` is -1 without the HW bit, `source` and `eoi` are 0 and False with it."""

    intid: int
    state: str
    priority: int  # as the distributor counts it: 8 bits, the low three 0
    group: int
    hw: bool
    pintid: int
    source: int
    eoi: bool

    def __str__(self) -> str:
        if self.state == "invalid" and not self.intid:
            return "invalid"
        words = [f"{self.intid} {self.state}", f"prio {self.priority:#04x}"]
        if self.group:
            words.append("group 1")
        if self.hw:
            words.append(f"hw {self.pintid}")
        elif self.source:
            words.append(f"from cpu {self.source}")
        if self.eoi:
            words.append("eoi")
        return " ".join(words)


def list_register(word: int) -> ListRegister:
    """The fields of a 32-bit GICH_LR."""
    hw = bool(word >> 31 & 1)
    return ListRegister(
        intid=word & 0x3FF,
        state=LR_STATES[word >> 28 & 3],
        priority=(word >> 23 & 0x1F) << 3,
        group=word >> 30 & 1,
        hw=hw,
        pintid=word >> 10 & 0x3FF if hw else -1,
        source=0 if hw else word >> 10 & 7,
        eoi=not hw and bool(word >> 19 & 1),
    )


def hcr(word: int) -> str:
    """GICH_HCR: the names of the set bits, and EOICount when it is not 0."""
    eoi_count = word >> 27 & 0x1F
    return _names(word & 0xFF, HCR_BITS) + (f" EOICount={eoi_count}" if eoi_count else "")


def misr(word: int) -> str:
    """GICH_MISR: the names of the maintenance requests that are asserted."""
    return _names(word, MISR_BITS)


def bits(word: int) -> str:
    """A bit mask as the numbers of its set bits, as for EISR, ELRSR and APR."""
    return "{" + ", ".join(map(str, numbers(word))) + "}"


def acknowledgement(word: int) -> str:
    """GICC_IAR: the INTID, and the requesting CPU of an SGI."""
    intid, cpu = word & 0x3FF, word >> 10 & 7
    if intid >= 1020:
        return f"{intid} (none)"
    return f"{intid} from cpu {cpu}" if intid < 16 else str(intid)


def outputs(word: int, vcpus: int = 8) -> str:
    """The output levels of a reply: which vCPUs have vIRQ and vFIQ asserted."""
    asserted = [f"{name}{v}" for v in range(vcpus) for b, name in enumerate(("irq", "fiq")) if word >> 2 * v + b & 1]
    return " ".join(asserted) or "none"


def numbers(word: int) -> Iterable[int]:
    """The numbers of the bits set in `word`, ascending."""
    while word:
        lowest = word & -word
        yield lowest.bit_length() - 1
        word ^= lowest


def _names(word: int, names: tuple[str, ...]) -> str:
    return " ".join(names[bit] if bit < len(names) else f"bit{bit}" for bit in numbers(word)) or "none"
