"""gdb's three pipes and its command line, for the blocking client and the trio one.

Plain `os.read` and `os.write` on non-blocking descriptors: an answer of gdb is ready a tenth of a millisecond after
the question, a time in which a few immediate tries cost less than going to sleep and being woken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from vgicd_client.mi_conversation import Conversation

TRIES: Final = 6
"""Times to look for an answer, each after letting others run, before going to sleep for it.

As many again when it has begun: gdb writes a line in four pieces, and to be woken by each costs more than the answer.
"""
STDERR_TAIL: Final = 4000
QUIT_DEADLINE: Final = 2.0
"""Seconds from -gdb-exit to SIGTERM, and from there to SIGKILL."""
_CHUNK: Final = 1 << 16
_CHUNKS: Final = 16  # read at a stretch, so that a flood of output leaves time for others


def command_line(program: str, arguments: Sequence[str]) -> list[str]:
    """How gdb is started. mi4: mi3 writes a breakpoint's commands as a tuple without names, which is no MI."""
    return [program, "--interpreter=mi4", "-nx", "-q", *arguments]


class Pipes:
    """gdb's standard input, output and error; what it writes goes to a conversation.

    `theirs` are the ends that the process is started with, to be closed in this one by `started`.
    """

    def __init__(self, conversation: Conversation) -> None:
        reading, self.stdin = os.pipe()
        self.stdout, output = os.pipe()
        self.stderr, errors = os.pipe()
        self.theirs: tuple[int, ...] = (reading, output, errors)
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self.unsent = bytearray()
        self._conversation = conversation
        self._tail = bytearray()

    def started(self) -> None:
        """The process has its ends."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = ()

    def close(self) -> None:
        """Close our ends, and theirs if there is no process."""
        self.started()
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.close(descriptor)

    def send(self, line: bytes) -> None:
        """Write `line`; what the pipe does not take now is `unsent`. What gdb's death prevents is for `receive`."""
        self.unsent += line
        self.flush()

    def flush(self) -> None:
        """Write what is unsent, as far as the pipe takes it."""
        while self.unsent:
            try:
                del self.unsent[: os.write(self.stdin, self.unsent)]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.unsent.clear()

    def receive(self) -> bool:
        """Give the conversation what gdb has written; False at the end of its output."""
        tries = TRIES
        for _ in range(_CHUNKS):
            try:
                data = os.read(self.stdout, _CHUNK)
            except BlockingIOError:
                if not (tries and self._conversation.interrupted):
                    return True
                tries -= 1
                os.sched_yield()
                continue
            if not data:
                return False
            self._conversation.feed(data)
            if not self._conversation.interrupted:
                return True
        return True

    def drain(self) -> bool:
        """Take what gdb has written to standard error, so that it never waits for a reader; False at its end."""
        for _ in range(_CHUNKS):
            try:
                data = os.read(self.stderr, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._tail += data
            del self._tail[:-STDERR_TAIL]
        return True

    def finish(self) -> None:
        """Take what a gdb that has ended left in its pipes; no more than they hold, for a child of its may write on."""
        self.receive()
        self.drain()

    @property
    def said(self) -> str:
        """The last part of gdb's standard error."""
        return self._tail.decode("utf-8", "replace")
