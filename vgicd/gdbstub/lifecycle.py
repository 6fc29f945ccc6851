"""The edges of an interrupt's life, each of which can be broken on.

An edge is an event of the domain.  Every INTID has a slot of fake code, in which each edge has a place of its own; two
more slots hold the edges of any INTID and those of the domain itself.  irqN, the beginning of a slot, is entered when
the interrupt is acknowledged, as a handler is; active interrupts are its frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from vgicd.domain.events import Event, EventKind

STEP: Final = 16
"""Bytes of fake code from one edge to the next."""
SLOT: Final = 8 * STEP
"""Bytes of an INTID's slot."""
INTO_FRAME: Final = 8
"""Where in irqN, and in idle, a return address points."""
OTHER_END: Final = 12
"""As INTO_FRAME, but of the opposite end of a backtrace: the outermost irqN, and an idle that has frames."""
SPLIT: Final = 10
"""What lies between the two, so that unwinders can tell them apart: from here on irqN has no caller, and idle has."""


class Edge(NamedTuple):
    """A place in a slot: the suffix of its symbol, the event that reaches it, and what that means."""

    suffix: str
    kind: EventKind
    doc: str


EDGES: Final = (
    Edge("", EventKind.ACK, "the guest entered it: as _ack, but as the frame that it becomes"),
    Edge("raise", EventKind.LINE, "its input line rose"),
    Edge("pend", EventKind.PEND, "it became pending in the distributor"),
    Edge("queue", EventKind.QUEUE, "it was put on an ap_list"),
    Edge("load", EventKind.LOAD, "it was put into a list register"),
    Edge("ack", EventKind.ACK, "the guest acknowledged it"),
    Edge("eoi", EventKind.EOI, "the guest wrote it to EOIR"),
    Edge("deactivate", EventKind.DEACTIVATE, "it is no longer active"),
)
"""The places in the slot of an INTID, in order; those with a suffix are also in the slot of any INTID."""

DOMAIN_EDGES: Final = (
    Edge("maintenance", EventKind.MAINTENANCE, "a maintenance interrupt was asserted"),
    Edge("kick", EventKind.KICK, "a vCPU was asked to exit"),
    Edge("unlist", EventKind.UNLIST, "an interrupt was taken off its ap_list"),
    Edge("migrate", EventKind.MIGRATE, "an interrupt was moved to another vCPU's ap_list"),
    Edge("fault", EventKind.FAULT, "a guest access was refused"),
    Edge("output", EventKind.OUTPUT, "a vIRQ or vFIQ line changed"),
    Edge("reset", EventKind.RESET, "the domain was reset"),
)

WELL_KNOWN: Final[Mapping[int, str]] = {25: "maintenance", 26: "hyptimer", 27: "vtimer", 29: "sectimer", 30: "ptimer"}
"""What the private interrupts of ARM's Base System Architecture are for; symbols irqN_NAME mean irqN."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_name(name: str) -> str:
    """`name`, if irqN_`name` can be a symbol of its own; ValueError with a sentence otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be part of a symbol: use letters, digits and underlines.")
    if name in {edge.suffix for edge in EDGES}:
        raise ValueError(f"{name!r} is an edge of every interrupt's life: choose another name.")
    return name


def parse_names(entries: tuple[str, ...]) -> dict[int, str]:
    """`INTID=NAME` entries as a table; ValueError with a sentence for what is none."""
    names: dict[int, str] = {}
    for entry in entries:
        number, equals, name = entry.partition("=")
        if not (equals and number.isascii() and number.isdecimal() and int(number) < 1020):
            raise ValueError(f"{entry!r} is not INTID=NAME with an INTID from 0 to 1019.")
        names[int(number)] = check_name(name)
    return names


def slot_symbols(intid: int, names: Mapping[int, str]) -> Iterator[tuple[str, int]]:
    """Symbols of the slot of `intid`, and their offsets in it."""
    yield f"irq{intid}", 0
    if intid in names:
        yield f"irq{intid}_{names[intid]}", 0
    for index, edge in enumerate(EDGES):
        if edge.suffix:
            yield f"irq{intid}_{edge.suffix}", index * STEP


def any_symbols() -> Iterator[tuple[str, int]]:
    """Symbols of the slot for any INTID, and their offsets in it."""
    for index, edge in enumerate(EDGES):
        if edge.suffix:
            yield f"vgic_{edge.suffix}", index * STEP


def domain_symbols() -> Iterator[tuple[str, int]]:
    """Symbols of the domain's own slot, and their offsets in it."""
    for index, edge in enumerate(DOMAIN_EDGES):
        yield f"vgic_{edge.suffix}", index * STEP


def reaches(event: Event, edge: Edge) -> bool:
    """Is `event` that edge? Of a line's changes only the rise is."""
    return event.kind == edge.kind and (event.kind != EventKind.LINE or bool(event.value))


def names_for(profile: str, given: Mapping[int, str]) -> dict[int, str]:
    """The aliases of INTIDs: the well-known ones, those of the devices of `profile`, and `given` above all."""
    devices = {31: "evtchn", 32: "vpl011"} if profile == "xen-guest" else {}
    return {**WELL_KNOWN, **devices, **given}
