"""The qtest protocol: memory accesses and wires of a QEMU machine, over a UNIX socket.

One text command per line; the answer is `OK [VALUE]` or `FAIL ...`.  Once a device's inputs are intercepted, their
changes arrive as `IRQ raise N` and `IRQ lower N` lines, always before the `OK` of the command that caused them, so
`levels` is exact whenever a call returns.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCESS: Final = {1: "b", 2: "w", 4: "l", 8: "q"}


class QtestError(Exception):
    """QEMU refused a command, closed the connection or did not answer in time."""


class Qtest:
    """A connected qtest socket. Every call returns after QEMU's answer, at the latest after `timeout` seconds."""

    def __init__(self, connection: socket.socket, *, timeout: float = 20.0) -> None:
        connection.settimeout(timeout)
        self._connection = connection
        self._received = b""
        self.levels: dict[int, int] = {}  # of the intercepted device's inputs; absent is low

    def read(self, address: int, size: int = 4) -> int:
        return self.run((f"read{ACCESS[size]} {address:#x}",))[0]

    def write(self, address: int, value: int, size: int = 4) -> None:
        self.run((f"write{ACCESS[size]} {address:#x} {value:#x}",))

    def read_memory(self, address: int, size: int) -> bytes:
        """RAM only: unlike a register access it may be made on a machine with several CPUs."""
        return bytes.fromhex(self._exchange((f"read {address:#x} {size:#x}",))[0][len("0x") :])

    def write_memory(self, address: int, data: bytes) -> None:
        """RAM only, as `read_memory`."""
        self._exchange((f"write {address:#x} {len(data):#x} 0x{data.hex()}",))

    def set_line(self, device: str, index: int, level: int) -> None:
        """Drive the unnamed GPIO input `index` of the device at QOM path `device`."""
        self.run((f"set_irq_in {device} unnamed-gpio-in {index} {level}",))

    def intercept_inputs(self, device: str) -> None:
        """Report the inputs of `device` in `levels` from now on; they still reach it. One device per machine."""
        self.run((f"irq_intercept_in {device}",))

    def run(self, commands: Sequence[str]) -> list[int]:
        """Send `commands` in one go; the values of their answers, 0 for an answer without one."""
        return [int(answer, 16) if answer else 0 for answer in self._exchange(commands)]

    def close(self) -> None:
        self._connection.close()

    def _exchange(self, commands: Sequence[str]) -> list[str]:
        try:
            self._connection.sendall(("\n".join(commands) + "\n").encode())
        except OSError as error:
            raise QtestError(f"QEMU does not take {commands[0]!r}: {error}") from error
        return [self._answer(command) for command in commands]

    def _answer(self, command: str) -> str:
        while True:
            line = self._line(command)
            word, _, rest = line.partition(" ")
            if word == "OK":
                return rest
            if word != "IRQ":
                raise QtestError(f"QEMU refuses {command!r}: {line}")
            change, index = rest.split()
            self.levels[int(index)] = int(change == "raise")

    def _line(self, command: str) -> str:
        while b"\n" not in self._received:
            try:
                data = self._connection.recv(65536)
            except OSError as error:
                raise QtestError(f"QEMU does not answer {command!r}: {error}") from error
            if not data:
                raise QtestError(f"QEMU ended instead of answering {command!r}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()
