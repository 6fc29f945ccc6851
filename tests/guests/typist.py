"""Somebody at a guest's console: waits for what it says, and types."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType


class Typist:
    """Runs `python ARGUMENTS` with its standard streams as the guest's console, in a `with` block."""

    def __init__(self, *arguments: str | Path) -> None:
        self.said = ""
        """All of it so far."""
        self._heard = 0
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def type(self, text: str) -> None:
        self._input.write(text.encode())
        self._input.flush()

    def hear(self, text: str, seconds: float = 30) -> str:
        """Wait for `text`; what has been said since the last time, up to and with it."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while (at := self.said.find(text, self._heard)) < 0:
                if not selector.select(max(0, end - time.monotonic())):
                    raise AssertionError(f"no {text!r} within {seconds} seconds, but {self.said[self._heard :]!r}")
                data = os.read(self._output.fileno(), 65536)
                if not data:
                    assert self._process.stderr is not None
                    why = self._process.stderr.read().decode()
                    raise AssertionError(f"ended before {text!r}: {self.said[self._heard :]!r}; {why}")
                self.said += data.decode("utf-8", "replace")
        heard, self._heard = self.said[self._heard : at + len(text)], at + len(text)
        return heard

    def leave(self, seconds: float = 30) -> tuple[int, str]:
        """Wait for the program's own end; its status, and what it has written to standard error."""
        output, errors = self._process.communicate(timeout=seconds)
        self.said += output.decode("utf-8", "replace")
        return self._process.returncode, errors.decode()
