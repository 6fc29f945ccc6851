"""SIGINT, SIGTERM and SIGHUP: the run ends as a run, with the terminal restored and the private daemon ended.

While the guest executes a signal only leaves a note with the keyboard, because an exception in the middle of the
engine's callbacks could be lost there; if nobody has found the note after `GRACE` seconds (the machine waits for an
answer of the interrupt controller's), and at all other times, it is an exception where it comes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from vgicd_machine.errors import Interrupted
from vgicd_machine.host.keyboard import Keyboard

GRACE: Final = 1.0

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Installed for its `with` block, in the main thread."""

    def __init__(self) -> None:
        self.number = 0
        """The first signal that came."""
        self._keyboard: Keyboard | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Signals:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a shell's background
                self._before[number] = signal.signal(number, self._came)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._too_late)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal has answered

    @contextmanager
    def noted_at(self, keyboard: Keyboard) -> Iterator[None]:
        """Within the block `keyboard` is told."""
        self._keyboard = keyboard
        try:
            yield
        finally:
            self._keyboard = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _came(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            return  # on the way out already, which takes some seconds at most
        self.number = number
        if self._keyboard is None:
            raise Interrupted(f"ended by {signal.Signals(number).name}", number)
        self._keyboard.signal = number
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _too_late(self, _number: int, _frame: FrameType | None) -> None:
        if self._keyboard is not None:
            raise Interrupted(f"ended by {signal.Signals(self.number).name}", self.number)
