"""The guest's console on standard output, and what it leaves in the terminal's line."""

from __future__ import annotations

import os
import select
from typing import Final

from vgicd_machine.errors import MachineError
from vgicd_machine.host.progress import Progress

_STDOUT: Final = 1


class Screen:
    """Standard output, and the line of progress that makes room for it; of a whole run, however often it boots."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.line_is_empty = True
        """Whether the guest has written nothing since its last newline: a carriage return leaves what is there."""

    def write(self, data: bytes) -> None:
        """At once, and all of it. Raises `MachineError` when it cannot be, `BrokenPipeError` when nobody reads it."""
        if line := data.rpartition(b"\n")[2].strip(b"\r"):
            self.line_is_empty = False  # first, because progress is shown by another thread
        if self.progress is not None:
            self.progress.before_output()
        self._write(data)
        if not line and b"\n" in data:
            self.line_is_empty = True

    @staticmethod
    def _write(data: bytes) -> None:
        while data:
            try:
                data = data[os.write(_STDOUT, data) :]
            except BlockingIOError:  # made so by somebody who has it, too
                select.select((), (_STDOUT,), ())
            except BrokenPipeError:
                raise
            except OSError as error:
                raise MachineError(f"cannot write the guest's console: {error.strerror}") from error
