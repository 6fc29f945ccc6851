"""`vgicctl bridge` as people start it: a process, its console line by line, and the QEMU that is its child."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LIMIT = 60.0  # seconds; one is enough on an idle machine


class Run:
    """A started bridge. `said` is what the guest has written, line by line, as far as it has been read."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said: list[str] = []
        self._rest = b""

    def until(self, text: str) -> None:
        """Read the console up to the line that has `text`."""
        deadline = time.monotonic() + LIMIT
        while not any(text in line for line in self.said):
            assert self.process.stdout is not None
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} has not come, but {self.said}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"ended before {text!r}: {self.said} {self.errors()}"
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.said += [line.decode().rstrip("\r") for line in lines]

    def errors(self) -> str:
        """What was said on standard error, to its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self, seconds: float = LIMIT) -> tuple[int, str]:
        """The exit status, which must come within `seconds`, and standard error."""
        out, errors = self.process.communicate(timeout=seconds)
        self.said += (self._rest + out).decode().splitlines()
        return self.process.returncode, errors.decode()

    def qemu(self) -> int:
        """QEMU's process id."""
        for pid in children(self.process.pid):
            if b"qemu-system-aarch64" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise AssertionError("no QEMU among the children")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether process `pid` has ended, within a few seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


@contextmanager
def bridge(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, stdin: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[Run]:
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "bridge", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    with process:
        try:
            yield Run(process)
        finally:
            process.terminate()  # so that it ends what it has started
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
