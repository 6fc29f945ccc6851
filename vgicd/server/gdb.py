"""Debuggers: who may attach with gdb, and who has.

A debugger is a peer as any other: the same rules say what role it has, and it counts among the connections.  One that
may not attach is told why in the replies to its first packets, which gdb prints.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from math import ceil
from typing import Final

import trio

from vgicd.config import Config, ConfigError
from vgicd.gdbstub import packets
from vgicd.gdbstub.arch import Arch, ArchError, choose
from vgicd.gdbstub.lifecycle import parse_names
from vgicd.gdbstub.stub import Stub, StubOptions
from vgicd.gdbstub.target import ClientInfo
from vgicd.logs import get_logger
from vgicd.server.access import Peer
from vgicd.server.front_ends import FrontEnd
from vgicd.server.gdb_connection import GdbConnection
from vgicd.server.gdb_target import ServedTarget
from vgicd.server.listeners import Listener, Transport
from vgicd.server.session import Shared
from vgicd_protocol.frames import Role

GDB: Final = FrontEnd("gdb")

_GOODBYE_SECONDS: Final = 2.0  # for gdb to ask its first questions, if it is to be turned away
_QUESTION: Final = 4096  # bytes that one of them has at most

log = get_logger()


def check_gdb(config: Config) -> None:
    """Everything of [gdb] that would be refused before anybody attaches. ConfigError or ListenError."""
    if config.gdb.listen:
        _arch(config)
        GDB.check(config, config.gdb.listen)


def _arch(config: Config) -> Arch:
    try:
        return choose(config.gdb.arch)
    except ArchError as error:
        raise ConfigError(f"gdb.arch: {error}") from None


class Debuggers:
    """The endpoint for gdb: its listeners and its connections. `wire_clients` answers who else is connected."""

    def __init__(self, config: Config, wire_clients: Callable[[], Sequence[ClientInfo]]) -> None:
        """Open the listeners. ConfigError or ListenError; then none is open."""
        self.connections: list[GdbConnection] = []  # in order of their numbers
        self._config = config
        self._wire_clients = wire_clients
        self._numbers = count(1)
        self._goodbyes = 0  # under way
        if config.gdb.listen:
            self._arch = _arch(config)
            self._names = parse_names(config.gdb.irq_names)
        self.listeners: list[Listener] = GDB.open(config, config.gdb.listen)

    @property
    def addresses(self) -> list[str]:
        """Where gdb finds the daemon; behind the scheme, as `target remote` takes it."""
        return [listener.address for listener in self.listeners]

    def close(self) -> None:
        """Stop listening."""
        for listener in self.listeners:
            listener.close()

    def stop(self) -> None:
        """Let go of everything that a debugger holds, and end the connections."""
        for connection in list(self.connections):
            connection.release()
            connection.close("daemon stopped")

    async def converse(self, shared: Shared, sock: socket.socket, peer: Peer, role: Role, transport: Transport) -> None:
        """A whole connection of a debugger that may attach."""
        gdb, number = self._config.gdb, next(self._numbers)
        if transport is Transport.TCP:
            _notice_death(sock, gdb.watchdog_seconds)
        target = ServedTarget(shared, self._arch, role, number, self._names, self.clients)
        stub = Stub(target, StubOptions(freeze=gdb.freeze, minimal=gdb.minimal))
        connection = GdbConnection(sock, stub, target, peer, transport.value, gdb, self._config.limits)
        self.connections.append(connection)
        logs = shared.lines.allows()
        if logs:
            log.info("gdb.open", who=target.who, role=role.name.lower(), transport=transport.value, **peer.described())
        try:
            await connection.run()
        finally:
            self.connections.remove(connection)
            if logs:
                log.info("gdb.close", who=target.who, reason=connection.reason, packets=connection.packets)

    async def turn_away(self, sock: socket.socket, sentence: str) -> None:
        """Answer each of gdb's first packets with an error, which it prints, until it gives up.

        Of more than may be connected at once the rest is not heard.
        """
        if self._goodbyes < self._config.limits.connections:
            self._goodbyes += 1
            try:
                await _turn_away(sock, sentence)
            finally:
                self._goodbyes -= 1

    def clients(self) -> list[ClientInfo]:
        """Everybody connected, debuggers behind the rest."""
        return [*self._wire_clients(), *map(_described, self.connections)]


def _described(connection: GdbConnection) -> ClientInfo:
    return ClientInfo(
        number=connection.target.who,
        peer=peer_text(connection.peer),
        role=connection.target.role.name.lower(),
        transport=connection.transport,
        requests=connection.packets,
        waits=0,
        state=connection.stub.run_state(),
    )


def peer_text(peer: Peer) -> str:
    """Who the peer is, in a few words."""
    return " ".join(f"{name} {value}" for name, value in peer.described().items())


async def _turn_away(sock: socket.socket, sentence: str) -> None:
    decoder, answer = packets.Decoder(_QUESTION), b"+" + packets.encode(b"E." + sentence.encode())
    with suppress(OSError), trio.move_on_after(_GOODBYE_SECONDS):
        while True:
            await trio.lowlevel.wait_readable(sock)
            data = sock.recv(_QUESTION)
            if not data:
                return
            for item in decoder.feed(data):
                if isinstance(item, packets.Packet):
                    sock.send(answer)


def _notice_death(sock: socket.socket, seconds: float) -> None:
    """See to it that a peer whose host is gone counts as gone after about `seconds`."""
    whole = max(1, ceil(seconds / 3))
    with suppress(OSError):  # a kernel may refuse it on some sockets; the watchdog remains
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, whole)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, whole)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ceil(seconds * 1000))
