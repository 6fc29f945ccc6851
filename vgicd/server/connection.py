"""Connection: bytes in, bytes out, at the cost of two system calls for a request and its reply.

The loop receives without blocking, gives the peer a few chances to answer (`sched_yield`), and only then parks.  All
whole frames of one read are served and answered with one send.  Per message there is no cancel scope, no lock, no
channel and no task; what those would give is owed otherwise:

- fairness and cancellation: a checkpoint whenever a turn is over (`SLICE_SECONDS`, or the operations of a turn);
- deadlines: `watch` is called now and then by one task for all connections;
- back pressure: output that the socket does not take is left to `_writer`, the only task that waits for it to become
  writable, and nothing is read before it is gone; nor while a debugger holds the connection (`vgicd.server.freeze`);
- between two awaits nothing else runs, so that an operation is atomic without a lock.

Events for other connections are sent from the turn of the connection that caused them (`flush` is synchronous), so
that no task has to be woken for them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter
from typing import Final

import trio

from vgicd.server.limits import SLICE_SECONDS, YIELDS, Limits
from vgicd.server.session import Session
from vgicd_protocol.errors import Status

AT_ONCE: Final = 65_536
"""Most bytes of replies that are sent with one call: the most that a seqpacket message holds."""

_INT: Final = struct.Struct("@i")
_RECEIVE: Final = 65_536  # bytes asked for at a time, at least
_LAST_RECEIVES: Final = 64  # times that is done for a peer that keeps sending while the daemon stops

DEPARTED: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a peer that is gone looks like: reset, timed out, unreachable."""


