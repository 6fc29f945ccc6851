"""What a CPU reaches beside RAM: the interrupt controller's windows and the local UART."""

from __future__ import annotations

from vgicd_machine.board import pl011
from vgicd_machine.board.pl011 import Pl011
from vgicd_machine.gic.port import GicPort, Window


class Bus:
    """Routes an access by its address; `outputs` are the interrupt inputs of all CPUs after it."""

    def __init__(self, port: GicPort, uart: Pl011) -> None:
        self._port = port
        self._uart = uart
        self.windows = (*port.windows, Window("UART", pl011.BASE, pl011.SIZE))

    @property
    def outputs(self) -> int:
        return self._port.outputs

    def read(self, cpu: int, address: int, size: int) -> int:
        """`size` is 1, 2 or 4. Raises `BusAbort`, or `GicLost` when nobody answers."""
        if pl011.BASE <= address < pl011.BASE + pl011.SIZE:
            return self._uart.read(address - pl011.BASE, size)
        return self._port.read(cpu, address, size)

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        """As `read`."""
        if pl011.BASE <= address < pl011.BASE + pl011.SIZE:
            self._uart.write(address - pl011.BASE, size, value)
        else:
            self._port.write(cpu, address, size, value)
