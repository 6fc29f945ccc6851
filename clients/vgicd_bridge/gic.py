"""The interrupt controller: a vgicd daemon, and what its one vCPU's outputs are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from vgicd_bridge.errors import BridgeError, GicLost
from vgicd_bridge.stage2 import PAGE, Span
from vgicd_client import AddressError, Client, ClientError, ConnectionLost, Space, connect
from vgicd_protocol.events import EventKind

VCPU: Final = 0
PATIENCE: Final = 4.0
"""Seconds that the daemon may take for an answer before it counts as lost."""
_OUTPUTS: Final = 0b11
_FRAMES: Final = ("GICD", "GICC")


class Gic:
    """vCPU 0 of the daemon. `outputs` (bit 0 its vIRQ, bit 1 its vFIQ) is as of the last answer or event.

    `aborted` says whether the last access aborted. All methods raise `GicLost` when the daemon is gone.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.windows = {
            window.name: Span(window.base, window.base + -(-window.size // PAGE) * PAGE)
            for window in client.welcome.windows
            if window.name in _FRAMES
        }
        self.spis = client.welcome.geometry.spis
        self.vcpus = client.welcome.geometry.vcpus
        self.outputs = client.outputs & _OUTPUTS
        self.aborted = False
        self._order = client.order

    @property
    def in_use(self) -> bool:
        """Whether a guest has switched the distributor on before. Only looks."""
        return bool(self.peek(self.windows["GICD"].start))

    def fileno(self) -> int:
        """Readable when another client has changed the outputs, or the daemon is gone."""
        with explained():
            return self._client.fileno()

    def read(self, address: int, size: int) -> int:
        """The guest's read at a physical address; 0 if it aborts."""
        with explained():
            value = self._client.read(VCPU, Space.PHYSICAL, address, size)
        self._note()
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """The guest's write."""
        with explained():
            self._client.write(VCPU, Space.PHYSICAL, address, value, size)
        self._note()

    def peek(self, address: int) -> int:
        """A word, without side effects."""
        with explained():
            return self._client.peek(VCPU, Space.PHYSICAL, address)

    def ppi(self, intid: int, level: int) -> None:
        """Drive the vCPU's own line."""
        with explained():
            self._client.line(intid, level, VCPU)
        self._note()

    def spi(self, intid: int, level: int) -> None:
        """Drive a shared line."""
        with explained():
            self._client.line(intid, level)
        self._note()

    def pulse(self, intid: int) -> None:
        """One trigger of an edge interrupt."""
        with explained():
            self._client.pulse(intid)
        self._note()

    def take(self) -> None:
        """Take in what others have done, without waiting."""
        with explained():
            for event in self._client.events(0):
                if event.kind == EventKind.OUTPUT and event.order > self._order:
                    self._order = event.order
                    self.outputs = event.value & _OUTPUTS

    def check(self) -> None:
        """Ask for a sign of life."""
        with explained():
            self._client.ping()
        self._note()

    def _note(self) -> None:
        self.outputs = self._client.outputs & _OUTPUTS
        self.aborted = self._client.aborted
        self._order = self._client.order


@contextmanager
def explained() -> Iterator[None]:
    """Turn the client's errors into this package's, but for a wrong address."""
    try:
        yield
    except AddressError:
        raise
    except ClientError as error:
        _explain(error)


def _explain(error: ClientError) -> NoReturn:
    if isinstance(error, ConnectionLost):
        raise GicLost(f"the interrupt controller is gone: {error}") from error
    raise BridgeError(f"the interrupt controller refuses: {error}") from error


@contextmanager
def open_gic(address: str, patience: float | None = PATIENCE) -> Iterator[Gic]:
    """Connect to the daemon at `address` as its guest. `patience` None waits for answers for ever.

    Raises `AddressError`, `GicLost`, and `BridgeError` when the daemon refuses, or has no GIC to be accessed.
    """
    with explained():
        client = connect(address, "guest", name="vgicctl bridge", timeout=patience)
    with client:
        with explained():
            client.subscribe((EventKind.OUTPUT,))
        gic = Gic(client)
        if set(gic.windows) != set(_FRAMES):
            raise BridgeError(f"{address} tells no addresses of {' and '.join(_FRAMES)}")
        yield gic
