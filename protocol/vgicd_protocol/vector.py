"""VECTOR: many register accesses and line changes as one atomic request.

Entries and results are 16 bytes each, both declared here and derived for the hot loop: `ENTRY_CODEC.iter_unpack`
and `entry_fault` on the way in, `RESULT_CODEC.pack_into` on the way out.
"""

from __future__ import annotations

from typing import Final

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Struct, this

from vgicd_protocol.codec import Codec
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import LINE_KINDS, SIZES, SPACES, VECTOR_LIMIT, Opcode, flags_of
from vgicd_protocol.strict import Items, OneOf, Require, Reserved, count_of

# The low nibble of an entry's `operation` is that of the opcode it stands for.
READ: Final = Opcode.READ & 0xF
WRITE: Final = Opcode.WRITE & 0xF
LINE: Final = Opcode.LINE & 0xF

OPERATIONS: Final = (*(size << 4 | kind for kind in (READ, WRITE) for size in SIZES), LINE)

ENTRY: Final = Struct(
    "value" / Int64ul * "WRITE: the datum; LINE: 0 or 1; READ: 0",
    "offset" / Int32ul * "offset in the space, physical address below 4 GiB in space 0; LINE: INTID",
    "vcpu" / Int16ul * "as in READ, WRITE and LINE",
    "operation"
    / OneOf(Int8ul, OPERATIONS, "a known operation and width", Status.BAD_SIZE)
    * "low nibble: 0 READ, 1 WRITE, 2 LINE; high nibble: bytes, 1, 2, 4 or 8; LINE: 0",
    "space" / Int8ul * "as in READ, WRITE and LINE",
)
RESULT: Final = Struct(
    "value" / Int64ul * "READ: the datum, 0 on a fault; else 0",
    "status" / Int16ul * "OK or ABORT",
    "outputs" / Int16ul * "all outputs after this entry",
    "reserved" / Reserved(Int32ul),
)

# The rules between an entry's fields are those of READ, WRITE and LINE; `entry_fault` says the same in plain ints.
STRICT_ENTRY: Final = Struct(
    *ENTRY.subcons,
    Require(
        "space",
        lambda entry: entry.space in (LINE_KINDS if entry.operation == LINE else SPACES),
        "a known space and plane; LINE: 0 or 1",
        Status.BAD_VALUE,
    ),
    Require("value", lambda entry: entry.operation != LINE or entry.value <= 1, "0 or 1", Status.BAD_VALUE),
    Require(
        "value",
        lambda entry: entry.operation & 0xF != READ or entry.value == 0,
        "zero in a READ",
        Status.RESERVED_BITS,
    ),
)
REQUEST: Final = Struct(
    "count" / count_of("entries", VECTOR_LIMIT) * "of entries, 1 to 1024",
    "entries" / Items(this.count, STRICT_ENTRY),
    Require("count", lambda body: body.count > 0, "at least 1"),
)
REPLY: Final = Struct(
    "count" / count_of("results", VECTOR_LIMIT) * "of results, as many as entries",
    "reserved" / Reserved(Int32ul),
    "results" / Items(this.count, RESULT),
)

ENTRY_CODEC: Final = Codec(ENTRY)
RESULT_CODEC: Final = Codec(RESULT)
ENTRY_WIDE: Final = ENTRY_CODEC.merged(("value",), ("offset",), ("vcpu", "operation", "space"))
RESULT_WIDE: Final = RESULT_CODEC.merged(("value",), ("status", "outputs"), ("reserved",))
ENTRIES_OFFSET: Final = 16  # of the first entry in a VECTOR request
RESULTS_OFFSET: Final = 32  # of the first result in its reply

_OPERATION_OK: Final = flags_of(OPERATIONS)
_SPACE_OK: Final = flags_of(SPACES)

if ENTRY_CODEC.size != RESULT_CODEC.size:
    raise TypeError("the declared vector does not have its documented layout")


def entry_fault(value: int, operation: int, space: int) -> int:
    """The status with which to refuse a vector for this entry, or 0; the rules of READ, WRITE and LINE."""
    if not _OPERATION_OK[operation]:
        return Status.BAD_SIZE
    kind = operation & 0xF
    if kind == LINE:
        return Status.BAD_VALUE if space not in LINE_KINDS or value > 1 else Status.OK
    if not _SPACE_OK[space]:
        return Status.BAD_VALUE
    return Status.RESERVED_BITS if value and kind == READ else Status.OK
