"""Why a machine could not be built, or stopped without the guest's asking for it.

Each class has its own exit status, from `STATUS_BASE` up, which leaves the small numbers to the guest.
"""

from __future__ import annotations

from typing import ClassVar, Final

STATUS_BASE: Final = 120
"""Exit statuses from here on are the machine's own."""


class MachineError(Exception):
    """Base of all: the machine has stopped, and its guest cannot go on."""

    status: ClassVar[int] = STATUS_BASE


class GicLost(MachineError):
    """The interrupt controller no longer answers: its process died or the connection broke."""

    status = STATUS_BASE + 1


class Deadlock(MachineError):
    """Every CPU waits or is off, and neither a timer nor a line can wake one."""

    status = STATUS_BASE + 2


class MissingPart(MachineError):
    """Something to be installed or built is not there; the text says how to get it."""

    status = STATUS_BASE + 3


class EngineMissing(MissingPart, ImportError):
    """The Unicorn engine is not installed."""


class ImageError(MachineError):
    """The image cannot be loaded; nothing has run."""

    status = STATUS_BASE + 4


class TimeLimit(MachineError):
    """The wall-clock limit of the run has passed."""

    status = STATUS_BASE + 5


class GuestFault(MachineError):
    """The guest did what this machine cannot carry out, such as an exception with no vector table in memory."""

    status = STATUS_BASE + 6


class BusAbort(Exception):
    """A device refused an access: the CPU takes a synchronous external abort. Never leaves the machine."""
