"""RSP packets: bytes in, packets out, and back (gdb manual, "Remote Protocol, Overview").

Pure: what is fed is remembered until it makes a packet, at most `limit` bytes of it.  Whatever bytes come, in whatever
pieces, the decoder raises nothing and answers the same packets.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LIMIT: Final = 0x20000
"""Bytes of a packet between `$` and `#`, as sent; what qSupported announces as PacketSize."""

INTERRUPT: Final = 0x03
_ESCAPE: Final = 0x7D
_FLIP: Final = 0x20
_CHECKSUM_SIZE: Final = 2
_OUTSIDE: Final = re.compile(rb"[$+\-\x03]")
_TO_ESCAPE: Final = re.compile(rb"[#$}*]")
_ESCAPED: Final = re.compile(rb"\}(.)", re.DOTALL)
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class Packet(NamedTuple):
    """A whole packet; `payload` is unescaped."""

    payload: bytes


class Damaged(NamedTuple):
    """A packet that cannot be used: its checksum is wrong, or it is longer than the limit. `reason` is a sentence."""

    reason: str


class Ack(NamedTuple):
    """The peer took our last packet."""


class Nak(NamedTuple):
    """The peer wants our last packet again, or is tired of waiting for it."""


class Break(NamedTuple):
    """The interrupt byte, outside of a packet: Ctrl-C."""


Item = Packet | Damaged | Ack | Nak | Break

_MARKS: Final[dict[int, Item]] = {ord("+"): Ack(), ord("-"): Nak(), INTERRUPT: Break()}


class Decoder:
    """The receiving half of a connection.

    With `trusting` set, as in no-ack mode, checksums are not compared: the transport is reliable.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.trusting = False
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False  # the buffer begins behind a `$`
        self._too_long = False  # so far that what came is thrown away up to the packet's end

    @property
    def partial(self) -> bool:
        """Has a packet begun that is not complete?"""
        return self._inside

    def feed(self, data: bytes) -> list[Item]:
        """Take `data`; answers what it completed, in order."""
        self._buffer += data
        items: list[Item] = []
        while (item := self._packet() if self._inside else self._mark()) is not None:
            items.append(item)
        return items

    def _mark(self) -> Item | None:
        """The next acknowledgement or interrupt, or the packet behind the next `$`; what is neither is skipped."""
        found = _OUTSIDE.search(self._buffer)
        if found is None:
            self._buffer.clear()
            return None
        mark = self._buffer[found.start()]
        del self._buffer[: found.end()]
        if mark != ord("$"):
            return _MARKS[mark]
        self._inside = True
        return self._packet()

    def _packet(self) -> Item | None:
        buffer = self._buffer
        end = buffer.find(b"#")
        again = buffer.rfind(b"$", 0, end if end >= 0 else len(buffer))
        if again >= 0:  # it must be escaped in a packet: the peer has started anew
            del buffer[: again + 1]
            self._too_long = False
            end = buffer.find(b"#")
        if end < 0 or len(buffer) < end + 1 + _CHECKSUM_SIZE:
            length = len(buffer) if end < 0 else end
            if length > self._limit:
                self._too_long = True
                del buffer[:length]
            return None
        payload, checksum = bytes(buffer[:end]), bytes(buffer[end + 1 : end + 1 + _CHECKSUM_SIZE])
        too_long, self._too_long = self._too_long or end > self._limit, False
        self._inside = False
        del buffer[: end + 1 + _CHECKSUM_SIZE]
        if too_long:
            return Damaged(f"A packet has at most {self._limit} bytes.")
        if not self.trusting and not (_HEX.issuperset(checksum) and int(checksum, 16) == sum(payload) & 0xFF):
            return Damaged(f"The checksum {checksum!r} does not fit its packet of {end} bytes.")
        return Packet(unescape(payload))


def escape(payload: bytes) -> bytes:
    """`payload` as it may stand between `$` and `#`."""
    return _TO_ESCAPE.sub(lambda found: bytes((_ESCAPE, found[0][0] ^ _FLIP)), payload)


def unescape(payload: bytes) -> bytes:
    """What `payload` says; an escape at the very end, which no sender produces, is dropped."""
    if _ESCAPE not in payload:
        return payload
    if payload.endswith(b"}") and not _escapes_pair_up(payload):
        payload = payload[:-1]
    return _ESCAPED.sub(lambda found: bytes((found[1][0] ^ _FLIP,)), payload)


def _escapes_pair_up(payload: bytes) -> bool:
    """Does the last `}` belong to an escape before it?"""
    run = len(payload) - len(payload.rstrip(b"}"))
    return run % 2 == 0


def encode(payload: bytes) -> bytes:
    """`payload` as a packet."""
    body = escape(payload)
    return b"$%b#%02x" % (body, sum(body) & 0xFF)


def notify(payload: bytes) -> bytes:
    """`payload` as a notification, which is not acknowledged."""
    body = escape(payload)
    return b"%%%b#%02x" % (body, sum(body) & 0xFF)
