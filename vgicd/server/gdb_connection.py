"""A debugger's connection: bytes to its stub and back, and the watchdog that lets the guest go without it.

As on the wire's connections, what can be sent at once is sent by whoever has caused it, and the rest is left to one
writer; nothing is read before that is gone.

The watchdog measures life, not thinking: a person may look at a stopped guest for hours, but gdb itself asks for
registers as soon as it is told of a stop, takes what it is sent, and finishes the packets that it begins.  A gdb that
does not is stuck, and what it holds is released; it may go on as soon as it lives again.
"""

from __future__ import annotations

import os
import socket
from time import perf_counter
from typing import Final

import trio

from vgicd.config import Gdb
from vgicd.gdbstub.stub import Stub
from vgicd.logs import get_logger
from vgicd.server.access import Peer
from vgicd.server.connection import DEPARTED, unsent
from vgicd.server.gdb_target import ServedTarget
from vgicd.server.limits import SLICE_SECONDS, YIELDS, Limits

_RECEIVE: Final = 65_536
_CHECKSUM_SIZE: Final = 2

log = get_logger()


class GdbConnection:
    """One debugger's conversation over the non-blocking stream socket `sock`."""

    def __init__(
        self,
        sock: socket.socket,
        stub: Stub,
        target: ServedTarget,
        peer: Peer,
        transport: str,
        gdb: Gdb,
        limits: Limits,
    ) -> None:
        self.stub = stub
        self.target = target
        self.peer = peer
        self.transport = transport
        self.reason = "peer closed"
        self.packets = 0
        self._gdb = gdb
        self._limits = limits
        self._sock = sock
        self._scope = trio.CancelScope()
        self._writable = trio.Event()  # output is stuck: the writer has work
        self._drained = trio.Event()  # it is gone: the reader may go on
        self._blocked = False
        self._sent = 0  # bytes, since the beginning
        now = trio.current_time()
        self._opened = now
        self._heard = False
        self._until = 0.0  # when the turn is over, by perf_counter
        self._told: float | None = None  # of a stop, since when nothing has been heard
        self._begun: float | None = None  # a packet that is not finished
        self._took = now  # when the peer last took something, or had nothing to take
        self._taken = 0  # bytes, until then
        stub.flush = self.flush
        target.failed = self._fail

    async def run(self) -> None:
        """Serve until gdb leaves, detaches or `close` is called; then release what it held. Raises nothing for that."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._writer)
                nursery.start_soon(self._watch)
                with self._scope:
                    try:
                        await self._reader()
                        await self._until_drained()
                    except DEPARTED:
                        self.reason = "peer lost"
                nursery.cancel_scope.cancel()
        finally:
            self.release()
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def release(self) -> None:
        """Hold and watch nothing from now on: the debugger is gone, or the daemon stops."""
        try:
            self.stub.close()
        except Exception:
            log.exception("gdb.failed", who=self.target.who)
        finally:
            self.target.leave()

    def close(self, reason: str) -> None:
        """End the connection at its next checkpoint, without sending what is left."""
        if not self._scope.cancel_called:
            self.reason = reason
            self._scope.cancel()

    def _fail(self) -> None:
        """The stub has failed, in the middle of another's request: nobody may depend on it any longer."""
        self.stub.closing = True
        self.target.leave()
        self.close("failed")

    # --- output -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what can be sent now; what cannot is the writer's, and stops the reader. Never blocks or raises."""
        if self._told is None and self.stub.awaiting:
            self._told = trio.current_time()
        if self._blocked:
            return
        try:
            self._send()
        except OSError:
            self.stub.out.clear()
            self.close("peer lost")
            return
        if self.stub.out:
            self._blocked = True
            self._drained = trio.Event()
            self._writable.set()

    def _send(self) -> None:
        out = self.stub.out
        try:
            sent = self._sock.send(out)
        except BlockingIOError:
            return
        self._sent += sent
        del out[:sent]

    async def _writer(self) -> None:
        """Send what `flush` could not, and what gathers meanwhile."""
        try:
            while True:
                await self._writable.wait()
                while self.stub.out:
                    await trio.lowlevel.wait_writable(self._sock)
                    self._send()
                self._blocked = False
                self._writable = trio.Event()
                self._drained.set()
        except DEPARTED:
            self.stub.out.clear()
            self.close("peer lost")

    async def _until_drained(self) -> None:
        while self._blocked:
            await self._drained.wait()

    # --- input --------------------------------------------------------------------------------------------------

    async def _reader(self) -> None:
        buffer = bytearray(_RECEIVE)
        view = memoryview(buffer)
        while not self.stub.closing:
            count = await self._receive(view)
            if not count:
                self.reason = "truncated" if self.stub.partial else self.reason
                return
            await self._serve(bytes(view[:count]))
        if not self._scope.cancel_called:
            self.reason = "ended by gdb"

    async def _receive(self, view: memoryview) -> int:
        """Bytes received, 0 at the end; gdb, which asks one thing after the other, often answers before one parks."""
        for _ in range(YIELDS):
            os.sched_yield()
            try:
                return self._sock.recv_into(view)
            except BlockingIOError:
                pass
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            self._until = perf_counter() + SLICE_SECONDS
            try:
                return self._sock.recv_into(view)
            except BlockingIOError:
                pass

    async def _serve(self, data: bytes) -> None:
        """Serve `data` packet by packet, so that neither turn nor output grows beyond what one packet may cost."""
        stub = self.stub
        start, size = 0, len(data)
        while start < size and not stub.closing:
            hash_ = data.find(b"#", start)
            end = size if hash_ < 0 else min(size, hash_ + 1 + _CHECKSUM_SIZE)
            self._hear(data[start:end])
            start = end
            if self._blocked:
                await self._until_drained()
            if perf_counter() > self._until:
                await trio.lowlevel.checkpoint()
                self._until = perf_counter() + SLICE_SECONDS

    def _hear(self, data: bytes) -> None:
        stub = self.stub
        self.packets += 1
        self._heard = True
        self._told = None
        try:
            stub.receive(data)
        except Exception:
            log.exception("gdb.failed", who=self.target.who)
            self._fail()
            return
        if not stub.partial:
            self._begun = None
        elif self._begun is None:
            self._begun = trio.current_time()
        if stub.out:
            self.flush()

    # --- the watchdog -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Let the guest go when the debugger that holds it does not live, or has held it long enough."""
        gdb = self._gdb
        limits = [seconds for seconds in (gdb.watchdog_seconds, gdb.freeze_seconds) if seconds]
        period = min(1.0, min(limits) / 20)
        while True:
            await trio.sleep(period)
            now = trio.current_time()
            self._note_taken(now)
            if not self._heard and now - self._opened > self._limits.hello_seconds:
                self.close("silent")
            held_since = self.target.held_since
            if held_since is None:
                continue
            text = self._late(now) or self._too_long(now - held_since)
            if text:
                self.stub.let_go(text)
                self.target.publish()
                log.warning("gdb.released", who=self.target.who, reason=text, held_seconds=round(now - held_since, 3))

    def _note_taken(self, now: float) -> None:
        in_kernel = unsent(self._sock)
        taken = self._sent - in_kernel
        if taken > self._taken or not (in_kernel or self.stub.out):
            self._taken = taken
            self._took = now

    def _late(self, now: float) -> str:
        """The sentence that says in what gdb has been late, or nothing."""
        seconds = self._gdb.watchdog_seconds
        for since, what in (
            (self._told, "was told of a stop and asked for nothing"),
            (self._begun, "began a packet and did not finish it"),
            (self._took, "took nothing of what was sent to it"),
        ):
            if since is not None and now - since > seconds:
                return (
                    f"The guest was let go: gdb {what} for {seconds:g} s (gdb.watchdog_seconds). "
                    "`monitor freeze auto` holds it again."
                )
        return ""

    def _too_long(self, seconds: float) -> str:
        limit = self._gdb.freeze_seconds
        if not limit or seconds <= limit:
            return ""
        return (
            f"The guest was let go: it may be held for {limit:g} s at once here (gdb.freeze_seconds). "
            "`monitor freeze auto` holds it again."
        )
