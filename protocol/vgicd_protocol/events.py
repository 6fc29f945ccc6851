"""Events: what happened inside the domain, as records of 24 bytes.

An EVENT frame holds consecutive records in order.  When a subscriber's queue was full, a record of kind GAP stands
where the lost ones would have been; its `value` is how many were lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Struct

from vgicd_protocol.codec import Codec, Data
from vgicd_protocol.strict import OneOf


class EventKind(IntEnum):
    """Kinds 0 to 31; bit `1 << kind` of a SUBSCRIBE mask asks for them. Append-only."""

    OUTPUT = 0  # the outputs changed; value = all of them, as in a reply
    LINE = 1  # an input line changed or pulsed; value = level
    PEND = 2  # an interrupt became pending
    QUEUE = 3  # it was put on vcpu's ap_list
    LOAD = 4  # it was written to list register `address`; value = the word
    ACK = 5  # the guest acknowledged it; value = what IAR answered
    EOI = 6  # priority drop; value = what was written
    DEACTIVATE = 7
    UNLIST = 8  # it left the ap_list
    MIGRATE = 9  # it went to vcpu's ap_list from that of vCPU `value`
    KICK = 10
    MAINTENANCE = 11  # vcpu's maintenance interrupt was taken; value = GICH_MISR
    ACCESS = 12  # a guest register access; intid = size | write << 8
    FAULT = 13  # a guest access that faulted or was refused
    ENTER = 14
    EXIT = 15
    RESET = 16
    CONSOLE = 17


GAP: Final = 0xFF
EVENT_MASK: Final = sum(1 << kind for kind in EventKind)
ANY_VCPU: Final = 0xFF  # in an event that belongs to no vCPU

RECORD: Final = Struct(
    "order" / Int64ul * "of the operation that caused it",
    "kind" / OneOf(Int8ul, (*EventKind, GAP), "a known kind") * "see the kinds of event; 0xFF: gap",
    "vcpu" / Int8ul * "0xFF: none",
    "intid" / Int16ul,
    "address" / Int32ul,
    "value" / Int64ul * "gap: how many events were lost",
)
RECORD_CODEC: Final = Codec(RECORD)


class Event(NamedTuple):
    """One record, fields as on the wire."""

    order: int
    kind: int
    vcpu: int = ANY_VCPU
    intid: int = 0
    address: int = 0
    value: int = 0


def pack_events(events: Iterable[tuple[int, int, int, int, int, int]]) -> bytes:
    """Records for the body of an EVENT frame, from tuples in the order of `Event`'s fields."""
    pack = RECORD_CODEC.pack
    return b"".join([pack(*event) for event in events])


def unpack_events(records: Data) -> list[Event]:
    """The events of whole records, unchecked; the inverse of `pack_events`."""
    return [Event(*fields) for fields in RECORD_CODEC.iter_unpack(records)]
