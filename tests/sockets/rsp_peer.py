"""A debugger for tests: whole packets of gdb's Remote Serial Protocol over a trio socket, without gdb."""

from __future__ import annotations

import socket
from pathlib import Path

import trio

from vgicd.gdbstub import packets

from .conftest import PATIENCE

FEATURES = b"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;error-message+"


class RspPeer:
    """The other end of a debugger's connection, in no-ack mode once `attach` is through."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self._buffer = bytearray()

    async def send(self, payload: bytes) -> None:
        await self.send_raw(packets.encode(payload))

    async def send_raw(self, data: bytes) -> None:
        while data:
            data = data[await self.sock.send(data) :]

    async def receive(self) -> bytes:
        """The next packet or notification. EOFError at the end of the stream."""
        while True:
            start = min((at for at in (self._buffer.find(b"$"), self._buffer.find(b"%")) if at >= 0), default=-1)
            end = self._buffer.find(b"#", start)
            if 0 <= start < end and len(self._buffer) >= end + 3:
                payload = packets.unescape(bytes(self._buffer[start + 1 : end]))
                del self._buffer[: end + 3]
                return payload
            with trio.fail_after(PATIENCE):
                data = await self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self._buffer += data

    async def ask(self, payload: bytes) -> bytes:
        """Send a packet; what is answered, without O packets."""
        await self.send(payload)
        while (answer := await self.receive())[:1] == b"O" and answer != b"OK":
            pass
        return answer

    async def monitor(self, line: str) -> str:
        """What `monitor LINE` prints."""
        await self.send(b"qRcmd," + line.encode().hex().encode())
        said = b""
        while (answer := await self.receive())[:1] == b"O" and answer != b"OK":
            said += answer[1:]
        return bytes.fromhex((said + (b"" if answer == b"OK" else answer)).decode()).decode()

    async def attach(self) -> bytes:
        """What gdb does at `target remote`; the stop that it is told."""
        await self.ask(FEATURES)
        assert await self.ask(b"QStartNoAckMode") == b"OK"
        stop = await self.ask(b"?")
        await self.look()
        return stop

    async def look(self) -> None:
        """What gdb does at every stop."""
        await self.ask(b"g")

    async def closed(self) -> None:
        """The end of the stream must come next."""
        try:
            while True:
                await self.receive()
        except (EOFError, ConnectionError):
            self.sock.close()


async def connect_unix(path: Path) -> RspPeer:
    sock = trio.socket.socket(socket.AF_UNIX)
    await sock.connect(str(path))
    return RspPeer(sock)


async def connect_tcp(address: str) -> RspPeer:
    """`address` as the daemon shows it: tcp:HOST:PORT."""
    _, host, port = address.split(":")
    sock = trio.socket.socket(socket.AF_INET)
    await sock.connect((host, int(port)))
    return RspPeer(sock)
