"""The terminal while a guest has it: keys go to the guest one by one, and whatever happens it is restored."""

from __future__ import annotations

import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_INPUT: Final = termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON
_LOCAL: Final = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


@contextmanager
def keys_to_guest(descriptor: int) -> Iterator[None]:
    """Within the block every key, Ctrl-C among them, is a character.

    Output is as before: a newline still begins at the left.
    """
    before = termios.tcgetattr(descriptor)
    during = termios.tcgetattr(descriptor)
    during[0] &= ~_INPUT
    during[3] &= ~_LOCAL
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, during)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
