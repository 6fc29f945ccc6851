"""A guest that goes on where Xen would have stopped: an access that meets a fatal assertion aborts instead."""

from __future__ import annotations

from collections.abc import Sequence

from vgicd_machine.errors import BusAbort, MachineError
from vgicd_machine.gic.port import GicPort, Window
from vgicd_protocol.errors import Status


class Surviving:
    """A `GicPort` around `port`, for guests that run into variant xen's assertions on purpose.

    Such an access has no effect and is answered with an external abort; what would have stopped Xen is kept, each
    sentence once, in `assertions`.  Everything else passes through.
    """

    def __init__(self, port: GicPort) -> None:
        self._port = port
        self.assertions: list[str] = []

    @property
    def windows(self) -> Sequence[Window]:
        return self._port.windows

    @property
    def outputs(self) -> int:
        return self._port.outputs

    @outputs.setter
    def outputs(self, levels: int) -> None:
        self._port.outputs = levels

    def read(self, cpu: int, address: int, size: int) -> int:
        try:
            return self._port.read(cpu, address, size)
        except MachineError as error:
            self._note(error)
            raise BusAbort from error

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        try:
            self._port.write(cpu, address, size, value)
        except MachineError as error:
            self._note(error)
            raise BusAbort from error

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        self._port.line(intid, level, cpu)

    def check(self) -> None:
        self._port.check()

    def wait(self, seconds: float) -> bool:
        return self._port.wait(seconds)

    def _note(self, error: MachineError) -> None:
        """Raises `error` again unless it is an assertion's."""
        # The client's refusal and that of a domain in this process have the same codes.
        if getattr(error.__cause__, "code", None) != Status.FATAL_ASSERTION:
            raise error
        if str(error) not in self.assertions:
            self.assertions.append(str(error))
