"""Status codes: every way in which a request can be answered with something else than its result.

Three kinds of wrong are never mixed.  A *guest fault* is ABORT: the operation was applied and the guest took what the
hardware would have given it.  A *request fault* is any other code in a reply: nothing changed and the connection goes
on.  A *framing fault* is an ERROR frame, after which the server closes: the stream can no longer be trusted.

The numbers are append-only.  A reply to READ, WRITE or LINE carries the code alone, so `SENTENCES` is also what a
client shows for it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """The `status` of a reply."""

    OK = 0x00
    ABORT = 0x01
    BAD_VCPU = 0x10
    BAD_INTID = 0x11
    BAD_ADDRESS = 0x12
    BAD_SIZE = 0x13
    BAD_VALUE = 0x14
    BAD_STATE = 0x15
    OWNED = 0x16
    READ_ONLY = 0x17
    NO_DEVICE = 0x18
    BAD_IMAGE = 0x19
    BAD_CONFIG = 0x1A
    FATAL_ASSERTION = 0x20
    UNSUPPORTED = 0x40
    DENIED = 0x41
    BAD_BODY = 0x42
    RESERVED_BITS = 0x43
    TOO_MANY = 0x44
    VERSION = 0x45
    BUSY = 0x46
    TIMEOUT = 0x47
    NOT_HELLO = 0x48
    FRAME_LENGTH = 0x49
    FRAME_ORDER = 0x4A
    INTERNAL = 0x4F


SENTENCES: Final[dict[Status, str]] = {
    Status.OK: "The operation was applied.",
    Status.ABORT: "The guest's access faulted: deliver an abort to the guest.",
    Status.BAD_VCPU: "No such vCPU: use 0 to vcpus - 1 of WELCOME (0xFFFF owns an SPI's line).",
    Status.BAD_INTID: "No such interrupt: use 0 to 31 + spis of WELCOME; an SGI has no line, a PPI's needs its vCPU.",
    Status.BAD_ADDRESS: "The address is outside the named space: compare it with the frames of WELCOME.",
    Status.BAD_SIZE: "The size is not 1, 2, 4 or 8 bytes.",
    Status.BAD_VALUE: "A field is outside its range: compare it with the message's table.",
    Status.BAD_STATE: "Not now: check the world-switch mode and whether the vCPU is inside the guest or powered off.",
    Status.OWNED: "The line belongs to a device of the domain: drive the device instead.",
    Status.READ_ONLY: "Nothing can be written there: the DEBUG plane only reads, and not every register holds state.",
    Status.NO_DEVICE: "This domain's profile has no such device: choose a profile that has it.",
    Status.BAD_IMAGE: "The state image is damaged or was taken from a domain of another geometry.",
    Status.BAD_CONFIG: "The configuration names something unknown or out of range: correct the named key.",
    Status.FATAL_ASSERTION: "Xen would have stopped here (variant xen): the state is as before the operation.",
    Status.UNSUPPORTED: "Unknown opcode or feature: use only what this version of the protocol lists.",
    Status.DENIED: "The connection's role does not allow this: say HELLO with a higher role, if your uid may.",
    Status.BAD_BODY: "The body does not have the message's layout: compare it with the message's table.",
    Status.RESERVED_BITS: "Reserved bits or flags are set: send them as zero.",
    Status.TOO_MANY: "More than the limit: send fewer at a time; the limits are in WELCOME.",
    Status.VERSION: "No common protocol version: speak one that the other side names.",
    Status.BUSY: "Too many connections: close one or try again later.",
    Status.TIMEOUT: "The deadline passed before it happened.",
    Status.NOT_HELLO: "The first frame must be HELLO, and only the first.",
    Status.FRAME_LENGTH: "The frame's length is below its head or above the limit of WELCOME.",
    Status.FRAME_ORDER: "A frame of another request came inside an upload: send an upload's frames consecutively.",
    Status.INTERNAL: "The daemon failed to carry out the operation: its log has the reason.",
}


def sentence(status: int) -> str:
    """What `status` means and what to do; also for a code that is newer than this list."""
    try:
        return SENTENCES[Status(status)]
    except ValueError:
        return f"Status {status:#x} is not known to this version of the protocol."


class WireError(Exception):
    """A request fault: nothing changed, the connection goes on.

    `code` is the status to answer, `field` names the offending field (dotted, with indices) or is empty, `text` is a
    sentence that says what to do.
    """

    def __init__(self, code: Status, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.code = code
        self.field = field
        self.text = text


class FramingFault(Exception):
    """The stream can no longer be trusted: answer one ERROR frame with `code`, then close.

    `request_id` is that of the offending frame when its head was readable, else 0.
    """

    def __init__(self, code: Status, text: str, request_id: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.request_id = request_id
