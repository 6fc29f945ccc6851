"""What can go wrong between a script and its gdb; each class says what the caller may assume afterwards.

GdbError
├── GdbNotFound    there is no such program; nothing was started
├── GdbDied        gdb has ended, by itself or by a signal; the client is closed for good
├── GdbTimeout     no answer in time; gdb lives, and may still carry the command out
├── BadAnswer      the answer came and is not MI; the command may have been carried out
└── MiError        gdb refused the command, in its own words; the client goes on
"""

from __future__ import annotations

import signal
from typing import Final

from vgicd_client.errors import ClientError

COMMAND_SHOWN: Final = 100


class GdbError(ClientError):
    """Base of everything that the gdb clients raise on purpose."""


class GdbNotFound(GdbError):
    """The program could not be started."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(
            f"cannot start {program}: {reason}; install gdb (Debian: gdb or gdb-multiarch), or name one with program="
        )
        self.program = program


class GdbDied(GdbError):
    """gdb has ended.

    `code` is its exit code, negative for the signal that killed it, None if it closed its output and lives on;
    `stderr` is the last part of what it wrote there.
    """

    def __init__(self, program: str, code: int | None, stderr: str) -> None:
        super().__init__(f"{program} {_ending(code)}" + (f"; it last said:\n{stderr.rstrip()}" if stderr else ""))
        self.code = code
        self.stderr = stderr


class GdbTimeout(GdbError, TimeoutError):
    """Nothing came within `seconds`: no answer to `command`, or no stop of what it has set running."""

    def __init__(self, command: str, seconds: float, awaited: str) -> None:
        super().__init__(f"{awaited} within {seconds:g} s")
        self.command = command
        self.seconds = seconds


class BadAnswer(GdbError):
    """gdb answered `command` with something that is not a record of its machine interface."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"gdb's answer to {shortened(command)} cannot be understood: {reason}")
        self.command = command


class MiError(GdbError):
    """gdb refused `command`; `text` is its reason (and the daemon's, where it gave one)."""

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.command = command


def shortened(command: str) -> str:
    """As much of `command` as an error message can hold."""
    return command if len(command) <= COMMAND_SHOWN else f"{command[:COMMAND_SHOWN]}..."


def _ending(code: int | None) -> str:
    if code is None:
        return "has closed its output"
    if code >= 0:
        return f"has ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
