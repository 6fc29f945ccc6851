"""Why a machine could not be built, or stopped without the guest's asking for it.

Each class has its own exit status, from `STATUS_BASE` up, which leaves the small numbers to the guest, and says in
`meaning` what the status tells.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import ClassVar, Final

STATUS_BASE: Final = 120
"""Exit statuses from here on are the machine's own."""


class MachineError(Exception):
    """Base of all: the machine has stopped, and its guest cannot go on."""

    status: int = STATUS_BASE
    meaning: ClassVar[str] = "the machine could not be built or go on, for another reason"


class GicLost(MachineError):
    """The interrupt controller no longer answers: its process died or the connection broke."""

    status = STATUS_BASE + 1
    meaning = "the interrupt controller was lost, or not to be reached"


class Deadlock(MachineError):
    """Every CPU waits or is off, and neither a timer nor a line can wake one."""

    status = STATUS_BASE + 2
    meaning = "deadlock: nothing could wake the guest"


class MissingPart(MachineError):
    """Something to be installed or built is not there; the text says how to get it."""

    status = STATUS_BASE + 3
    meaning = "something is not installed"


class EngineMissing(MissingPart, ImportError):
    """The Unicorn engine is not installed."""


class ImageError(MachineError):
    """The image, initrd or device tree cannot be loaded; nothing has run."""

    status = STATUS_BASE + 4
    meaning = "a bad image, initrd or device tree"


class TimeLimit(MachineError):
    """The wall-clock limit of the run has passed."""

    status = STATUS_BASE + 5
    meaning = "the time limit"


class GuestFault(MachineError):
    """The guest did what this machine cannot carry out, such as an exception with no vector table in memory."""

    status = STATUS_BASE + 6
    meaning = "a guest that cannot be executed"


class AuditFailed(MachineError):
    """The guest ran to its end, and the audit found an interrupt that was not as it must be."""

    status = STATUS_BASE + 7
    meaning = "the audit found interrupts that went wrong"


class CannotResume(MachineError):
    """A saved run was asked for, and machines cannot be saved."""

    status = STATUS_BASE + 8
    meaning = "--resume, which cannot be done yet"


class Interrupted(MachineError):
    """Somebody ended the run, by signal `number` or at the keyboard; the status is as a shell has it for a signal."""

    status = 128 + signal.SIGINT
    meaning = "ended by SIGINT or Ctrl-A x; by another signal: 128 and its number"

    def __init__(self, text: str, number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.status = 128 + number


class BusAbort(Exception):
    """A device refused an access: the CPU takes a synchronous external abort. Never leaves the machine."""


def statuses() -> Iterator[tuple[str, str]]:
    """Every exit status of the machine's own with its meaning, in order."""
    kinds: list[type[MachineError]] = [MachineError, *MachineError.__subclasses__()]
    for kind in sorted(kinds, key=lambda kind: kind.status):
        yield str(kind.status), kind.meaning
