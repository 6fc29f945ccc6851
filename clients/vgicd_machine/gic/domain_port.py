"""The interrupt controller in this process: for runs that want speed or a debugger, not a daemon."""

from __future__ import annotations

from typing import Any

from vgicd_machine.errors import BusAbort, MachineError
from vgicd_machine.gic.port import Window

_GUEST_WINDOWS = frozenset({"GICD", "GICC"})


class DomainPort:
    """A `GicPort` on a vgicd domain of its own; `config` are fields of its `DomainConfig`."""

    def __init__(self, **config: Any) -> None:
        from vgicd.domain import operations  # noqa: PLC0415 - clients know the wire; only this one class needs more
        from vgicd.domain.config import DomainConfig  # noqa: PLC0415
        from vgicd.domain.domain import Domain  # noqa: PLC0415
        from vgicd.domain.errors import RequestError  # noqa: PLC0415

        self._operations = operations
        self._refusal = RequestError

        def make() -> Domain:
            return Domain(DomainConfig(**config))

        self._make = make
        self.domain = make()
        self.windows = tuple(Window(*frame[:3]) for frame in self.domain.frames() if frame[0] in _GUEST_WINDOWS)
        self.outputs = self.domain.outputs

    def renew(self) -> None:
        """A new domain, as configured."""
        self.domain = self._make()
        self.outputs = self.domain.outputs

    def read(self, cpu: int, address: int, size: int) -> int:
        value: int = self._apply(self._operations.Read(cpu, self._operations.Space.PHYSICAL, address, size))
        return value

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        self._apply(self._operations.Write(cpu, self._operations.Space.PHYSICAL, address, size, value))

    def peek(self, cpu: int, address: int, size: int) -> int:
        """What `read` would answer now, without its side effects; raises as it."""
        operations = self._operations
        value: int = self._apply(operations.Read(cpu, operations.Space.PHYSICAL, address, size, operations.Plane.DEBUG))
        return value

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        owner = self._operations.NO_VCPU if cpu is None else cpu
        self._apply(self._operations.Line(intid, level, owner))

    def _apply(self, operation: Any) -> Any:
        try:
            result = self.domain.apply(operation)
        except self._refusal as error:
            raise MachineError(f"the interrupt controller refuses: {error}") from error
        self.outputs = result.outputs
        if result.fault:
            raise BusAbort
        return result.value

    def check(self) -> None:
        """Nothing happens here unasked."""

    def wait(self, _seconds: float) -> bool:
        """Nobody else can raise a line."""
        return False
