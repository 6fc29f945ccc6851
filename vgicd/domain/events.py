"""Events: what subscribers see of a domain's life, each with the order number of the operation that caused it."""

from __future__ import annotations

from typing import NamedTuple

from vgicd.hw.events import EventKind

__all__ = ["Event", "EventKind"]


class Event(NamedTuple):
    """`vcpu`, `intid`, `address` and `value` mean what `EventKind` says, and are 0 where it says nothing."""

    order: int
    kind: int
    vcpu: int
    intid: int = 0
    address: int = 0
    value: int = 0
