"""Why a bridged run ended without the guest's asking for it. Each class has its own exit status, from 120 up."""

from __future__ import annotations

from typing import ClassVar, Final

STATUS_BASE: Final = 120
"""Exit statuses from here on are the bridge's own; those below are the guest's."""


class BridgeError(Exception):
    """Base of all: QEMU has been ended, and its guest with it."""

    status: ClassVar[int] = STATUS_BASE


class GicLost(BridgeError):
    """The daemon no longer answers: its process died or the connection broke."""

    status = STATUS_BASE + 1


class EmulatorLost(BridgeError):
    """QEMU did not start, has died, or no longer answers; the text has what it said."""

    status = STATUS_BASE + 2


class MissingPart(BridgeError):
    """A program is not installed; the text says how to get it."""

    status = STATUS_BASE + 3


class TimeLimit(BridgeError):
    """The wall-clock limit of the run has passed."""

    status = STATUS_BASE + 5


class GuestFault(BridgeError):
    """The guest accesses its GIC in a way that the bridge cannot carry out; the text names the PC."""

    status = STATUS_BASE + 6
