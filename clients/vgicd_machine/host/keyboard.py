"""Characters from outside for the guest's UART, read from a file descriptor without ever waiting for long."""

from __future__ import annotations

import os
import select


class Keyboard:
    """Reads `descriptor` (a terminal, pipe or file) when something is there; `ended` at its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ended = False

    def take(self, most: int, seconds: float = 0) -> bytes:
        """At most `most` characters, waiting up to `seconds` for the first; empty when there are none."""
        if self.ended or not most:
            return b""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return b""
        data = os.read(self._descriptor, most)
        self.ended = not data
        return data
