"""Frames: the layouts that every message shares, and the limits on them.

A frame is `HEAD` (12 bytes) and a body.  Every reply begins with `REPLY_HEAD` (24 bytes).  The hot frames, requests
and replies of READ, WRITE and LINE, are 32 bytes: `HOT` and `HOT_REPLY`.  Each is declared once, here; the codecs
are derived at import.  All integers are little-endian and naturally aligned.

The hot path does not interpret declarations.  It unpacks with `HOT_CODEC` and asks `hot_fault`, whose decision and
code are those of the declarations in `messages`; both are built from the tuples below.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Struct

from vgicd_protocol.codec import Codec
from vgicd_protocol.errors import Status

VERSION: Final = 1
MAGIC: Final = 0x63696776  # "vgic"; the first word of HELLO's and WELCOME's body, and nowhere else

HEAD_SIZE: Final = 12
REPLY_HEAD_SIZE: Final = 24
HOT_SIZE: Final = 32
FRAME_LIMIT: Final = 65_536  # bytes of a frame, head included
UPLOAD_LIMIT: Final = 4 << 20  # bytes of a message that is split over frames
VECTOR_LIMIT: Final = 1024  # entries
WAIT_LIMIT: Final = 16  # unanswered WAITs of a connection

REPLY_BIT: Final = 0x80  # opcode of a reply = opcode of its request | REPLY_BIT
NO_VCPU: Final = 0xFFFF  # in `vcpu`: the line of an SPI has no owner


class Opcode(IntEnum):
    """What a frame is; append-only."""

    HELLO = 0x01
    PING = 0x02
    BYE = 0x03
    READ = 0x10
    WRITE = 0x11
    LINE = 0x12
    VECTOR = 0x13
    ENTER = 0x20
    EXIT = 0x21
    MODE = 0x22
    LR_GET = 0x23
    LR_SET = 0x24
    GICH = 0x25
    IRQ_INFO = 0x28
    DUMP = 0x29
    STATS = 0x2A
    PENDING_CHECK = 0x2B
    VIRQ_ALLOC = 0x30
    VIRQ_RESERVE = 0x31
    VIRQ_FREE = 0x32
    HW_CONNECT = 0x38
    HW_DISCONNECT = 0x39
    HW_DESC = 0x3A
    PHYS_LINE = 0x3B
    HW_IRQ = 0x3C
    VCPU_MOVE = 0x3D
    VCPU_POWER = 0x40
    SET_IRQ_LEVEL = 0x41
    EVENT_CHANNEL = 0x42
    CONSOLE = 0x43
    TIME = 0x44
    WAIT = 0x50
    SUBSCRIBE = 0x51
    SNAPSHOT = 0x60
    RESTORE = 0x61
    RESET = 0x62
    JOURNAL = 0x63  # reserved: answered UNSUPPORTED
    EVENT = 0x7E  # server to client only, sent as 0xFE
    ERROR = 0x7F  # server to client only, sent as 0xFF


class Space(IntEnum):
    """The low nibble of `space`: what `address` is an offset in."""

    PHYSICAL = 0
    GICD = 1
    GICC = 2
    GICH = 3
    DEVICE = 4


class Plane(IntEnum):
    """The high nibble of `space`: what an access may do besides answer."""

    GUEST = 0
    DEBUG = 1
    RESTORE = 2


class Role(IntEnum):
    """What a connection may do; each includes those below it."""

    ANY = 0  # in HELLO: the highest that the server grants
    OBSERVE = 1
    GUEST = 2
    CONTROL = 3


# Request flags, in `status` of a request; MORE is also the flag of a reply.
EFFECTS: Final = 1 << 0
MORE: Final = 1 << 1
REPLY_MORE: Final = 1 << 0

SIZES: Final = (1, 2, 4, 8)
SPACES: Final = tuple(plane << 4 | space for plane in Plane for space in Space)
LINE_KINDS: Final = (0, 1)  # level, pulse

HEAD: Final = Struct(
    "length" / Int32ul * "of the whole frame, these four bytes included",
    "version" / Int8ul * "1",
    "opcode" / Int8ul * "the request's; with bit 7 set in a reply",
    "status" / Int16ul * "request: flags, bit 0 EFFECTS, bit 1 MORE; reply: a status code",
    "request_id" / Int32ul * "chosen by the client, repeated in the reply",
)

HOT_BODY: Final = Struct(
    "vcpu" / Int16ul * "the vCPU that accesses; LINE: the owner of a PPI, 0xFFFF for an SPI",
    "size" / Int8ul * "bytes of the access: 1, 2, 4 or 8; LINE: 0",
    "space" / Int8ul * "low nibble space, high nibble plane; LINE: 0 level, 1 pulse",
    "address" / Int64ul * "offset in the space, physical address in space 0; LINE: INTID",
    "value" / Int64ul * "WRITE: the datum; LINE: 0 or 1; READ: 0",
)

REPLY_FIELDS: Final = Struct(
    "outputs" / Int16ul * "bit 2v: vIRQ of vCPU v, bit 2v+1: its vFIQ",
    "flags" / Int16ul * "bit 0 MORE; the rest zero",
    "order" / Int64ul * "number of the operation in the domain's total order",
)

HOT: Final = Struct(*HEAD.subcons, *HOT_BODY.subcons)
REPLY_HEAD: Final = Struct(*HEAD.subcons, *REPLY_FIELDS.subcons)
HOT_REPLY: Final = Struct(*REPLY_HEAD.subcons, "value" / Int64ul * "READ: the datum, 0 on a fault; else 0")

HEAD_CODEC: Final = Codec(HEAD)
HOT_CODEC: Final = Codec(HOT)
REPLY_HEAD_CODEC: Final = Codec(REPLY_HEAD)
HOT_REPLY_CODEC: Final = Codec(HOT_REPLY)

# The same bytes in six integers: for a server that recognises requests it has served before.
HOT_WIDE: Final = HOT_CODEC.merged(
    ("length",), ("version", "opcode", "status"), ("request_id",), ("vcpu", "size", "space"), ("address",), ("value",)
)
HOT_REPLY_WIDE: Final = HOT_REPLY_CODEC.merged(
    ("length",), ("version", "opcode", "status"), ("request_id",), ("outputs", "flags"), ("order",), ("value",)
)
WIDE_REPLY_BIT: Final = REPLY_BIT << 8  # in the merged version, opcode and status

if (HEAD_CODEC.size, REPLY_HEAD_CODEC.size, HOT_CODEC.size, HOT_REPLY_CODEC.size) != (
    HEAD_SIZE,
    REPLY_HEAD_SIZE,
    HOT_SIZE,
    HOT_SIZE,
):
    raise TypeError("the declared frames do not have their documented sizes")


def flags_of(values: tuple[int, ...]) -> bytes:
    """A byte per number 0..255: 1 if it is one of `values`. Indexing it is the cheapest membership test."""
    return bytes(int(number in values) for number in range(256))


SIZE_OK: Final = flags_of(SIZES)
SPACE_OK: Final = flags_of(SPACES)
_WRITE: Final = Opcode.WRITE.value  # plain ints: comparing with an enum's member costs five times as much
_LINE: Final = Opcode.LINE.value


def hot_fault(version: int, opcode: int, status: int, size: int, space: int, value: int) -> int:
    """The status with which to refuse an unpacked hot request, or 0 to go on.

    For a frame of 32 bytes whose opcode is READ, WRITE or LINE.  Checks what belongs to the wire alone: version,
    flags, size, the two nibbles of `space` and values that must be zero; whether the vCPU, interrupt or address
    exists is the domain's to say.  VERSION is a framing fault, all others are request faults.
    """
    if version == VERSION and status <= EFFECTS:
        if opcode == _LINE:
            if size == 0 and space <= 1 and value <= 1:
                return 0
        elif SIZE_OK[size] and SPACE_OK[space] and (opcode == _WRITE or not value):
            return 0
    return _hot_fault_named(version, opcode, status, size, space, value)


def _hot_fault_named(version: int, opcode: int, status: int, size: int, space: int, value: int) -> int:
    """The first broken rule, in the order of the fields."""
    if version != VERSION:
        return Status.VERSION
    if status & ~EFFECTS:
        return Status.RESERVED_BITS
    if opcode == Opcode.LINE:
        if size:
            return Status.RESERVED_BITS
        return Status.BAD_VALUE if space not in LINE_KINDS or value > 1 else Status.OK
    if not SIZE_OK[size]:
        return Status.BAD_SIZE
    if not SPACE_OK[space]:
        return Status.BAD_VALUE
    return Status.RESERVED_BITS if opcode == Opcode.READ and value else Status.OK
