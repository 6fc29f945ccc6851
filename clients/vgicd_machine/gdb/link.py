"""A connection to gdb: packets that have come, and replies. Nothing here knows what they mean."""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import Final

PATIENCE: Final = 5.0
"""Seconds that gdb may take to receive what it is sent."""

_PART: Final = 1 << 16


class LinkLost(Exception):
    """gdb is gone; nothing can be sent any more."""


class Interrupt:
    """gdb's Ctrl-C, where a packet may stand."""


INTERRUPT: Final = Interrupt()


class Link:
    """Packets over `connection`. The codec is the daemon's own, which is pure: both endpoints speak one protocol."""

    def __init__(self, connection: socket.socket) -> None:
        from vgicd.gdbstub import packets  # noqa: PLC0415 - bytes in, packets out: nothing of the daemon comes with it

        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._encode = packets.encode
        self._decoder = packets.Decoder()
        self._limit = packets.LIMIT
        self._acks = True
        self._last = b""
        self._items: deque[bytes | Interrupt] = deque()

    @property
    def limit(self) -> int:
        """Bytes of the longest packet that is understood."""
        return self._limit

    def take(self, seconds: float = 0) -> bytes | Interrupt | None:
        """The next packet's payload, waiting up to `seconds` for it. Raises `LinkLost`."""
        if not self._items and select.select([self._socket], [], [], seconds)[0]:
            self._receive()
        return self._items.popleft() if self._items else None

    def trust(self) -> None:
        """No acknowledgements from now on."""
        self._acks = False
        self._decoder.trusting = True

    def send(self, payload: bytes) -> None:
        """`payload` as a packet. Raises `LinkLost`."""
        self._last = self._encode(payload)
        self._push(self._last)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        from vgicd.gdbstub.packets import Break, Damaged, Nak, Packet  # noqa: PLC0415

        try:
            data = self._socket.recv(_PART)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost from error
        if not data:
            raise LinkLost
        for item in self._decoder.feed(data):
            match item:
                case Packet(payload):
                    self._acknowledge(b"+")
                    self._items.append(payload)
                case Break():
                    self._items.append(INTERRUPT)
                case Damaged():
                    self._acknowledge(b"-")
                case Nak():
                    self._push(self._last if self._acks else b"")

    def _acknowledge(self, mark: bytes) -> None:
        if self._acks:
            self._push(mark)

    def _push(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                if not select.select([], [self._socket], [], PATIENCE)[1]:
                    raise LinkLost from None
            except OSError as error:
                raise LinkLost from error