class Connection(ABC):
    """What all transports share: the buffer, the turn, the writer and the deadlines."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self.session = session
        self.limits = limits
        self.reason = "peer closed"
        self.blocked_since: float | None = None
        self.partial_since: float | None = None
        self.opened = trio.current_time()
        self.scope = trio.CancelScope()
        self._buffer = bytearray(limits.frame + _RECEIVE)
        self._untaken = 0  # bytes that the peer had not taken when last watched
        self._have = 0  # bytes in the buffer that are not served yet
        self._writable = trio.Event()  # output is stuck: the writer has work
        self._drained = trio.Event()  # it is gone: the reader may go on
        session.flush = self.flush

    async def run(self) -> None:
        """Serve until the peer leaves, breaks the protocol, or `close` is called. Raises nothing for a lost peer."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._writer)
            with self.scope:
                try:
                    await self._reader()
                    if self.session.closing:
                        self.reason = self.session.closing
                    await self.until_drained()
                except DEPARTED:
                    self.reason = "peer lost"
            nursery.cancel_scope.cancel()

    async def turn_away(self) -> None:
        """Instead of `run`: send what the session has been given to say, as far as the peer takes it."""
        self.flush()

    def close(self, reason: str) -> None:
        """End the connection at its next checkpoint, without sending what is left."""
        if not self.scope.cancel_called:
            self.reason = reason
            self.scope.cancel()

    def watch(self, now: float) -> None:
        """Close the connection if one of its deadlines has passed; if it can be told why, once it has been."""
        limits, session = self.limits, self.session
        if session.held:
            self._excuse(now)
            return
        if not session.closing:
            if not session.greeted and now - self.opened > limits.hello_seconds:
                session.refuse(Status.NOT_HELLO, f"No HELLO came within {limits.hello_seconds:g} s.")
            elif self._is_partial(now):
                session.refuse(
                    Status.FRAME_LENGTH, f"A {session.unit} was not finished within {limits.partial_seconds:g} s."
                )
            if session.closing:
                self.flush()
        if self.blocked_since is None:
            if session.closing:
                self.close(session.closing)
        elif self._is_stalled(now):
            self.close("slow reader")
        if session.events.full_since is not None and now - session.events.full_since > limits.event_full_seconds:
            self.close("slow subscriber")

    def _excuse(self, now: float) -> None:
        """What the peer has begun, or not taken, is not late before the freeze ends: it is not the peer that waits."""
        events = self.session.events
        if self.partial_since is not None:
            self.partial_since = now
        if self.blocked_since is not None:
            self.blocked_since = now
        if events.full_since is not None:
            events.full_since = now

    def _is_partial(self, now: float) -> bool:
        """Has the peer had its time to finish a frame? What is not read, because it is blocked, is not late."""
        since = self.partial_since if self.blocked_since is None else None
        return since is not None and now - since > self.limits.partial_seconds

    def _is_stalled(self, now: float) -> bool:
        """Has a blocked peer taken nothing of what waits for it, here or in the kernel, for the write deadline?"""
        before, self._untaken = self._untaken, len(self.session.out) + self._in_kernel()
        if self._untaken < before:
            self.blocked_since = now
        return self.blocked_since is not None and now - self.blocked_since > self.limits.write_seconds

    # --- output -------------------------------------------------------------------------------------------------

    @abstractmethod
    def _send(self) -> None:
        """Send what the transport takes of `session.out` now, and remove it from there. DEPARTED if it is gone."""

    @abstractmethod
    async def _send_all(self) -> None:
        """Send all that is in `session.out` now, waiting as needed, and remove it from there. DEPARTED likewise."""

    @abstractmethod
    def _in_kernel(self) -> int:
        """Bytes sent that the peer has not taken yet."""

    def flush(self) -> None:
        """Send what can be sent now; what cannot is the writer's, and stops the reader. Never blocks or raises."""
        if self.blocked_since is not None:
            return
        try:
            self._send()
        except DEPARTED:
            self.session.out.clear()
            self.close("peer lost")
            return
        if self.session.out:
            self.blocked_since = trio.current_time()
            self.session.blocked = True
            self._drained = trio.Event()
            self._writable.set()

    async def _writer(self) -> None:
        """Send what `flush` could not, and what gathers meanwhile; `watch` sees that the peer takes some of it."""
        try:
            while True:
                await self._writable.wait()
                while self.session.out:
                    self.blocked_since = trio.current_time()
                    await self._send_all()
                    self.session.refill()
                self.blocked_since = None
                self.session.blocked = False
                if self.partial_since is not None:
                    self.partial_since = trio.current_time()  # the rest of the frame is read from now on
                self._writable = trio.Event()
                self._drained.set()
        except DEPARTED:
            self.session.out.clear()
            self.close("peer lost")

    async def until_drained(self) -> None:
        """Wait until the peer has taken everything."""
        while self.blocked_since is not None:
            await self._drained.wait()

    # --- input --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _reader(self) -> None:
        """Receive and serve until the end of input or until the session is closing."""

    async def _serve(self, until: float) -> float:
        """Serve all whole frames in the buffer, turn by turn; answers when the turn that is running ends.

        Whatever happens, the unserved rest is at the start of the buffer afterwards and `_have` is its length.
        """
        if self.blocked_since is not None:  # what waits for the peer comes before the replies to what it asks now
            await self.until_drained()
        self._serve_turn(until)
        return await self._go_on(until)

    async def _go_on(self, until: float) -> float:
        """As `_serve`, after the first turn."""
        session = self.session
        while True:
            if self.blocked_since is not None:
                await self.until_drained()
            elif session.held:
                await session.thawed.wait()
                self._excuse(trio.current_time())
            elif session.more or perf_counter() > until:
                await trio.lowlevel.checkpoint()
            else:
                return until
            until = perf_counter() + SLICE_SECONDS
            if not session.more or session.closing:
                return until
            self._serve_turn(until)

    def _serve_turn(self, until: float) -> None:
        self._end_turn(self.session.serve(self._buffer, 0, self._have, until))

    def _end_turn(self, position: int) -> None:
        """The buffer has been served up to `position`: keep the rest, and send what came of it."""
        session, buffer, have = self.session, self._buffer, self._have
        if position:
            rest = have - position
            if rest:
                buffer[:rest] = buffer[position:have]
            self._have = rest
            self.partial_since = trio.current_time() if rest else None
        elif have and self.partial_since is None:
            self.partial_since = trio.current_time()
        session.publish()
        if session.out:
            self.flush()

    def finish(self) -> None:
        """Serve what has been received, for the last time, and say goodbye: the daemon stops, and no freeze is left."""
        session = self.session
        for _ in range(_LAST_RECEIVES):
            session.more = True
            while session.more and self.blocked_since is None and not session.closing:
                self._serve_turn(perf_counter() + SLICE_SECONDS)
            if self.blocked_since is not None or session.closing or not self._receive_now():
                break
        session.say_goodbye()
        self.flush()

    def _receive_now(self) -> bool:
        """Add to the buffer what has arrived and can be had without waiting; False if there is nothing."""
        return False


