"""A connection that QEMU makes to the bridge: bytes sent at once, bytes received without waiting.

QEMU's serial port blocks the whole of QEMU while nobody takes what the guest writes, and its socket is full after some
hundred characters.  So whoever waits for an answer takes in the console meanwhile (`beside`).
"""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path
from typing import Final

from vgicd_bridge.errors import EmulatorLost

PATIENCE: Final = 5.0
"""Seconds that QEMU may take for an answer, or to take what it is sent."""
_PART: Final = 1 << 16


class Listener:
    """Where QEMU will connect to: a UNIX socket at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(1)

    def accept(self, seconds: float) -> Channel | None:
        """The connection; None when there is none within `seconds`. Raises `OSError`."""
        self._socket.settimeout(seconds)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        self._socket.close()
        return Channel(connection, self.path.name)

    def close(self) -> None:
        self._socket.close()


class Channel:
    """A connected socket. `name` is what errors call it."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._name = name
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._kept = b""
        self._other: Channel | None = None

    def beside(self, other: Channel) -> None:
        """Have `wait` take in what comes at `other` meanwhile, which `other.take` then answers."""
        self._other = other
        self._poll.register(other, select.POLLIN)

    def fileno(self) -> int:
        """For `poll` beside others."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """All of `data`. Raises `EmulatorLost` if QEMU does not take it within `PATIENCE`."""
        while data := self.offer(data):
            _, ready, _ = select.select([], [self._socket], [], PATIENCE)
            if not ready:
                raise EmulatorLost(f"QEMU takes nothing at its {self._name} socket")

    def offer(self, data: bytes) -> bytes:
        """As much of `data` as is taken without waiting; the rest of it. Raises `EmulatorLost` at the end."""
        try:
            return data[self._socket.send(data) :]
        except BlockingIOError:
            return data
        except OSError as error:
            raise self._lost() from error

    def take(self) -> bytes:
        """What has come; empty when nothing has. Raises `EmulatorLost` at the end."""
        if self._kept:
            kept, self._kept = self._kept, b""
            return kept
        try:
            data = self._socket.recv(_PART)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        return data

    @property
    def kept(self) -> bool:
        """Whether something has been taken in that `take` has not answered yet: `poll` does not know of that."""
        return bool(self._kept)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Until something has come. Raises `EmulatorLost` after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                raise EmulatorLost(f"QEMU does not answer at its {self._name} socket")
            for descriptor, _ in ready:
                if descriptor == self.fileno():
                    return
                if self._other is not None:
                    self._other._keep(self._poll)

    def _keep(self, poll: select.poll) -> None:
        try:
            data = self._socket.recv(_PART)
        except OSError:
            data = b""
        self._kept += data
        if not data:
            poll.unregister(self)  # its end, of which `take` tells

    def close(self) -> None:
        self._socket.close()

    def _lost(self) -> EmulatorLost:
        return EmulatorLost(f"QEMU has closed its {self._name} socket")
