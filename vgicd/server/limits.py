"""Limits: what one peer may cost the daemon.

Every figure is in the configuration (section `limits`), and those a client must know are in WELCOME.  Deadlines are
watched by one coarse task (`vgicd.server.daemon`), so that no message pays for a timer; a deadline therefore ends
up to a fifth of its length late, never early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from vgicd.options import option

SLICE_SECONDS: Final = 0.0004
"""A connection's turn before the others run: long enough that the run loop's own cost stays near one per cent."""

YIELDS: Final = 8
"""Tries to receive before parking; about 15 microseconds, the time in which a peer on the same core answers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, counts and seconds; the defaults suit one guest and a handful of tools."""

    frame: int = option(65_536, "largest frame in bytes; longer messages are sent in chunks", low=4096, high=65_536)
    upload: int = option(4_194_304, "largest request in bytes that is sent in chunks", low=65_536, high=1 << 28)
    hello_seconds: float = option(5.0, "time for a new connection to say HELLO", low=0.01, high=3600)
    partial_seconds: float = option(10.0, "time to finish a frame, from its first byte", low=0.01, high=3600)
    connections: int = option(128, "connections in all", low=1, high=4096)
    connections_per_uid: int = option(16, "connections of one user (over TCP, of one address)", low=1, high=4096)
    operations_per_turn: int = option(256, "operations of one connection before the others run", low=1, high=4096)
    vector_entries: int = option(1024, "entries of one VECTOR", low=1, high=1024)
    waits: int = option(16, "WAITs outstanding on one connection", low=1, high=1024)
    wait_seconds: float = option(3600.0, "longest deadline of a WAIT", low=0.01, high=86_400)
    reply_queue: int = option(
        262_144, "unsent bytes of replies before a connection is read no further", low=4096, high=1 << 26
    )
    write_seconds: float = option(5.0, "time for a peer to take some of what waits for it", low=0.01, high=3600)
    event_queue: int = option(4096, "events kept for a subscriber that reads too slowly", low=1, high=1 << 20)
    event_full_seconds: float = option(30.0, "time an event queue may stay full", low=0.01, high=3600)
    log_lines: int = option(10, "log lines per second that guests and peers may cause", low=0, high=1000)
    drain_seconds: float = option(
        2.0, "time for peers to take their last replies when the daemon stops", low=0.0, high=60
    )

    @property
    def watch_seconds(self) -> float:
        """The period of the task that watches the deadlines: a fifth of the shortest, between 10 ms and 1 s."""
        deadlines: list[float] = [getattr(self, f.name) for f in fields(self) if f.name.endswith("_seconds")]
        return min(1.0, max(0.01, min(seconds for seconds in deadlines if seconds) / 5))


class LineBudget:
    """At most `rate` log lines in each second; the rest are counted, and the count is never lost.

    `clock` answers seconds; any monotonic clock will do.
    """

    __slots__ = ("_clock", "_left", "_rate", "_second", "suppressed")

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._second = int(clock())
        self._left = rate
        self.suppressed = 0

    def allows(self) -> bool:
        """Take one line from this second's budget; False when it is spent (the line is then counted)."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._left = self._rate
        if self._left:
            self._left -= 1
            return True
        self.suppressed += 1
        return False

    def take_suppressed(self) -> int:
        """The number of lines suppressed since the last call."""
        count, self.suppressed = self.suppressed, 0
        return count
