"""A gdb at work: commands in, what a person would see out, and the packets that each command cost.

gdb reads its commands from a pipe and is its ordinary self: the prompt tells when a command is done.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.gdb.gdbs import Gdb
from tests.gdb.tap import FROM_GDB, FROM_STUB, Packet, Tap

PATIENCE: Final = 30.0
"""Seconds that a command may take; hundredths of one on an idle machine."""

PROMPT: Final = "\x1e(gdb)"
"""With a character that no output has."""

_SETTINGS: Final = ("set pagination off", "set width 0", "set style enabled off", f"set prompt {PROMPT}")
_MEMORY: Final = re.compile(r"[mMxX][0-9a-f]+,[0-9a-f]+(?:$|:)")
ALLOWED: Final = (r"File transfers from remote targets can be slow",)
"""Warnings that gdb always has: of where the symbol file comes from."""

_WARNING: Final = re.compile(
    r"^.*(?:warning:|[Pp]rotocol error|Remote (?:failure|communication error)|Traceback).*$", re.MULTILINE
)


class GdbEnded(AssertionError):
    """gdb ended while a command was expected to be answered."""


class Session:
    """A running gdb; `target` is the stub's UNIX socket. A context manager, which ends gdb.

    At the end the whole transcript is judged: gdb must not have found an internal error, nor warned of anything that
    `allowed` (regular expressions, to which a test may append) does not name.
    """

    def __init__(self, gdb: Gdb, target: str, arguments: Sequence[str] = ()) -> None:
        self.gdb = gdb
        self.allowed = [*ALLOWED]
        self.transcript = ""
        self._folder = tempfile.TemporaryDirectory(prefix="vgicd-gdb-")
        self.tap = Tap(Path(self._folder.name) / "tap", target)
        self._pending = ""
        self._busy = True  # until the first prompt
        self._mark = 0  # packets before the command under way
        settings = [part for setting in _SETTINGS for part in ("-ex", setting)]
        self.process = subprocess.Popen(
            [*gdb.command, *settings, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(gdb.environment),
            cwd=self._folder.name,
            bufsize=0,
            process_group=0,  # an interrupt from the keyboard is for the tests
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise

    # -- commands

    def connect(self, *before: str) -> str:
        """Run the commands `before`, then `target remote`; what the latter printed."""
        for command in before:
            self.run(command)
        return self.run(f"target remote {self.tap.path}").replace(str(self.tap.path), "SOCKET")

    def run(self, command: str, seconds: float = PATIENCE) -> str:
        """Run one command to its end; what it printed, without surrounding blank lines."""
        self.start(command)
        return self.wait(seconds)

    def runs(self, *commands: str) -> str:
        """Run commands one after the other; what all of them printed."""
        return "\n".join(filter(None, [self.run(command) for command in commands]))

    def start(self, command: str) -> None:
        """Type `command` and do not wait for its end."""
        self._mark = len(self.tap.packets)
        self._busy = True
        assert self.process.stdin is not None
        self._record(command + "\n")
        self.process.stdin.write(command.encode() + b"\n")

    def wait(self, seconds: float = PATIENCE) -> str:
        """Wait for the prompt, that is for the end of the command; what has been printed until then."""
        text = self._until(lambda: self._pending.find(PROMPT), len(PROMPT), seconds, "prompt")
        self._busy = False
        return text.strip("\n")

    def until(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait for a line that matches `pattern` to be printed unasked (non-stop); all up to the end of that line."""
        wanted = re.compile(pattern + r".*\n")

        def found() -> int:
            match = wanted.search(self._pending)
            return match.end() if match else -1

        return self._until(found, 0, seconds, repr(pattern))

    def interrupt(self) -> None:
        """What Ctrl-C on gdb's terminal does."""
        os.kill(self.process.pid, signal.SIGINT)

    def quit(self) -> None:
        """Leave gdb as a user does, and wait for its end."""
        self.start("quit")
        self.process.wait(PATIENCE)
        self._drain()

    def kill(self) -> None:
        """End gdb, and what it has started, without a word to the stub."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                if kind is None:
                    self._leave()
                else:
                    self.kill()
            self._drain()
        finally:
            self.kill()
            self.tap.close()
            self._selector.close()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self._folder.cleanup()
        if kind is None:
            self.judge()
        elif error is not None:
            error.add_note(f"gdb {self.gdb}:\n{self.transcript}\n{self._conversation()}")

    def judge(self) -> None:
        """Raises AssertionError for what gdb should not have had to say until now."""
        assert "internal-error" not in self.transcript, self.transcript
        warned = [
            line for line in _WARNING.findall(self.transcript) if not any(re.search(a, line) for a in self.allowed)
        ]
        assert not warned, f"{warned}\n{self.transcript}"
        assert self.tap.failure is None, self.tap.failure

    # -- packets

    @property
    def packets(self) -> list[Packet]:
        """The packets of the last command, both ways, acknowledgements excluded."""
        return self.tap.packets[self._mark :]

    @property
    def sent(self) -> list[str]:
        """What gdb sent for the last command."""
        return [packet.text for packet in self.packets if packet.sender == FROM_GDB]

    @property
    def received(self) -> list[str]:
        """What the stub sent during the last command."""
        return [packet.text for packet in self.packets if packet.sender == FROM_STUB]

    def accesses(self, low: int = 0x0800_0000, high: int = 0x0900_0000) -> list[str]:
        """The memory packets of the last command to addresses from `low` below `high`, as "m8000104,4" or "X8000104,4".

        A read is "m" and a write "X" however gdb asked for it; the probe "X8000104,0" is left out.
        """
        found = []
        for text in self.sent:
            match = _MEMORY.match(text)
            if match is None:
                continue
            address, _, length = match.group().rstrip(":")[1:].partition(",")
            if low <= int(address, 16) < high and int(length, 16):
                found.append(f"{'m' if text[0] in 'mx' else 'X'}{address},{length}")
        return found

    # -- gdb's output

    def _until(self, find: Callable[[], int], skip: int, seconds: float, what: str) -> str:
        deadline = time.monotonic() + seconds
        while (at := find()) < 0:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {what} within {seconds:g} s: {self._pending!r}\n{self._conversation()}")
            if self._selector.select(left) and not self._read():
                self.process.wait(PATIENCE)
                raise GdbEnded(f"gdb ended with status {self.process.returncode}:\n{self.transcript}")
        text, self._pending = self._pending[:at], self._pending[at + skip :]
        return text

    def _read(self) -> bool:
        """Take in what gdb has printed; False at its end."""
        assert self.process.stdout is not None
        data = self.process.stdout.read(1 << 16)
        if data is None:
            return True
        text = data.decode("utf-8", "replace")
        self._record(text.replace(PROMPT, "(gdb) "))
        self._pending += text
        return bool(data)

    def _record(self, text: str) -> None:
        self.transcript += text
        print(text, end="")  # pytest shows it when the test fails

    def _leave(self) -> None:
        """End gdb: at the end of its input it detaches and quits, unless it is busy."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self._busy:
            self.kill()
        else:
            self.process.wait(PATIENCE)

    def _drain(self) -> None:
        while self._selector.select(PATIENCE) and self._read():
            pass

    def _conversation(self) -> str:
        """The last packets, for a failure's report."""
        lines = (f"{'->' if p.sender == FROM_STUB else '<-'} {p.text[:200]!r}" for p in self.tap.packets[-40:])
        return "\n".join(lines)
