"""The state of a conversation with gdb, without pipes or an event loop: bytes in, commands out.

Records are taken strictly in the order in which gdb wrote them.  An answer belongs to the command of its token and to
no other, however late it comes.  A stop has a number, and every answer knows how many stops there were before it:
"the stop after this ^running" is a matter of counting, whatever arrived in one piece with it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from vgicd_client.mi_errors import BadAnswer, GdbDied, GdbError, GdbTimeout, MiError, shortened
from vgicd_client.mi_records import Lines, Notice, Output, Payload, Result, Unparsed, parse
from vgicd_client.mi_stops import Stop, numbers_of, stop_of

T = TypeVar("T")

STOPS_KEPT: Final = 256
OUTPUT_LIMIT: Final = 16 << 20
"""Characters of text that are kept: of one command, and of what nobody asked for."""


_BROKEN: Final = "warning: Error detected on fd"
"""What gdb 18.1 says, and no more, when its connection was reset; it does nothing but spin from then on."""


class Answer(NamedTuple):
    """gdb's answer to a command; `stops` is the number of stops that it reported before it."""

    kind: str  # done, running, connected, exit
    payload: Payload
    output: str  # what gdb and its target said meanwhile
    stops: int


class Ask(NamedTuple):
    """A step of a script: send `command`, with the `thread` of gdb's that it is about, and wait for its answer.

    With `listens` the answer's `output` is wanted: what gdb has said before must have been read when it is sent.
    """

    command: str
    thread: int | None = None
    listens: bool = False

    def line(self, token: int) -> bytes:
        """What is written to gdb. Raises `ValueError` for a command of more than one line, or with a NUL."""
        command = self.command
        if any(end in command for end in "\n\r\0"):
            raise ValueError("a command is one line, and gdb ends it at a NUL")
        if self.thread is not None:
            name, space, rest = command.partition(" ")
            command = f"{name} --thread {self.thread}{space}{rest}"
        return f"{token}{command}\n".encode()


class NextStop(NamedTuple):
    """A step of a script: wait for the first stop that follows `after` others, None for those given out already."""

    after: int | None
    timeout: float | None
    command: str = "the wait for a stop"


class Pending(Generic[T]):
    """Somebody who waits for an answer or a stop; `wake` is called once when there is something to look at."""

    __slots__ = ("_failure", "_stop", "_value", "command", "settled", "wake")

    def __init__(self, command: str, *, stop: bool = False) -> None:
        self.command = command
        self._stop = stop
        self.settled = False
        self.wake: Callable[[], object] | None = None
        self._value: T | None = None
        self._failure: GdbError | None = None

    def settle(self, value: T | None, failure: GdbError | None = None) -> None:
        """This is the outcome: a value, or else a failure."""
        self.settled, self._value, self._failure = True, value, failure
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake()

    def outcome(self) -> T:
        """The value. Raises the failure."""
        if self._value is not None:
            return self._value
        raise self._failure or RuntimeError("nothing has come yet")

    def late(self, seconds: float) -> GdbTimeout:
        """The exception for one whose patience has ended."""
        asked = f"no answer from gdb to {shortened(self.command)}"
        awaited = "the target, which runs on, has not stopped" if self._stop else asked
        return GdbTimeout(self.command, seconds, awaited)


