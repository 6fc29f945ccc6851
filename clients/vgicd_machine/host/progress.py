"""A line on the terminal that says how far a silent guest is; it goes when the guest has something to say."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

SILENCE: Final = 1.0
"""Seconds without output after which the line is shown."""
INTERVAL: Final = 0.25
"""Seconds between its changes."""

_ERASE: Final = "\r\x1b[K"


class Progress:
    """Within its `with` block `describe()` is shown on `stream` whenever the guest has been silent.

    `before_output` is to be called before each output of the guest's, `may_show()` tells whether the cursor is at the
    beginning of a line.
    """

    def __init__(
        self,
        stream: TextIO,
        describe: Callable[[], str],
        may_show: Callable[[], bool],
        *,
        silence: float = SILENCE,
        interval: float = INTERVAL,
    ) -> None:
        self._stream = stream
        self._describe = describe
        self._may_show = may_show
        self._silence = silence
        self._interval = interval
        self._shown = False
        self._last_output = time.monotonic()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self.before_output()

    def before_output(self) -> None:
        """Take the line away, if it is there."""
        with self._lock:
            self._last_output = time.monotonic()
            if self._shown:
                self._shown = False
                self._write(_ERASE)

    def _show(self) -> None:
        while not self._end.wait(self._interval):
            with self._lock:
                if time.monotonic() - self._last_output >= self._silence and self._may_show():
                    columns = shutil.get_terminal_size().columns
                    self._shown = True
                    self._write(f"{_ERASE}{self._describe()[: columns - 1]}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
