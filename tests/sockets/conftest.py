"""A daemon inside the test's own event loop, and a peer that speaks the wire frame by frame.

Both ends use real UNIX sockets in `tmp_path`, so that what is tested is what runs.  Deadlines are met with trio's
autojump clock.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from vgicd import config, logs
from vgicd.server.daemon import Daemon
from vgicd_protocol import framing, messages, session
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import EFFECTS, REPLY_HEAD_SIZE, Opcode, Role
from vgicd_protocol.framing import Reply

PATIENCE = 45.0  # seconds, of the autojump clock where a test has it: longer than every deadline of the daemon


class WirePeer:
    """The other end of a connection: sends any bytes, receives whole replies."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self.events: list[Reply] = []
        self.portion = 1 << 16  # bytes received at a time, at most
        self._reader = framing.FrameReader(smallest=REPLY_HEAD_SIZE)
        self._joiner = framing.ReplyJoiner()
        self._replies: list[Reply] = []
        self._id = 100

    async def send(self, data: bytes) -> None:
        while data:
            data = data[await self.sock.send(data) :]

    async def receive(self) -> Reply:
        """The next reply that is no EVENT; those are kept in `events`. EOFError at the end of the stream."""
        while True:
            reply = await self.receive_any()
            if reply.opcode != Opcode.EVENT or reply.status != Status.OK:
                return reply
            self.events.append(reply)

    async def receive_any(self) -> Reply:
        while not self._replies:
            with trio.fail_after(PATIENCE):
                data = await self.sock.recv(self.portion)
            if not data:
                raise EOFError
            for frame in self._reader.feed(data):
                whole = self._joiner.add(framing.reply_of(frame))
                if whole is not None:
                    self._replies.append(whole)
        return self._replies.pop(0)

    async def ask_raw(self, opcode: int, body: bytes = b"", flags: int = 0) -> Reply:
        """Send a request with `body` as it is; the reply to it."""
        self._id += 1
        await self.send(framing.request(opcode, self._id, body, flags))
        reply = await self.receive()
        assert reply.request_id == self._id
        return reply

    async def ask(self, opcode: int, flags: int = 0, **fields: Any) -> Reply:
        """Send a well-formed request; the reply to it."""
        return await self.ask_raw(opcode, messages.build_request(opcode, fields), flags)

    async def expect(self, opcode: int, flags: int = 0, **fields: Any) -> dict[str, Any]:
        """Send a well-formed request that must succeed; the fields of its reply."""
        reply = await self.ask(opcode, flags, **fields)
        assert reply.status == Status.OK, messages.parse_error(reply.body)
        return messages.parse_reply(opcode, reply.body, with_effects=bool(flags & EFFECTS))

    async def refused(self, opcode: int, flags: int = 0, **fields: Any) -> tuple[Status, str]:
        """Send a well-formed request that must be refused; its status and offending field."""
        return self.refusal(await self.ask(opcode, flags, **fields))

    @staticmethod
    def refusal(reply: Reply) -> tuple[Status, str]:
        assert reply.status not in (Status.OK, Status.ABORT)
        if reply.opcode in framing.HOT_OPCODES:
            assert reply.body == bytes(8)
            return Status(reply.status), ""
        field, text = messages.parse_error(reply.body)
        assert text
        return Status(reply.status), field

    async def hello(self, role: int = Role.ANY, **fields: Any) -> session.Welcome:
        body = session.Hello(role=Role(role), **fields).fields()
        return session.Welcome.from_fields(await self.expect(Opcode.HELLO, **body))

    async def access(
        self, opcode: int, address: int, value: int = 0, *, vcpu: int = 0, size: int = 4, space: int = 1, flags: int = 0
    ) -> Reply:
        """A READ, WRITE or LINE with any fields; the reply to it."""
        self._id += 1
        await self.send(framing.hot_request(opcode, self._id, vcpu, size, space, address, value, flags))
        reply = await self.receive()
        assert reply.request_id == self._id
        return reply

    async def read(self, address: int, **where: int) -> int:
        reply = await self.access(Opcode.READ, address, **where)
        assert reply.status == Status.OK
        return int.from_bytes(reply.body, "little")

    async def write(self, address: int, value: int, **where: int) -> Reply:
        reply = await self.access(Opcode.WRITE, address, value, **where)
        assert reply.status == Status.OK
        return reply

    async def line(self, intid: int, level: int, vcpu: int = 0xFFFF) -> Reply:
        reply = await self.access(Opcode.LINE, intid, level, vcpu=vcpu, size=0, space=0)
        assert reply.status == Status.OK
        return reply

    async def state(self) -> bytes:
        """The whole state, as SNAPSHOT answers it."""
        reply = await self.ask(Opcode.SNAPSHOT)
        assert reply.status == Status.OK
        return reply.body

    async def fault(self) -> tuple[Status, str]:
        """The ERROR frame that must come next, and after which the daemon must close."""
        reply = await self.receive()
        assert reply.opcode == Opcode.ERROR
        await self.closed()
        return Status(reply.status), messages.parse_error(reply.body)[1]

    async def closed(self) -> None:
        """The end of the stream must come next."""
        with pytest.raises((EOFError, ConnectionError)):
            await self.receive()


class Served:
    """A running daemon and a way to reach it."""

    def __init__(self, daemon: Daemon, path: Path) -> None:
        self.daemon = daemon
        self.path = path
        self._open: list[trio.socket.SocketType] = []

    async def connect(self, role: int | None = Role.ANY, kind: int = socket.SOCK_STREAM) -> WirePeer:
        """A peer that has said HELLO (role None: has not)."""
        sock = trio.socket.socket(socket.AF_UNIX, kind)
        self._open.append(sock)
        await sock.connect(str(self.path if kind == socket.SOCK_STREAM else self.path.with_suffix(".packet")))
        peer = WirePeer(sock)
        if role is not None:
            await peer.hello(role)
        return peer

    async def until_connections(self, number: int) -> None:
        """Wait until so many connections are open."""
        with trio.fail_after(PATIENCE):
            while len(self.daemon.connections) != number:  # noqa: ASYNC110 (the daemon has no event for a test's sake)
                await trio.sleep(0.01)

    def close(self) -> None:
        for sock in self._open:
            sock.close()


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """`async with serving(section={key: value, ...}, ...) as served:` runs a daemon with that configuration."""

    @asynccontextmanager
    async def serve(**sections: dict[str, Any]) -> AsyncIterator[Served]:
        path = tmp_path / "vgicd.sock"
        listen = {"unix": [str(path)], "unixpacket": [str(path.with_suffix(".packet"))]}
        domain = {"vcpus": 2} | sections.pop("domain", {})
        document = {"listen": listen | sections.pop("listen", {}), "domain": domain, **sections}
        daemon = Daemon(config.parse(document, "test"))
        served = Served(daemon, path)
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.serve)
            try:
                yield served
            finally:
                daemon.stop("test")
                served.close()

    return serve


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test is a systemd service by accident, and only what is wrong is logged."""
    logs.configure(logs.Logging(level="warning", format="json"))
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"):
        monkeypatch.delenv(name, raising=False)
    yield
    structlog.reset_defaults()
