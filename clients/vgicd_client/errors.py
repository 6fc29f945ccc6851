"""What can go wrong between a program and the daemon; each class says what the caller may assume afterwards.

ClientError
├── AddressError       nothing was sent: the address cannot be understood
├── ConnectionLost     the connection is gone; `applied` says whether the request may have taken effect
├── ProtocolError      the peer broke the protocol; the connection has been closed
├── Refused            an error reply: the domain is as it was, the connection goes on
└── GuestAbort         the guest's access faulted, as the architecture or Xen has it; counted by the domain
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of everything this package raises on purpose."""


class AddressError(ClientError, ValueError):
    """An address that names no socket; the text says which forms there are."""


class ConnectionLost(ClientError):
    """The connection ended, or could not be made.

    `maybe_applied` is True when a request was sent whose reply never came: it may have been applied, once, or not
    at all.  Nothing here repeats such a request.
    """

    def __init__(self, text: str, *, maybe_applied: bool = False) -> None:
        super().__init__(text)
        self.maybe_applied = maybe_applied


class ProtocolError(ClientError):
    """The peer sent what the protocol does not allow, or refused the framing of what we sent."""


class Refused(ClientError):
    """The daemon refused the request: nothing changed and the connection is unharmed.

    `code` is the wire's status code, `field` the offending field of the request ("" when none is to blame) and
    `text` a sentence for people.
    """

    def __init__(self, code: int, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.code = code
        self.field = field
        self.text = text


class GuestAbort(ClientError):
    """The guest's access took an abort; raised only by clients opened with `raise_aborts=True`."""

    def __init__(self, vcpu: int, space: int, address: int, size: int) -> None:
        super().__init__(f"vCPU {vcpu}: {size}-byte access at {address:#x} of space {space} aborts")
        self.vcpu = vcpu
        self.space = space
        self.address = address
        self.size = size
