"""The parts of the AArch64 architecture that the machine has to know: encodings, PSTATE, syndromes, instructions."""

from __future__ import annotations

from typing import Final, NamedTuple


class SystemRegister(NamedTuple):
    """An MRS/MSR operand."""

    op0: int
    op1: int
    crn: int
    crm: int
    op2: int


SCTLR_EL1: Final = SystemRegister(3, 0, 1, 0, 0)
CPACR_EL1: Final = SystemRegister(3, 0, 1, 0, 2)
TTBR0_EL1: Final = SystemRegister(3, 0, 2, 0, 0)
TTBR1_EL1: Final = SystemRegister(3, 0, 2, 0, 1)
TCR_EL1: Final = SystemRegister(3, 0, 2, 0, 2)
SPSR_EL1: Final = SystemRegister(3, 0, 4, 0, 0)
ELR_EL1: Final = SystemRegister(3, 0, 4, 0, 1)
CONTEXTIDR_EL1: Final = SystemRegister(3, 0, 13, 0, 1)
CNTKCTL_EL1: Final = SystemRegister(3, 0, 14, 1, 0)
ESR_EL1: Final = SystemRegister(3, 0, 5, 2, 0)
FAR_EL1: Final = SystemRegister(3, 0, 6, 0, 0)
PAR_EL1: Final = SystemRegister(3, 0, 7, 4, 0)
MAIR_EL1: Final = SystemRegister(3, 0, 10, 2, 0)
TPIDR_EL0: Final = SystemRegister(3, 3, 13, 0, 2)
TPIDRRO_EL0: Final = SystemRegister(3, 3, 13, 0, 3)
TPIDR_EL1: Final = SystemRegister(3, 0, 13, 0, 4)
VBAR_EL1: Final = SystemRegister(3, 0, 12, 0, 0)
VMPIDR_EL2: Final = SystemRegister(3, 4, 0, 0, 5)
HCR_EL2: Final = SystemRegister(3, 4, 1, 1, 0)
CNTHCTL_EL2: Final = SystemRegister(3, 4, 14, 1, 0)
SCR_EL3: Final = SystemRegister(3, 6, 1, 1, 0)

SCTLR_M: Final = 1  # the MMU is on
SCR_BOOT: Final = 0x501  # NS, HCE, RW: EL1 is non-secure AArch64 and may HVC
HCR_TWI: Final = 1 << 13  # WFI is trapped
HCR_RW: Final = 1 << 31  # EL1 is AArch64

PSTATE_F: Final = 1 << 6  # FIQ masked
PSTATE_I: Final = 1 << 7  # IRQ masked
PHYSICAL_TIMER_CRM: Final = 2  # CRm of the CNTP_* registers
VIRTUAL_TIMER_CRM: Final = 3  # and of the CNTV_* ones
TIMER_CRMS: Final = frozenset({PHYSICAL_TIMER_CRM, VIRTUAL_TIMER_CRM})

EC_TRAPPED_WFX: Final = 0x01
EC_INSTRUCTION_ABORT: Final = 0x20  # from a lower EL; one more from the same
EC_DATA_ABORT: Final = 0x24
ESR_IL: Final = 1 << 25  # a 32-bit instruction
EXTERNAL_ABORT: Final = 0x10  # xFSC: synchronous external abort, not on a table walk
ISS_FNV: Final = 1 << 10  # FAR_EL1 is not valid
ISS_WNR: Final = 1 << 6  # the access was a write


def exception_level(pstate: int) -> int:
    """0 or 1 for what runs here."""
    return pstate >> 2 & 3


def masking_syndrome(word: int) -> int:
    """ESR_EL1 of an EL0 instruction for which the engine has none: a trapped MSR DAIFSet or DAIFClr, else nothing."""
    if word & 0xFFFF_F0DF != _MSR_DAIF:
        return ESR_IL
    op2, crm = word >> 5 & 7, word >> 8 & 0xF
    return _EC_TRAPPED_MSR << 26 | ESR_IL | op2 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | crm << 1


_EC_TRAPPED_MSR: Final = 0x18
_MSR_DAIF: Final = 0xD503_40DF  # without the immediate; bit 5 tells Clr from Set

WFE: Final = 0xD503205F
SEMIHOSTING_HLT: Final = 0xD45E_0000  # HLT #0xF000


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
