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

    OUTPUT = 0
    LINE = 1
    PEND = 2
    QUEUE = 3
    LOAD = 4
    ACK = 5
    EOI = 6
    DEACTIVATE = 7
    UNLIST = 8
    MIGRATE = 9
    KICK = 10
    MAINTENANCE = 11
    ACCESS = 12
    FAULT = 13
    ENTER = 14
    EXIT = 15
    RESET = 16
    CONSOLE = 17


ABOUT: Final[dict[EventKind, str]] = {
    EventKind.OUTPUT: "the outputs changed; `value` = all of them, as in a reply",
    EventKind.LINE: "the line of a level interrupt changed, or that of an edge interrupt rose; `value` = its level",
    EventKind.PEND: "`intid` became pending in the distributor",
    EventKind.QUEUE: "`intid` was put on the ap_list of `vcpu`",
    EventKind.LOAD: "`intid` was put into a list register of `vcpu`; `value` = its word",
    EventKind.ACK: "`vcpu` acknowledged `intid`; `value` = what IAR answered",
    EventKind.EOI: "`vcpu` wrote EOIR; `value` = what it wrote",
    EventKind.DEACTIVATE: "`intid` is no longer active",
    EventKind.UNLIST: "`intid` left its ap_list",
    EventKind.MIGRATE: "`intid` moved to another ap_list; `value` = the new vCPU",
    EventKind.KICK: "`vcpu` was asked to leave the guest",
    EventKind.MAINTENANCE: "the maintenance interrupt of `vcpu` was asserted; `value` = GICH_MISR",
    EventKind.ACCESS: "a guest access by `vcpu`; `intid` = size \\| write << 8, `address` = space << 28 \\| offset",
    EventKind.FAULT: "a guest access faulted; fields as in ACCESS",
    EventKind.ENTER: "`vcpu` entered the guest",
    EventKind.EXIT: "`vcpu` left the guest",
    EventKind.RESET: "the domain was built anew",
    EventKind.CONSOLE: "the guest transmitted on the vPL011; `value` = the byte",
}

GAP: Final = 0xFF
ANY_VCPU: Final = 0  # in an event whose kind has no vCPU
EVENT_MASK: Final = sum(1 << kind for kind in EventKind)

RECORD: Final = Struct(
    "order" / Int64ul * "of the operation that caused it",
    "kind" / OneOf(Int8ul, (*EventKind, GAP), "a known kind") * "see the kinds of event; 0xFF: gap",
    "vcpu" / Int8ul * "0 where the kind has none",
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
