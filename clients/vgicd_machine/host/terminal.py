"""The terminal while a guest has it: keys go to the guest one by one, and whatever happens it is restored."""

from __future__ import annotations

import signal
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_INPUT: Final = termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON
_LOCAL: Final = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


@contextmanager
def keys_to_guest(descriptor: int) -> Iterator[None]:
    """Within the block every key, Ctrl-C among them, is a character.

    Output is as before: a newline still begins at the left.  To be used in the main thread, since SIGTSTP, which only
    others send now, gives the terminal back until the process is to go on.
    """
    before = termios.tcgetattr(descriptor)
    during = termios.tcgetattr(descriptor)
    during[0] &= ~_INPUT
    during[3] &= ~_LOCAL
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # and comes back with SIGCONT
        termios.tcsetattr(descriptor, termios.TCSADRAIN, during)

    outer = signal.getsignal(signal.SIGTSTP)
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, during)
        if outer is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, stop)
        yield
    finally:
        signal.signal(signal.SIGTSTP, outer)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
