"""Runs with an operation log in memory, and keys that are typed when the guest has said something."""

from __future__ import annotations

import io
from typing import Any

from tests.tools import require_fetched, require_tool
from vgicd_machine import guests
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.recorder import Recorder
from vgicd_machine.run import Guest, Run


def linux(cpus: int, *, seed: int = 0, tests_itself: bool = False) -> Guest:
    """Debian's kernel with our initial file system.

    If it `tests_itself`, that is two thirds of its instructions, nearly all of them in its cryptography.
    """
    require_fetched("linux")
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    append = "console=ttyAMA0 rdinit=/init" + ("" if tests_itself else " cryptomgr.notests")
    return Guest(guests.fetched("linux"), guests.initramfs(), append=append, cpus=cpus, seed=seed)


def recording(port: GicPort, guest: Guest, log: Lines, **options: Any) -> Run:
    """`guest` on a machine with `port`, whose operations go to `log`; `options` are those of `Run`."""
    runs: list[Run] = []
    recorder = Recorder(port, log, lambda: runs[0].machine.now if runs else 0, {"seed": guest.seed})
    runs.append(Run(recorder, guest, **options))
    return runs[0]


class Lines(io.StringIO):
    """A text stream that keeps its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._begun = ""

    def write(self, text: str) -> int:
        """A line, several, or a part of one."""
        *whole, self._begun = (self._begun + text).split("\n")
        self.lines += whole
        return len(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.lines, self._begun])


class Script:
    """A keyboard whose keys depend on what the guest has said and on nothing else: the same in every run.

    `steps` are pairs of what to wait for, after what was waited for before, and what to type then.
    """

    signal = 0

    def __init__(self, *steps: tuple[str, str]) -> None:
        self._steps = [(heard.encode(), said.encode()) for heard, said in steps]
        self._console = bytearray()
        self._heard = 0
        self._waiting = b""

    @property
    def text(self) -> str:
        """What the guest has said."""
        return self._console.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        """Whether nothing will be typed any more."""
        return not self._steps and not self._waiting

    def hear(self, data: bytes) -> None:
        """The guest says something."""
        self._console += data
        if self._steps and (at := self._console.find(self._steps[0][0], self._heard)) >= 0:
            heard, said = self._steps.pop(0)
            self._heard = at + len(heard)
            self._waiting += said

    def take(self, most: int, seconds: float = 0) -> bytes:
        """Of what is typed, at most that many."""
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken
