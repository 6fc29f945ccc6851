"""Events and waits: how the consequences of one connection's operations reach the others.

Order, never broken: the events of operation n are put into a subscriber's output before any reply with a higher order
number is, because they are spread in the turn in which n was applied and a session is served only when nothing waits
for it.  On the connection that asked for n they come right behind n's reply.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import trio

from vgicd.domain.domain import Domain
from vgicd_protocol import events as wire
from vgicd_protocol.events import Event


class EventQueue:
    """The events that one subscriber has not been sent yet, oldest first.

    At most `limit` are kept.  When it is full the oldest is dropped, and what is taken next begins with a gap marker
    that carries how many were.
    """

    __slots__ = ("_clock", "_events", "_limit", "_lost", "_lost_order", "full_since", "mask")

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._events: deque[Event] = deque()
        self._limit = limit
        self._lost = 0
        self._lost_order = 0
        self._clock = clock
        self.mask = 0
        self.full_since: float | None = None

    def __len__(self) -> int:
        return len(self._events) + bool(self._lost)

    def put(self, events: Iterable[Event]) -> bool:
        """Add those of `events` that the mask asks for; True if there was one."""
        mask, kept = self.mask, self._events
        before = len(kept)
        kept.extend(event for event in events if mask >> event.kind & 1)
        added = len(kept) > before
        while len(kept) > self._limit:
            self._lost += 1
            self._lost_order = kept.popleft().order
            if self.full_since is None:
                self.full_since = self._clock()
        return added

    def take(self) -> list[Event]:
        """All that is kept, after a gap marker if something is missing; the queue is then empty."""
        taken = list(self._events)
        self._events.clear()
        if self._lost:
            taken.insert(0, Event(self._lost_order, wire.GAP, value=self._lost))
            self._lost = 0
        self.full_since = None
        return taken
