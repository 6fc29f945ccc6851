"""The operation log: what went to the interrupt controller and came back, a line of text for each operation.

The first line is `# vgicd operation log 1` and `name=value` pairs.  Then, for each operation in order,

    TIME CPU r1|r2|r4|w1|w2|w4 ADDRESS VALUE OUTPUTS
    TIME CPU|- line INTID LEVEL OUTPUTS

with the machine's virtual time in ticks, `-` for an SPI, hexadecimal addresses and values, `abort` as the value of an
access that faulted, and the interrupt outputs after it (bit 2v: the IRQ, bit 2v+1: the FIQ input of CPU v).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from vgicd_machine.errors import BusAbort, MachineError
from vgicd_machine.gic.port import GicPort, Window

TITLE: Final = "# vgicd operation log 1"


class Recorder:
    """A `GicPort` that writes down what goes through to `port`.

    `moment()` tells the time; `facts` are the pairs of the first line, in their order: whatever makes two runs
    comparable, such as the seed, the geometry and the image's digest.  No value has white space.  Raises `MachineError`
    when `stream` cannot be written.
    """

    def __init__(self, port: GicPort, stream: TextIO, moment: Callable[[], int], facts: Mapping[str, object]) -> None:
        self._port = port
        self._stream = stream
        self._moment = moment
        self.windows: Sequence[Window] = port.windows
        self.outputs = port.outputs
        self._append(" ".join((TITLE, *(f"{name}={value}" for name, value in facts.items()))) + "\n")

    def read(self, cpu: int, address: int, size: int) -> int:
        try:
            value = self._port.read(cpu, address, size)
        except BusAbort:
            self._done(f"{cpu} r{size} {address:#x} abort")
            raise
        self._done(f"{cpu} r{size} {address:#x} {value:#x}")
        return value

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        try:
            self._port.write(cpu, address, size, value)
        except BusAbort:
            self._done(f"{cpu} w{size} {address:#x} abort")
            raise
        self._done(f"{cpu} w{size} {address:#x} {value:#x}")

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        self._port.line(intid, level, cpu)
        self._done(f"{'-' if cpu is None else cpu} line {intid} {level}")

    def check(self) -> None:
        self._port.check()
        self.outputs = self._port.outputs

    def wait(self, seconds: float) -> bool:
        risen = self._port.wait(seconds)
        self.outputs = self._port.outputs
        return risen

    def _done(self, operation: str) -> None:
        self.outputs = outputs = self._port.outputs
        self._append(f"{self._moment()} {operation} {outputs:#x}\n")

    def _append(self, line: str) -> None:
        try:
            self._stream.write(line)
        except OSError as error:
            raise MachineError(f"cannot write the operation log: {error.strerror}") from error