class _Text:
    """Pieces of text, of which the first `OUTPUT_LIMIT` characters are kept."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = OUTPUT_LIMIT

    def add(self, text: str) -> None:
        if self._room > 0:
            self._parts.append(text[: self._room])
            self._room -= len(text)
            if self._room <= 0:
                self._parts.append(f"\n[cut after {OUTPUT_LIMIT} characters]\n")

    def take(self) -> str:
        if not self._parts:
            return ""
        text = "".join(self._parts)
        self._parts, self._room = [], OUTPUT_LIMIT
        return text


class Conversation:
    """What has been asked, answered and reported; `stops` is how many stops there were, `last_stop` the last."""

    def __init__(self) -> None:
        self.stops = 0
        self.last_stop: Stop | None = None
        self._tokens = itertools.count(1)
        self._asked: dict[int, Pending[Answer]] = {}
        self._resumed: int | None = None  # the token of the last ^running, which an error may follow
        self._kept: deque[tuple[int, Stop]] = deque(maxlen=STOPS_KEPT)
        self._given = 0  # the stops that callers have been given, or that were there before they resumed
        self._watchers: list[tuple[int, Pending[Stop]]] = []
        self._threads: set[int] = set()
        self._running: set[int] = set()
        self._lines = Lines()
        self._output, self._log, self._unsolicited = _Text(), _Text(), _Text()
        self._gone = ""  # the target has gone, and why as far as it is known
        self._failure: Callable[[], GdbDied] | None = None

    @property
    def running(self) -> bool:
        """Whether any thread of the target runs."""
        return bool(self._running)

    @property
    def alive(self) -> bool:
        """Whether nothing is known of gdb's end."""
        return self._failure is None

    @property
    def interrupted(self) -> bool:
        """Whether gdb has begun a line and not ended it yet."""
        return self._lines.begun

    # --- asking -------------------------------------------------------------------------------------------------

    def ask(self, ask: Ask) -> tuple[Pending[Answer], bytes]:
        """Somebody who waits for the answer to a command, and what to write to gdb. Raises when gdb is gone."""
        if self._failure is not None:
            raise self._failure()
        token = next(self._tokens)
        line = ask.line(token)
        if not self._asked:
            self._unsolicited.add(self._output.take())
            self._log.take()
        pending = self._asked[token] = Pending[Answer](ask.command)
        return pending, line

    def expect_stop(self, step: NextStop) -> Pending[Stop]:
        """Somebody who waits for a stop, which may have come already. Raises when gdb is gone."""
        after = self._given if step.after is None else step.after
        pending = Pending[Stop](step.command, stop=True)
        for number, stop in self._kept:
            if number > after:
                self._given = max(self._given, number)
                pending.settle(stop)
                return pending
        if self._failure is not None:
            raise self._failure()
        if self._gone:
            pending.settle(None, MiError(self._gone, step.command))
        else:
            self._watchers.append((after, pending))
        return pending

    def forget(self, pending: Pending[Any]) -> None:
        """Nobody waits for a stop any more. (Of a command the answer is still to come, and is dropped then.)"""
        self._watchers = [(after, waiting) for after, waiting in self._watchers if waiting is not pending]

    def take_output(self) -> str:
        """What gdb and its target have said since the last call that was no command's output."""
        if not self._asked:
            self._unsolicited.add(self._output.take())
        return self._unsolicited.take()

    # --- hearing ------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take what gdb wrote. Raises nothing for whatever it is."""
        for line in self._lines.feed(data):
            record = line if isinstance(line, Unparsed) else parse(line)
            if isinstance(record, Result):
                self._result(record)
            elif isinstance(record, Notice):
                self._notice(record)
            elif isinstance(record, Output):
                self._said(record)
            elif isinstance(record, Unparsed):
                self._unparsed(record)
            elif record is not None and self._gone:  # a prompt: whatever explains the target's end has been said
                self._lost(self._gone)

    def fail(self, failure: Callable[[], GdbDied]) -> None:
        """gdb is gone: whoever waits or will ask gets an exception that `failure` makes. Only the first call counts."""
        if self._failure is None:
            self._failure = failure
            waiting: list[Pending[Any]] = [*self._asked.values(), *(pending for _, pending in self._watchers)]
            self._asked.clear()
            self._watchers.clear()
            self._running.clear()
            for pending in waiting:
                pending.settle(None, failure())

    def _result(self, result: Result) -> None:
        pending = self._asked.pop(result.token, None) if result.token is not None else None
        text = str(result.payload.get("msg", "gdb gives no reason"))
        if pending is None:
            if result.kind == "error" and self._running and (self._gone or result.token == self._resumed):
                self._lost(text)
            return
        output, log = self._output.take(), self._log.take()
        if result.kind == "error":
            pending.settle(None, MiError(_explained(text, log), pending.command))
            return
        if result.kind == "running":
            self._resumed = result.token
            self._given = self.stops
            self._running.add(0)  # somebody: the notice that follows says who
        elif result.kind == "connected":
            self._given = self.stops
        pending.settle(Answer(result.kind, result.payload, output, self.stops))

    def _notice(self, notice: Notice) -> None:
        payload = notice.payload
        match notice.kind:
            case "stopped":
                self._stopped(stop_of(payload))
            case "running":
                self._run(payload.get("thread-id"))
            case "thread-created":
                self._threads |= numbers_of(payload.get("id"))
            case "thread-exited":
                self._threads -= numbers_of(payload.get("id"))
            case "thread-group-started":
                self._gone = ""
            case "thread-group-exited":
                self._gone = "the target has gone: its connection was closed, or the program has ended"

    def _run(self, threads: object) -> None:
        self._running |= (self._threads or {0}) if threads == "all" else numbers_of(threads)

    def _stopped(self, stop: Stop) -> None:
        self.stops += 1
        self.last_stop = stop
        self._kept.append((self.stops, stop))
        self._running = set() if stop.threads is None else self._running - stop.threads - {0}
        waiting, self._watchers = self._watchers, []
        for after, pending in waiting:
            if self.stops > after:
                self._given = max(self._given, self.stops)
                pending.settle(stop)
            else:
                self._watchers.append((after, pending))

    def _unparsed(self, line: Unparsed) -> None:
        pending = self._asked.pop(line.token, None) if line.token is not None else None
        if pending is not None:
            self._output.take()
            pending.settle(None, BadAnswer(pending.command, f"{line.reason}: {line.text!r}"))

    def _said(self, output: Output) -> None:
        text = output.text
        if output.stream != "log":
            self._output.add(text)
        elif self._running and text.strip() and (self._gone or text.startswith(_BROKEN)):
            self._lost(text.strip())  # "Remote connection closed" is all that is said of it
        else:
            self._log.add(text)

    def _lost(self, text: str) -> None:
        """The target has gone, for the reason `text`: there will be no stop."""
        self._gone = text
        self._running.clear()
        waiting, self._watchers = self._watchers, []
        for _, pending in waiting:
            pending.settle(None, MiError(text, pending.command))


def _explained(text: str, log: str) -> str:
    """gdb's reason in one line, with what else it said about it unless that is the same."""
    text = " ".join(text.split())
    said = [line.strip() for line in log.splitlines()]
    more = [line for line in said if line and line not in text and text not in line]
    return "; ".join([text.removesuffix("."), *dict.fromkeys(more)]) if more else text
