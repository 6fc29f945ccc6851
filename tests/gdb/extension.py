"""What the tests of the in-gdb extension share: gdbs with it loaded, a domain with something to see, a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Final

from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from vgicd_client import Client, Space

EXTENSION: Final = Path(__file__).resolve().parents[2] / "clients" / "gdb" / "vgicd_gdb.py"
PATIENCE: Final = 30.0
NOT_FOR_USERS: Final = ("Traceback", "Python Exception", "Error occurred in Python: '", "internal-error")
"""What a user must never be shown."""


@contextmanager
def extended(gdb: Gdb, address: str = "") -> Iterator[Session]:
    """A gdb without a target, with the extension, connected to the daemon at `address` if that is given."""
    with Session(gdb, "/nonexistent") as session:
        assert session.run(f"source {EXTENSION}") == ""
        if address:
            session.run(f"vgic connect {address}")
        yield session
        for words in NOT_FOR_USERS:
            assert words not in session.transcript, session.transcript


def set_up(gic: Client) -> None:
    """SPI 33 pending in a list register of vCPU 0, SPI 40 active there, PPI 27 of vCPU 1 with its line high.

    SPI 42 is level-sensitive.
    """
    assert gic.reset({"vcpus": 2, "spis": 64}) == 0
    gic.write(0, Space.GICD, 0x000, 1)
    for vcpu in range(2):
        gic.write(vcpu, Space.GICC, 0x000, 1)
        gic.write(vcpu, Space.GICC, 0x004, 0xF0)
    for intid, priority in ((33, 0xA0), (40, 0x80)):
        gic.write(0, Space.GICD, 0x400 + intid, priority, size=1)
        gic.write(0, Space.GICD, 0x800 + intid, 1, size=1)
        gic.write(0, Space.GICD, 0x100 + intid // 32 * 4, 1 << intid % 32)
    gic.write(0, Space.GICD, 0xC08, 0xAAAA_AAAA & ~(3 << 20))
    gic.pulse(40)
    assert gic.read(0, Space.GICC, 0x00C) == 40
    gic.pulse(33)
    gic.line(27, 1, 1)


class Terminal:
    """A gdb on a terminal of 40 lines and 120 columns. A context manager, which ends gdb."""

    PROMPT: Final = "(gdb) "

    def __init__(self, gdb: Gdb, *commands: str) -> None:
        options = ["-ex", "set pagination off", "-ex", "set style enabled off", "-ex", "set confirm off"]
        for command in commands:
            options += ["-ex", command]
        environment = {**gdb.environment, "TERM": "xterm", "INPUTRC": "/dev/null"}
        self.output = ""
        self._seen = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(gdb.command[0], [*gdb.command, *options], environment)
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.until(re.escape(self.PROMPT) + "$")

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._fd, text.encode())

    def run(self, command: str) -> str:
        """Type a command and wait for the prompt; what was printed."""
        self.type(command + "\r")
        return self.until(r"\n[^\n]*" + re.escape(self.PROMPT) + "$")

    def until(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait until what has been printed since the last call matches; all of that."""
        deadline = time.monotonic() + seconds
        wanted = re.compile(pattern)
        while True:
            new = self.output[self._seen :]
            if wanted.search(new):
                self._seen = len(self.output)
                return new
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {pattern!r} within {seconds:g} s; gdb printed {new!r}")
            if select.select([self._fd], [], [], left)[0]:
                self.output += os.read(self._fd, 1 << 16).decode("utf-8", "replace").replace("\r\n", "\n")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


def plain(text: str) -> str:
    """Terminal output without control sequences."""
    return re.sub(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78])|[\x00-\x08\x0b-\x1f]", "", text)