class SocketConnection(Connection):
    """A byte stream over a raw non-blocking socket: UNIX or TCP."""

    def __init__(self, sock: socket.socket, session: Session, limits: Limits) -> None:
        super().__init__(session, limits)
        self._sock = sock
        self._fd = sock.fileno()
        self._receive: Callable[[memoryview], int] = sock.recv_into

    async def run(self) -> None:
        """Serve as `Connection.run` does, then close the socket."""
        try:
            await super().run()
        finally:
            trio.lowlevel.notify_closing(self._fd)
            self._sock.close()

    async def _reader(self) -> None:
        session, buffer, hub, out = self.session, self._buffer, self.session.hub, self.session.out
        receive, serve, send = self._receive, session.serve, self._sock.send
        sched_yield, wait_readable, fd = os.sched_yield, trio.lowlevel.wait_readable, self._fd
        tries = range(YIELDS)
        view = memoryview(buffer)
        await wait_readable(fd)
        until = perf_counter() + SLICE_SECONDS
        while not session.closing:
            have = self._have
            target = view[have:] if have else view
            for _ in tries:  # the peer runs now, if it is on this core; while it answers at once there is no parking
                sched_yield()
                try:
                    count = receive(target)
                    break
                except BlockingIOError:
                    pass
            else:
                await wait_readable(fd)
                until = perf_counter() + SLICE_SECONDS
                try:
                    count = receive(target)
                except BlockingIOError:
                    continue
            if not count:
                self.reason = "truncated" if have else self.reason
                return
            if have or self.blocked_since is not None:
                self._have = have + count
                until = await self._serve(until)
                continue
            position = serve(buffer, 0, count, until)
            if position != count or session.more or hub.behind or not 0 < len(out) <= AT_ONCE:
                self._have = count
                self._end_turn(position)
                until = await self._go_on(until)
                continue
            # What most messages come to, as `_end_turn` and `_go_on` would do it, in as few calls as possible.
            try:
                sent = send(out)
            except OSError:
                sent = 0
            if sent == len(out):
                out.clear()
            else:
                del out[:sent]
                self.flush()
            if self.blocked_since is not None or perf_counter() > until:
                until = await self._go_on(until)

    def _receive_now(self) -> bool:
        try:
            count = self._receive(memoryview(self._buffer)[self._have :])
        except OSError:
            return False
        self._have += count
        return count > 0

    def _send(self) -> None:
        out = self.session.out
        try:
            sent = self._sock.send(out)
        except BlockingIOError:
            return
        if sent == len(out):
            out.clear()
        else:
            del out[:sent]

    async def _send_all(self) -> None:
        while self.session.out:
            await trio.lowlevel.wait_writable(self._fd)
            self._send()

    def _in_kernel(self) -> int:
        return unsent(self._sock)


def unsent(sock: socket.socket) -> int:
    """What SIOCOUTQ (tcp(7), and the same for UNIX sockets) says of `sock`'s send queue; 0 once it is closed."""
    if sock.fileno() < 0:
        return 0
    answer = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
