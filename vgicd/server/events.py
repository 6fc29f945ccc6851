"""Events and waits: how the consequences of one connection's operations reach the others.

Order, never broken: the events of operation n are put into a subscriber's output before any reply with a higher order
number is, because they are spread in the turn in which n was applied and a session is served only when nothing waits
for it.  On the connection that asked for n they come right behind n's reply.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import trio

from vgicd.domain.domain import Domain
from vgicd.domain.events import Event
from vgicd.gdbstub.target import Watcher
from vgicd.server.freeze import Freeze
from vgicd_protocol import events as wire


class EventQueue:
    """The events that one subscriber has not been sent yet, oldest first.

    At most `limit` are kept.  When it is full the oldest is dropped, and what is taken next begins with a gap marker
    that carries how many were.
    """

    __slots__ = ("_clock", "_events", "_limit", "_lost", "_lost_order", "full_since", "mask", "request_id")

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._events: deque[Event] = deque()
        self._limit = limit
        self._lost = 0
        self._lost_order = 0
        self._clock = clock
        self.mask = 0
        self.request_id = 0  # of the SUBSCRIBE; every EVENT frame repeats it
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
            taken.insert(0, Event(self._lost_order, wire.GAP, 0, value=self._lost))
            self._lost = 0
        self.full_since = None
        return taken


class Listener(Protocol):
    """What the hub needs of a session."""

    events: EventQueue

    def deliver(self) -> None:
        """Put what is queued into the output, unless the peer is behind."""

    def end_wait(self, request_id: int, fulfilled: bool) -> None:
        """Answer a WAIT."""

    flush: Callable[[], None]


class Follower(Listener, Protocol):
    """A listener that looks at the outputs after everybody's operations, which costs the domain nothing."""

    def see_outputs(self, outputs: int) -> bool:
        """Another's operation has been applied; True if there is something to be sent for it."""


class Wait(NamedTuple):
    """A WAIT that is not answered yet."""

    deadline: float
    serial: int  # makes the tuple's order total; never reused
    session: Listener
    request_id: int
    outputs: int  # answered as soon as one of these is high


class Hub:
    """Spreads what an operation caused to those who subscribed or wait for it.

    `armed` and `debugged` are all that the hot path looks at: False means that nobody wants to know, and that no
    debugger watches or freezes.
    """

    def __init__(self, domain: Domain) -> None:
        self.armed = False
        self.debugged = False
        self.freeze = Freeze(self._arm)
        self._domain = domain
        self._watchers: list[Watcher] = []
        self._subscribers: list[Listener] = []
        self._followers: list[Follower] = []
        self._waits: list[Wait] = []  # a heap
        self._serial = 0
        self.behind: dict[Listener, None] = {}  # has something to send since the last `publish`; in order
        self._sooner = trio.Event()  # the earliest deadline has changed

    def subscribe(self, session: Listener, mask: int, request_id: int = 0) -> None:
        """From the next operation on, `session` gets the events of `mask`; 0 ends that."""
        session.events.mask = mask
        session.events.request_id = request_id
        if session in self._subscribers:
            self._subscribers.remove(session)
        if mask:
            self._subscribers.append(session)
        self._arm()

    def add_wait(self, session: Listener, request_id: int, outputs: int, deadline: float) -> None:
        """Answer `request_id` when one of `outputs` is high or at `deadline` (trio's clock)."""
        self._serial += 1
        heapq.heappush(self._waits, Wait(deadline, self._serial, session, request_id, outputs))
        self._arm()
        self._sooner.set()

    def end_waits(self, session: Listener) -> None:
        """Answer the waits of `session` now, unfulfilled: it is about to close."""
        self._end([wait for wait in self._waits if wait.session is session], fulfilled=False)

    def watch(self, watcher: Watcher) -> None:
        """From the next operation on `watcher` sees the events of its mask; again when that has changed, 0 ends it."""
        known = watcher in self._watchers
        if watcher.mask and not known:
            self._watchers.append(watcher)
        elif known and not watcher.mask:
            self._watchers.remove(watcher)
        self._arm()

    def follow(self, follower: Follower) -> None:
        """From the next operation of another on, `follower` sees the outputs, until it leaves."""
        self._followers.append(follower)
        self._arm()

    def leave(self, session: Listener) -> None:
        """Forget everything about `session`."""
        self.freeze.leave(session)
        self.behind.pop(session, None)
        self._waits = [wait for wait in self._waits if wait.session is not session]
        heapq.heapify(self._waits)
        self._followers = [follower for follower in self._followers if follower is not session]
        self.subscribe(session, 0)

    def _arm(self) -> None:
        mask = 0
        for session in self._subscribers:
            mask |= session.events.mask
        for watcher in self._watchers:
            mask |= watcher.mask
        self._domain.listen(mask)
        self.armed = bool(self._subscribers or self._waits or self._watchers or self._followers)
        self.debugged = bool(self._watchers or self.freeze.mask)

    def spread(self, source: object, outputs: int) -> None:
        """Hand on what the operation just answered to `source` has caused; `outputs` are those after it.

        Watchers see it at once. Nothing is sent to others before `publish`, so that a turn costs each of them one send.
        """
        if self._subscribers or self._watchers:
            events = self._domain.take_events()
            if events:
                if self._watchers:
                    self._show(events, source)
                for session in self._subscribers:
                    if session.events.put(events):
                        if session is source:
                            session.deliver()
                        else:
                            self.behind[session] = None
        for follower in self._followers:
            if follower is not source and follower.see_outputs(outputs):
                self.behind[follower] = None
        if outputs and self._waits:
            self._end([wait for wait in self._waits if wait.outputs & outputs], fulfilled=True)

    def _show(self, events: Sequence[Event], source: object) -> None:
        for watcher in list(self._watchers):
            mask = watcher.mask
            seen = [event for event in events if mask >> event.kind & 1]
            if seen:
                watcher.see(seen, source)

    def publish(self) -> None:
        """Send to the others what has gathered for them."""
        while self.behind:
            session = next(iter(self.behind))
            del self.behind[session]
            session.deliver()
            session.flush()

    def _end(self, ended: list[Wait], *, fulfilled: bool) -> None:
        if not ended:
            return
        gone = {wait.serial for wait in ended}
        self._waits = [wait for wait in self._waits if wait.serial not in gone]
        heapq.heapify(self._waits)
        for wait in sorted(ended, key=lambda wait: wait.serial):
            wait.session.end_wait(wait.request_id, fulfilled)
            self.behind[wait.session] = None
        self._arm()

    async def watch_deadlines(self) -> None:
        """Answer waits whose deadline has passed, for ever."""
        while True:
            self._sooner = trio.Event()
            with trio.move_on_at(self._waits[0].deadline if self._waits else float("inf")):
                await self._sooner.wait()
            now = trio.current_time()
            self._end([wait for wait in self._waits if wait.deadline <= now], fulfilled=False)
            self.publish()
