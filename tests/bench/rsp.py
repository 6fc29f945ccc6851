"""A plain client of gdb's remote protocol: a blocking socket, no acknowledgements, one packet at a time."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Final, Self

from tests.bench.native import CannotRunError

_PATIENCE: Final = 20.0


class RspClient:
    """A connection to the stub at a UNIX socket's path, in no-ack mode. A context manager, which hangs up."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        self._rest = b""
        self._socket.connect(path)

    def start(self) -> None:
        """Agree to do without acknowledgements."""
        if self.ask(b"QStartNoAckMode") != b"OK":
            raise CannotRunError("the stub has no QStartNoAckMode")
        self._socket.sendall(b"+")
        self._socket.settimeout(None)

    def ask(self, packet: bytes) -> bytes:
        """The stub's answer to `packet`, as it was sent."""
        self._socket.sendall(b"$%b#%02x" % (packet, sum(packet) & 0xFF))
        data = self._rest
        while (end := data.find(b"#")) < 0 or len(data) < end + 3:
            received = self._socket.recv(1 << 16)
            if not received:
                raise CannotRunError("the stub hung up")
            data += received
        self._rest = data[end + 3 :]
        return data[data.index(b"$") + 1 : end]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
