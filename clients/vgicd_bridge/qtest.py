"""QEMU's qtest protocol from the client's side, without input or output: lines in, answers and notices apart.

A command is a line of text, its answer `OK [VALUE]` or `FAIL ...`.  Once the outputs of a device are intercepted, their
changes come as `IRQ raise N` and `IRQ lower N`, whenever they happen, in the order in which they happen.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

ACCESS: Final = {1: "b", 2: "w", 4: "l", 8: "q"}
_LONGEST: Final = 1 << 16


class QtestError(Exception):
    """QEMU answers what is not qtest, or refuses a command."""


class Notice(NamedTuple):
    """An intercepted output has changed to `level`."""

    output: int
    level: int


def read(address: int, size: int = 4) -> str:
    """The command that reads `size` bytes at a physical address."""
    return f"read{ACCESS[size]} {address:#x}"


def write(address: int, value: int, size: int = 4) -> str:
    """The command that writes `size` bytes at a physical address."""
    return f"write{ACCESS[size]} {address:#x} {value:#x}"


def drive(device: str, pin: int, level: int) -> str:
    """The command that drives an input of the device at QOM path `device`."""
    return f"set_irq_in {device} unnamed-gpio-in {pin} {level}"


def intercept(device: str) -> str:
    """The command after which changes of the device's outputs are told. One device for each QEMU."""
    return f"irq_intercept_out {device}"


class Decoder:
    """Bytes in; `notices` and `answers` hold what has come and nobody has taken yet."""

    def __init__(self) -> None:
        self._data = b""
        self.notices: deque[Notice] = deque()
        self.answers: deque[int] = deque()

    def feed(self, data: bytes) -> None:
        """Take in `data`. An answer without a value is 0. Raises `QtestError` for FAIL, and what is no qtest."""
        *lines, self._data = (self._data + data).split(b"\n")
        if len(self._data) > _LONGEST:
            raise QtestError(f"a line of more than {_LONGEST} bytes")
        for line in lines:
            match line.decode("ascii", "replace").split():
                case ["OK"]:
                    self.answers.append(0)
                case ["OK", value]:
                    self.answers.append(_number(value, line))
                case ["IRQ", "raise" | "lower" as change, output]:
                    self.notices.append(Notice(_number(output, line), int(change == "raise")))
                case _:
                    raise QtestError(f"QEMU says {line.decode('ascii', 'replace')!r}")


def _number(text: str, line: bytes) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise QtestError(f"no number in {line!r}") from None
