"""The parts of the AArch64 architecture that the machine has to know: encodings, PSTATE, syndromes, instructions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple


class SystemRegister(NamedTuple):
    """An MRS/MSR operand."""

    op0: int
    op1: int
    crn: int
    crm: int
    op2: int


SCTLR_EL1: Final = SystemRegister(3, 0, 1, 0, 0)
SPSR_EL1: Final = SystemRegister(3, 0, 4, 0, 0)
ELR_EL1: Final = SystemRegister(3, 0, 4, 0, 1)
SP_EL0: Final = SystemRegister(3, 0, 4, 1, 0)
ESR_EL1: Final = SystemRegister(3, 0, 5, 2, 0)
FAR_EL1: Final = SystemRegister(3, 0, 6, 0, 0)
VBAR_EL1: Final = SystemRegister(3, 0, 12, 0, 0)
CONTEXTIDR_EL1: Final = SystemRegister(3, 0, 13, 0, 1)
VMPIDR_EL2: Final = SystemRegister(3, 4, 0, 0, 5)
HCR_EL2: Final = SystemRegister(3, 4, 1, 1, 0)
SP_EL1: Final = SystemRegister(3, 4, 4, 1, 0)
CNTHCTL_EL2: Final = SystemRegister(3, 4, 14, 1, 0)
SCR_EL3: Final = SystemRegister(3, 6, 1, 1, 0)

SCTLR_M: Final = 1  # the MMU is on
SCR_BOOT: Final = 0x501  # NS, HCE, RW: EL1 is non-secure AArch64 and may HVC
HCR_TWI: Final = 1 << 13  # WFI is trapped
HCR_TDZ: Final = 1 << 28  # DC ZVA is prohibited: as device accesses it would be 64 single bytes
HCR_RW: Final = 1 << 31  # EL1 is AArch64

PSTATE_F: Final = 1 << 6
PSTATE_I: Final = 1 << 7
PSTATE_BOOT: Final = 0x3C5  # EL1h, DAIF set: the state at reset and at every exception's entry

EC_TRAPPED_WFX: Final = 0x01
EC_INSTRUCTION_ABORT: Final = 0x20  # from a lower EL; one more from the same
EC_DATA_ABORT: Final = 0x24
ESR_IL: Final = 1 << 25  # a 32-bit instruction
EXTERNAL_ABORT: Final = 0x10  # xFSC: synchronous external abort, not on a table walk
ISS_FNV: Final = 1 << 10  # FAR_EL1 is not valid
ISS_WNR: Final = 1 << 6  # the access was a write

VECTOR_SYNC: Final = 0x000
VECTOR_IRQ: Final = 0x080
VECTOR_FIQ: Final = 0x100


def exception_level(pstate: int) -> int:
    """0 or 1 for what runs here."""
    return pstate >> 2 & 3


def vector_group(pstate: int) -> int:
    """The offset from VBAR_EL1 of the four vectors for an exception taken from `pstate` to EL1."""
    if exception_level(pstate) == 0:
        return 0x600 if pstate & 0x10 else 0x400
    return 0x200 if pstate & 1 else 0x000


WFE: Final = 0xD503205F
YIELD: Final = 0xD503203F
_LOOK_AHEAD: Final = 12  # instructions


def ends_block(word: int) -> bool:
    """True for an instruction after which the interrupt mask or the PC may have changed.

    Branches of all kinds, exception generation, and the whole system class (MSR to DAIF among it).
    """
    branch = word >> 26 & 0x1F == 0b00101 or word >> 25 & 0x3F in {0b011010, 0b011011}
    conditional = word >> 25 == 0b0101010
    register = word >> 25 == 0b1101011
    system = word >> 24 in {0xD4, 0xD5}
    return branch or conditional or register or system


def is_simple_access(word: int) -> bool:
    """True for a load or store of one general register of at most 32 bits, without write-back.

    Such an instruction is complete once its one device access is: the register is loaded and the PC may move on.  All
    others (64-bit ones are two device accesses; pairs; write-back; exclusives) must be left to finish by themselves.
    """
    if word >> 27 & 7 != 0b111 or word >> 26 & 1:  # the "load/store register" group, general registers
        return False
    if word >> 30 == 3:  # 64 bits, or a prefetch
        return False
    if word >> 24 & 3 == 1:  # unsigned immediate
        return True
    if word >> 24 & 3:
        return False
    if word >> 21 & 1:  # register offset has 0b10 below; 0b00 is an atomic
        return word >> 10 & 3 == 2
    return word >> 10 & 3 in {0, 2}  # unscaled and unprivileged; 1 and 3 write back


def branch_target(address: int, word: int) -> int | None:
    """Where the PC-relative branch `word` at `address` may go, calls excluded; None when it is no such branch."""
    if word >> 26 == 0b000101:  # B
        return address + _signed(word, 26)
    if word >> 25 in {0b0101010, 0b0011010, 0b1011010}:  # B.cond, CBZ and CBNZ of both widths
        return address + _signed(word >> 5, 19)
    if word >> 25 & 0b0111111 == 0b0011011:  # TBZ, TBNZ
        return address + _signed(word >> 5, 14)
    return None


def waits_for_event(fetch: Callable[[int], int | None], pc: int) -> bool:
    """True when a few instructions from `pc`, branches taken or not, lead to WFE or YIELD.

    A CPU found there again and again is most likely spinning until another one writes to memory.
    """
    ahead, seen = deque([pc]), set[int]()
    while ahead and len(seen) < _LOOK_AHEAD:
        address = ahead.popleft()
        word = None if address in seen else fetch(address)
        seen.add(address)
        if word is None:
            continue
        if word in {WFE, YIELD}:
            return True
        target = branch_target(address, word)
        if target is not None:
            ahead.append(target)
        if word >> 26 != 0b000101 and word >> 25 != 0b1101011:  # neither B nor a branch to a register
            ahead.append(address + 4)
    return False


def _signed(field: int, bits: int) -> int:
    """A branch's offset in bytes."""
    sign = 1 << bits - 1
    return ((field & (1 << bits) - 1 ^ sign) - sign) * 4
