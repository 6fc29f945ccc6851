"""gdb's Remote Serial Protocol from the debugger's side, without input or output (gdb manual, "Remote Protocol").

Bytes that have come are fed in whatever pieces; whole packets come out.  Nothing here waits.
"""

from __future__ import annotations

from typing import Final

LIMIT: Final = 1 << 20
"""Bytes of a packet; far more than a debugger is ever told."""
_ESCAPE: Final = 0x7D
_RUN: Final = 0x2A
_FLIP: Final = 0x20


class RspError(Exception):
    """The other side does not speak the protocol; the connection is of no more use."""


def checksum(data: bytes) -> int:
    """The sum of the bytes between `$` and `#`, modulo 256."""
    return sum(data) & 0xFF


def encode(payload: bytes) -> bytes:
    """`payload` as a packet, its special characters escaped."""
    escaped = bytearray()
    for byte in payload:
        if byte in b"#$}*":
            escaped += bytes((_ESCAPE, byte ^ _FLIP))
        else:
            escaped.append(byte)
    return b"$%b#%02x" % (bytes(escaped), checksum(bytes(escaped)))


def unpack(data: bytes) -> bytes:
    """The payload between `$` and `#`: escapes undone, runs expanded. Raises `RspError` for a cut-off one."""
    payload = bytearray()
    at = 0
    while at < len(data):
        byte = data[at]
        if byte in (_ESCAPE, _RUN):
            at += 1
            if at == len(data) or (byte == _RUN and (not payload or data[at] < 29 + 3)):
                raise RspError(f"a packet with a broken escape or run: {data[:80]!r}")
            payload += bytes((data[at] ^ _FLIP,)) if byte == _ESCAPE else payload[-1:] * (data[at] - 29)
        else:
            payload.append(byte)
        at += 1
    return bytes(payload)


class Decoder:
    """Bytes in, packets out. Acknowledgements are skipped: a socket loses nothing that one would ask for again."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the packets that `data` completes, in order; notifications (`%`) are left out.

        Raises `RspError` for what is no packet, a wrong checksum, or one longer than `LIMIT`.
        """
        self._data += data
        packets: list[bytes] = []
        while self._data:
            if self._data[0] in b"+-":
                del self._data[0]
                continue
            if self._data[0] not in b"$%":
                raise RspError(f"neither packet nor acknowledgement: {bytes(self._data[:80])!r}")
            end = self._data.find(b"#")
            if end < 0 or len(self._data) < end + 3:
                if len(self._data) > LIMIT:
                    raise RspError(f"a packet of more than {LIMIT} bytes")
                break
            kind, body, sent = self._data[0], bytes(self._data[1:end]), bytes(self._data[end + 1 : end + 3])
            del self._data[: end + 3]
            if b"%02x" % checksum(body) != sent.lower():
                raise RspError(f"checksum {sent!r} is not that of {body[:80]!r}")
            if kind == ord("$"):
                packets.append(unpack(body))
        return packets
