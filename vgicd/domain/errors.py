"""Refusals. After any of these the domain is exactly as it was before the operation."""

from __future__ import annotations

from enum import IntEnum

from vgicd.vgic.errors import CreationError, FatalAssertion

__all__ = ["Code", "CreationError", "FatalAssertion", "InvariantError", "RequestError"]


class Code(IntEnum):
    """Why a request was refused; the numbers are the wire's status codes and never change."""

    OK = 0
    ABORT = 1  # not a refusal: the guest's access faulted
    BAD_VCPU = 0x10  # no such vCPU
    BAD_INTID = 0x11  # no such interrupt
    BAD_ADDRESS = 0x12  # outside the named frame or space
    BAD_SIZE = 0x13  # not 1, 2, 4 or 8
    BAD_VALUE = 0x14  # a field is outside its range
    BAD_STATE = 0x15  # not now: world-switch mode, inside or outside the guest, powered off
    OWNED = 0x16  # the line belongs to a device of the domain
    READ_ONLY = 0x17  # a write on the DEBUG plane, or to a register that holds no state
    NO_DEVICE = 0x18  # the profile has no such device
    BAD_IMAGE = 0x19  # the snapshot does not fit this domain or is damaged
    BAD_CONFIG = 0x1A  # the configuration names something unknown or out of range
    FATAL_ASSERTION = 0x20  # Xen would have stopped here (variant xen)


class RequestError(Exception):
    """A refused operation: `code`, the offending `field` and a sentence that says what to do."""

    def __init__(self, code: Code, field: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.field = field
        self.text = text


class InvariantError(Exception):
    """The domain's state contradicts itself: a defect of this program, or a damaged state image."""
