"""A wiretap between a gdb and its stub: passes on every byte, and keeps the packets in their order.

It knows of the protocol only how packets are told apart (gdb manual, Remote Protocol, Overview), independently of the
codec under test.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FROM_GDB: Final = "gdb"
FROM_STUB: Final = "stub"
_ESCAPE: Final = 0x7D


@dataclass(frozen=True)
class Packet:
    """One packet, unescaped and as text (latin-1); "\\x03" is an interrupt, "%Stop:..." a notification."""

    sender: str
    text: str


class _Splitter:
    """Finds the packets in one direction's bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        self._rest += data
        found = []
        while self._rest:
            start = self._rest[:1]
            if start in b"+-":
                self._rest = self._rest[1:]
            elif start == b"\x03":
                found.append("\x03")
                self._rest = self._rest[1:]
            elif start in b"$%":
                end = self._rest.find(b"#")
                if end < 0 or len(self._rest) < end + 3:
                    break
                body, sent = self._rest[1:end], self._rest[end + 1 : end + 3]
                if int(sent, 16) != sum(body) & 0xFF:
                    raise AssertionError(f"a packet with a wrong checksum: {self._rest[: end + 3]!r}")
                found.append(("%" if start == b"%" else "") + _unescaped(body))
                self._rest = self._rest[end + 3 :]
            else:
                raise AssertionError(f"bytes between packets: {self._rest[:80]!r}")
        return found


def _unescaped(body: bytes) -> str:
    if _ESCAPE not in body:
        return body.decode("latin-1")
    out, escaped = bytearray(), False
    for byte in body:
        if escaped:
            out.append(byte ^ 0x20)
        elif byte != _ESCAPE:
            out.append(byte)
        escaped = not escaped and byte == _ESCAPE
    return out.decode("latin-1")


class Tap:
    """Listens at `path` for one gdb at a time and connects it to the stub's UNIX socket `stub`."""

    def __init__(self, path: Path, stub: str) -> None:
        self.path = path
        self.packets: list[Packet] = []
        self.failure: BaseException | None = None
        self._stub = stub
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="tap", daemon=True).start()

    def close(self) -> None:
        """Hang up on both sides, which is what a killed gdb does."""
        for sock in (self._listener, *tuple(self._open)):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has been hung up already
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                gdb, _ = self._listener.accept()
            except OSError:
                return
            stub = socket.socket(socket.AF_UNIX)
            try:
                stub.connect(self._stub)
            except OSError as error:
                self.failure = error
                gdb.close()
                continue
            self._open |= {gdb, stub}
            for source, sink, sender in ((gdb, stub, FROM_GDB), (stub, gdb, FROM_STUB)):
                threading.Thread(target=self._pass, args=(source, sink, sender), name=sender, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, sender: str) -> None:
        splitter = _Splitter()
        try:
            while data := source.recv(1 << 16):
                self.packets += [Packet(sender, text) for text in splitter.feed(data)]
                sink.sendall(data)
        except OSError:
            pass  # the other direction has ended, or this gdb
        except AssertionError as error:
            self.failure = error
        finally:
            self._open.discard(source)
            with contextlib.suppress(OSError):  # the same
                sink.shutdown(socket.SHUT_RDWR)
            source.close()
