"""The person at the machine: what is typed for the guest's UART, and the ways to end the run."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final

from vgicd_machine.errors import Interrupted

ESCAPE: Final = 0x01  # Ctrl-A
HELP: Final = "Ctrl-A x ends the run, Ctrl-A Ctrl-A types one, Ctrl-A h shows this"

_AHEAD: Final = 4096
"""Bytes that are read before the guest has room for them."""
_LOOK: Final = 0.005
"""Seconds between looks at a terminal, where nobody types faster."""


class Keyboard:
    """Reads `descriptor` (a terminal, pipe or file; None: there is nothing to type) when something is there.

    With `say` it is a terminal's: Ctrl-A begins a command, and `say(text)` shows the help.  `signal` is the number of
    the signal that ends the run, set by whoever catches it.
    """

    def __init__(self, descriptor: int | None, say: Callable[[str], object] | None = None) -> None:
        self._descriptor = descriptor
        self._say = say
        self._waiting = bytearray()
        self._escaped = False
        self._next_look = 0.0
        self.signal = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._descriptor is None and not self._waiting

    def take(self, most: int, seconds: float = 0) -> bytes:
        """At most `most` characters, waiting up to `seconds` for the first; empty when there are none.

        Raises `Interrupted` when somebody wants the run to end.
        """
        if self.signal:
            raise Interrupted(f"ended by {signal.Signals(self.signal).name}", self.signal)
        if self._descriptor is not None and len(self._waiting) < _AHEAD:
            self._look(0 if self._waiting and most else seconds)
        taken = bytes(self._waiting[:most])
        del self._waiting[:most]
        return taken

    def _look(self, seconds: float) -> None:
        if self._say is not None and not seconds:
            now = time.monotonic()
            if now < self._next_look:
                return
            self._next_look = now + _LOOK
        if self._descriptor is None or not select.select([self._descriptor], [], [], seconds)[0]:
            return
        data = os.read(self._descriptor, _AHEAD)
        if not data:
            self._descriptor = None
        self._waiting += data if self._say is None else self._commands(data, self._say)

    def _commands(self, data: bytes, say: Callable[[str], object]) -> bytes:
        """`data` without what is meant for the machine."""
        typed = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte in b"xX":
                    raise Interrupted("ended with Ctrl-A x")
                if byte in b"hH?":
                    say(HELP)
                elif byte in (ESCAPE, *b"aA"):
                    typed.append(ESCAPE)
            elif byte == ESCAPE:
                self._escaped = True
            else:
                typed.append(byte)
        return bytes(typed)
