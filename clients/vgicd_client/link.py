"""One connection of the trio client, from the socket's opening to its loss; never reused.

A request is appended to what is to be sent in one step, without a checkpoint, and a task of its own sends what the
socket did not take at once: a caller that is cancelled never tears a frame, it only stops waiting for its reply.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Final

import trio

from vgicd_client.errors import ClientError, ConnectionLost, ProtocolError
from vgicd_client.wire import Arrival, Inbox, following, frames_of
from vgicd_protocol.frames import FRAME_LIMIT

_RECEIVE: Final = 1 << 18
BACKLOG: Final = 1 << 20
"""Bytes waiting to be sent beyond which new requests wait."""


class Waiter:
    """Somebody who waits for one reply."""

    __slots__ = ("_event", "arrival")

    def __init__(self) -> None:
        self.arrival: Arrival | None = None
        self._event = trio.Event()

    def wake(self) -> None:
        """There is something to look at: the reply, or the link's loss."""
        self._event.set()

    async def wait(self) -> None:
        """Until `wake`."""
        await self._event.wait()


class Link:
    """A connected socket with its tasks.

    `inbox` keeps the events, `outputs` and `order` are the last seen, `frame_limit` is the server's.
    """

    def __init__(self, sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        self.inbox = Inbox()
        self.outputs = 0
        self.order = 0
        self.frame_limit = FRAME_LIMIT
        self._sock = sock
        self._name = name
        self._id = 0
        self._waiters: dict[int, Waiter] = {}
        self._unsent = bytearray()
        self._packets = sock.type == socket.SOCK_SEQPACKET
        self._stuck = trio.Event()  # the writer has something to do
        self._room = trio.Event()  # the backlog is gone
        self._news = trio.Event()  # events have come, or the link is lost
        self._scope = trio.CancelScope()
        self._failure: Callable[[bool], ClientError] | None = None

    @property
    def alive(self) -> bool:
        """Whether nothing is known to be wrong with it."""
        return self._failure is None

    async def run(self) -> None:
        """Receive and send until the connection ends or `close`; raises nothing for a lost peer."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_backlog)
                    await self._receive()
                    nursery.cancel_scope.cancel()
        finally:
            self.close("closed")
            self._sock.close()  # only here, where no task waits for it any more

    def close(self, why: str) -> None:
        """End the connection; whoever waits is told `why`. Idempotent."""
        text = f"lost {self._name}: {why}"
        self._fail(lambda maybe_applied: ConnectionLost(text, maybe_applied=maybe_applied))

    def failure(self, *, maybe_applied: bool) -> ClientError:
        """The exception for somebody whom the end of the link has hit."""
        if self._failure is None:
            raise RuntimeError("the link is alive")
        return self._failure(maybe_applied)

    # --- requests -----------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        """An id for a request."""
        self._id = following(self._id)
        return self._id

    def send(self, request_id: int, data: bytes) -> Waiter:
        """Send a request; never waits. Raises when the link is lost: then nothing was sent."""
        if self._failure is not None:
            raise self._failure(False)
        waiter = Waiter()
        self._waiters[request_id] = waiter
        for part in frames_of(data) if self._packets else (data,):
            self._put(part)
        return waiter

    async def reply(self, request_id: int, waiter: Waiter) -> Arrival:
        """The reply to a request that was sent. Cancelled, the reply is dropped when it comes."""
        try:
            await waiter.wait()
        finally:
            self._waiters.pop(request_id, None)
        if waiter.arrival is None:
            raise self.failure(maybe_applied=True)
        return waiter.arrival

    async def wait_for_room(self) -> None:
        """Until less than `BACKLOG` bytes wait to be sent."""
        while len(self._unsent) > BACKLOG and self._failure is None:
            await self._room.wait()

    async def wait_for_events(self) -> None:
        """Until events have come; raises when the link is lost and none are left."""
        if self._failure is not None:
            raise self._failure(False)
        await self._news.wait()

    # --- the socket ---------------------------------------------------------------------------------------------

    def _put(self, frame: bytes) -> None:
        if not self._unsent:
            try:
                frame = frame[self._sock.send(frame) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._broken(error)
                return
        if frame:
            self._unsent += frame
            self._stuck.set()

    async def _send_backlog(self) -> None:
        while True:
            if not self._unsent:
                self._room.set()
                self._room = trio.Event()
                self._stuck = trio.Event()
                await self._stuck.wait()
            await trio.lowlevel.wait_writable(self._sock)
            try:
                with memoryview(self._unsent) as view:
                    sent = self._sock.send(view[: self._whole()])
            except BlockingIOError:
                continue
            except OSError as error:
                self._broken(error)
                return
            del self._unsent[:sent]

    def _whole(self) -> int:
        """How much of the backlog goes into one send: one frame of a packet socket, else all."""
        return int.from_bytes(self._unsent[:4], "little") if self._packets else len(self._unsent)

    async def _receive(self) -> None:
        buffer = bytearray(_RECEIVE)
        view = memoryview(buffer)
        while self._failure is None:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                count = self._sock.recv_into(buffer)
                if not count:
                    self.close("the daemon has stopped" if self.inbox.departed else "the daemon closed it")
                    return
                self.inbox.feed(view[:count])
            except BlockingIOError:
                continue
            except OSError as error:
                self._broken(error)
                return
            except ProtocolError as error:
                self._fail(functools.partial(_broken_protocol, str(error)))
                return
            self._deliver()

    def _deliver(self) -> None:
        arrivals = self.inbox.arrivals
        while arrivals:
            arrival = arrivals.popleft()
            self.outputs, self.order = arrival.outputs, arrival.order
            waiter = self._waiters.pop(arrival.request_id, None)
            if waiter is not None:
                waiter.arrival = arrival
                waiter.wake()
        if self.inbox.has_events:
            self._news.set()
            self._news = trio.Event()

    def _broken(self, error: OSError) -> None:
        self.close("the daemon has stopped" if self.inbox.departed else error.strerror or str(error))

    def _fail(self, failure: Callable[[bool], ClientError]) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        for waiter in self._waiters.values():
            waiter.wake()
        for event in (self._news, self._room):
            event.set()
        self._scope.cancel()


def _broken_protocol(text: str, _maybe_applied: bool) -> ClientError:
    return ProtocolError(text)
