"""What both clients do alike around a connection: how they introduce themselves and what they wait for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vgicd_client.addresses import Address, parse
from vgicd_client.errors import ConnectionLost
from vgicd_client.requests import Request
from vgicd_protocol.events import EVENT_MASK, EventKind
from vgicd_protocol.frames import Opcode, Role
from vgicd_protocol.session import Hello, Welcome

ROLES: Final = {"any": Role.ANY, "observe": Role.OBSERVE, "guest": Role.GUEST, "control": Role.CONTROL}
WAIT_LIMIT: Final = 86_400.0
"""Seconds; the longest deadline that the protocol has."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a client connects and what it does about faults; the same for a reconnection."""

    address: Address
    role: Role
    name: str
    timeout: float | None
    raise_aborts: bool
    reconnect_idle: bool

    @classmethod
    def of(
        cls, address: str | Address, role: str | Role, name: str, timeout: float | None, aborts: bool, idle: bool
    ) -> Options:
        """Checked options. Raises `AddressError`, and `ValueError` for an unknown role or a timeout below 0."""
        if isinstance(role, str):
            if role not in ROLES:
                raise ValueError(f"{role!r} is not a role; there are {', '.join(ROLES)}")
            role = ROLES[role]
        if timeout is not None and timeout <= 0:
            raise ValueError(f"a timeout is more than 0 seconds, not {timeout}")
        return cls(parse(address), role, name, timeout, aborts, idle)

    def hello(self) -> Request[Welcome]:
        """The request that opens the session."""
        fields = Hello(role=self.role, client=self.name).fields()
        return Request(Opcode.HELLO, fields, Welcome.from_fields, harmless=True)

    def unreachable(self, error: OSError) -> ConnectionLost:
        """The sentence for a connection that could not be made."""
        reason = error.strerror or str(error)
        hint = ""
        if isinstance(error, FileNotFoundError):
            hint = "; no daemon listens there: start one with `vgicd serve`"
        elif (
            isinstance(error, ConnectionRefusedError) and self.address.path and not Path(self.address.path).is_socket()
        ):
            hint = "; that is no socket"
        elif isinstance(error, ConnectionRefusedError):
            hint = "; no daemon listens there" + (" any more" if self.address.path else "")
        elif isinstance(error, PermissionError):
            hint = "; the socket's mode does not let you in"
        return ConnectionLost(f"cannot connect to {self.address}: {reason}{hint}")


def event_mask(kinds: Iterable[EventKind] | None) -> int:
    """The SUBSCRIBE mask of `kinds`; all of them for None."""
    return EVENT_MASK if kinds is None else sum({1 << kind for kind in kinds})


def milliseconds(seconds: float) -> int:
    """A WAIT's deadline, rounded up. Raises `ValueError` beyond a day or below 0."""
    if not 0 <= seconds <= WAIT_LIMIT:
        raise ValueError(f"a wait takes 0 to {WAIT_LIMIT:.0f} seconds, not {seconds}")
    return -int(-seconds * 1000 // 1)


def lines_of(outputs: int | None, vcpu: int | None, welcome: Welcome) -> int:
    """The output bits to wait for: `outputs`, or both of `vcpu`, or any that the domain had at HELLO."""
    if outputs is not None:
        return outputs
    return (1 << 2 * welcome.geometry.vcpus) - 1 if vcpu is None else 0b11 << 2 * vcpu
