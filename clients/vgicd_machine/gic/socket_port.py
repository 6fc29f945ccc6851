"""The interrupt controller in another process: every access is one round trip to a vgicd daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vgicd_client import (
    AddressError,
    Client,
    ClientError,
    ConnectionLost,
    ProtocolError,
    Refused,
    Space,
    connect,
    regs,
    requests,
)
from vgicd_machine.errors import BusAbort, GicLost, MachineError
from vgicd_machine.gic.port import Window
from vgicd_protocol.errors import Status

TIMEOUT: Final = 4.0
"""Seconds that a daemon may take for an answer before it counts as lost."""

_STEP: Final = 1.0
"""Seconds of a wait that are asked for at once, well within `TIMEOUT`."""

_GUEST_WINDOWS: Final = frozenset({"GICD", "GICC"})
_ARRAYS: Final = ("GICD_ISENABLER", "GICD_ISPENDR", "GICD_ISACTIVER")
_SGIS: Final = 0xFFFF  # always enabled
_PAGE: Final = 0x1000
_LOST: Final = "the interrupt controller is gone"
_ADVICE: Final = "the guest cannot go on without it: start the daemon again, and the guest from its beginning"


class SocketPort:
    """A `GicPort` on a connected client. The client's guest aborts need not be raised: its `aborted` is read."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.windows = tuple(
            Window(window.name, window.base, -(-window.size // _PAGE) * _PAGE)
            for window in client.welcome.windows
            if window.name in _GUEST_WINDOWS
        )
        self.outputs = client.outputs

    @property
    def vcpus(self) -> int:
        """How many vCPUs the daemon's domain has."""
        return self._client.welcome.geometry.vcpus

    @property
    def geometry(self) -> dict[str, object]:
        """What else the domain is: list registers, SPIs and variant."""
        geometry = self._client.welcome.geometry
        return {"lrs": geometry.lrs, "spis": geometry.spis, "variant": geometry.variant}

    def left_over(self) -> str:
        """What shows that the daemon is not as after reset, as "GICD_CTLR is 0x1"; "" if nothing does. Only looks."""
        if not self._client.order:
            return ""
        geometry = self._client.welcome.geometry
        places = [(cpu, name) for cpu in range(geometry.vcpus) for name in ("GICC_CTLR", *(f"{a}0" for a in _ARRAYS))]
        places += [(0, f"{array}{n}") for array in _ARRAYS for n in range(1, 1 + -(-geometry.spis // 32))]
        for cpu, name in ((0, "GICD_CTLR"), *places):
            frame = name.partition("_")[0]
            offset = regs.frames()[frame].named(name)
            word = 0 if offset is None else self._client.peek(cpu, Space[frame], offset)
            if name == "GICD_ISENABLER0":
                word &= ~_SGIS
            if word:
                return f"{name} is {word:#x}"
        return ""

    def read(self, cpu: int, address: int, size: int) -> int:
        client = self._client
        try:
            value = client.read(cpu, Space.PHYSICAL, address, size)
        except ClientError as error:
            raise _explain(error) from error
        self.outputs = client.outputs
        if client.aborted:
            raise BusAbort
        return value

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        client = self._client
        try:
            client.write(cpu, Space.PHYSICAL, address, value, size)
        except ClientError as error:
            raise _explain(error) from error
        self.outputs = client.outputs
        if client.aborted:
            raise BusAbort

    def peek(self, cpu: int, address: int, size: int) -> int:
        """What `read` would answer now, without its side effects; raises as it."""
        client = self._client
        try:
            value = client.peek(cpu, Space.PHYSICAL, address, size)
        except ClientError as error:
            raise _explain(error) from error
        if client.aborted:
            raise BusAbort
        return value

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        try:
            self._client.line(intid, level, cpu)
        except ClientError as error:
            raise _explain(error) from error
        self.outputs = self._client.outputs

    def check(self) -> None:
        try:
            self._client.ping()
        except ClientError as error:
            raise _explain(error) from error
        self.outputs = self._client.outputs

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not (risen := self._risen(min(_STEP, max(0.0, end - time.monotonic())))):
            if time.monotonic() >= end:
                break
        self.outputs = self._client.outputs
        return risen

    def _risen(self, seconds: float) -> bool:
        """One WAIT, whose answer may be late by the client's time-out and no more: `wait_output` knows no limit."""
        every = (1 << 2 * self.vcpus) - 1
        try:
            self._client.perform(requests.wait_request(every, round(seconds * 1000)))
        except Refused as refused:
            if refused.code == Status.TIMEOUT:
                return False
            raise _explain(refused) from refused
        except ClientError as error:
            raise _explain(error) from error
        return True


@contextmanager
def open_port(address: str, timeout: float | None = TIMEOUT) -> Iterator[SocketPort]:
    """Connect to the daemon at `address` as its guest, and disconnect at the end of the block.

    After `timeout` seconds without an answer the daemon counts as lost; None waits for ever, as a guest must that a
    debugger may hold.  Raises `GicLost` when there is none, `MachineError` when it refuses.
    """
    try:
        client = connect(address, "guest", name="vgicd_machine", timeout=timeout)
    except ClientError as error:
        raise _unreached(address, error) from error
    with client:
        yield SocketPort(client)


def reset(address: str, timeout: float | None = TIMEOUT, *, why: str = "--reset") -> None:
    """Have the daemon at `address` build its domain anew, as configured; `why` is what asks for it.

    Raises `MachineError` when it does not allow that, else as `open_port`.
    """
    try:
        client = connect(address, "control", name="vgicd_machine", timeout=timeout)
    except Refused as error:
        raise MachineError(
            f"{why} needs role control, which {address} does not grant ({error}): have somebody who may run "
            "`vgicctl reset`, or start the daemon anew"
        ) from error
    except ClientError as error:
        raise _unreached(address, error) from error
    try:
        with client:
            errno = client.reset()
    except ClientError as error:
        raise _explain(error) from error
    if errno:
        raise MachineError(f"the daemon's domain cannot be built anew: {os.strerror(-errno)}")


def _unreached(address: str, error: ClientError) -> Exception:
    """Why there is no connection: nobody to connect to, somebody else, or one who refuses."""
    match error:
        case AddressError():
            return error
        case ProtocolError():
            return GicLost(f"what answers at {address} is not a vgicd ({error})")
        case ConnectionLost():
            return GicLost(f"no interrupt controller: {error}")
    return _explain(error)


def _explain(error: ClientError) -> MachineError:
    if isinstance(error, ConnectionLost):
        return GicLost(f"{_LOST}: {error}; {_ADVICE}")
    return MachineError(f"the interrupt controller refuses: {error}")
