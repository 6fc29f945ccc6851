"""What a script asks of gdb, each as its steps; the two clients turn them into methods of the same name.

A function here is a generator: it yields what to ask or to wait for and gets the answer, so that the commands, their
quoting and the reading of their answers are written once for the blocking client and the trio one.  All of them raise
`MiError` when gdb refuses, `GdbTimeout`, `GdbDied` and `BadAnswer` (see `mi_errors`).  Threads are numbered by gdb
from 1: of a daemon's vCPU v the thread is v + 1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypeVar

from vgicd_client import addresses
from vgicd_client.errors import AddressError
from vgicd_client.mi_conversation import Answer, Ask, Conversation, NextStop
from vgicd_client.mi_errors import MiError
from vgicd_client.mi_records import Payload
from vgicd_client.mi_stops import Breakpoint, Frame, Stop, Thread, breakpoint_of, frame_of, thread_of

T = TypeVar("T")
Script: TypeAlias = Generator[Ask | NextStop, Any, T]

PRELUDE: Final = (
    # mi-async must come before the target: without it an interrupt is not even read while the target runs.
    "-gdb-set mi-async on",
    "-gdb-set confirm off",
    "-gdb-set pagination off",
    "-gdb-set width 0",
    # A refused TCP connection is an answer; gdb would try again for 15 seconds.
    "-gdb-set tcp auto-retry off",
)
"""What both clients ask of a gdb that they have started."""

_PLACE: Final = re.compile(r"0x[0-9a-f]+")
_INTEGERS: Final = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}


def quoted(text: str) -> str:
    """`text` as a c-string of MI: one argument, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _ask(command: str, thread: int | None = None, *, listens: bool = False) -> Script[Answer]:
    answer: Answer = yield Ask(command, thread, listens)
    return answer


def prepare() -> Script[None]:
    """Set gdb up for scripts, before it has a target."""
    for command in PRELUDE:
        yield Ask(command)


# --- the target -------------------------------------------------------------------------------------------------


def connect(address: str, *, non_stop: bool = False) -> Script[None]:
    """Make the daemon (or any gdb server) at `address` the target: a socket's path, "unix:PATH" or "HOST:PORT".

    All-stop: the target stands when this returns, and a guest behind the daemon waits until it is resumed.  With
    `non_stop` everything goes on, and only what hits a breakpoint stops.  Raises `AddressError` for what is none of
    these, and `MiError` when nobody listens there or gdb cannot take what the server presents.
    """
    remote = remote_of(address)
    try:
        yield from _ask(f"-gdb-set non-stop {'on' if non_stop else 'off'}")
        yield from _ask(f"-target-select remote {remote}")
    except MiError as error:
        raise MiError(f"cannot connect to {address}: {error.text}{_advice(error.text)}", error.command) from None


def remote_of(address: str) -> str:
    """`address` as gdb's `target remote` takes it, wherever gdb runs. Raises `AddressError`."""
    if "\n" in address:
        raise AddressError(f"{address!r} is no address of a gdb server: it has more than one line")
    where = addresses.parse_gdb(address)
    return str(where) if where.transport == "tcp" else os.path.abspath(where.path)


def _advice(text: str) -> str:
    if "unknown architecture" in text or "packet is too long" in text or "Truncated register" in text:
        return " (this gdb does not know the server's architecture: use gdb-multiarch, or another --gdb-arch)"
    if "No such file" in text or "refused" in text:
        return " (nobody listens there: start the daemon with --gdb)"
    if "connection closed" in text or "Target disconnected" in text:
        return " (that is no gdb server: a daemon's is NAME.gdb, beside NAME.sock)"
    if "inferior is running" in text:
        return " (it has a target: detach from that first)"
    return ""


def detach() -> Script[None]:
    """Let the target go; it runs on."""
    yield from _ask("-target-detach")


# --- values -----------------------------------------------------------------------------------------------------


def evaluate(expression: str, *, thread: int | None = None) -> Script[str]:
    """The value of `expression` in gdb's words: "{VirtualID = 27, ...}", "PENDING", "1024"."""
    answer = yield from _ask(f"-data-evaluate-expression {quoted(expression)}", thread)
    return str(answer.payload.get("value", ""))


def read(expression: str, *, thread: int | None = None) -> Script[int]:
    """The value of `expression` as a number, without sign; a structure of 1, 2, 4 or 8 bytes as the register it is.

    Raises `MiError` also for what has no such value: an array, a larger structure, void.
    """
    shown = yield from console(f"output/x {expression}", thread=thread)
    if shown.rpartition("\n")[2].startswith("{"):
        size = yield from evaluate(f"sizeof({expression})", thread=thread)
        if (integer := _INTEGERS.get(_integer(size))) is not None:
            shown = yield from console(f"output/x *({integer} *)&({expression})", thread=thread)
    try:
        return int(shown.rpartition("\n")[2], 0)  # gdb 13 may first say that the daemon's file has disappeared
    except ValueError:
        raise MiError(f"{expression} is no number but {shown[:80]!r}: name one register, element or field") from None


def write(expression: str, value: int | str, *, thread: int | None = None) -> Script[None]:
    """Assign `value`, a number or an expression ("ACTIVE"), to `expression`; a structure can be given as a number.

    Of a daemon's register this is the access of the selected thread's vCPU.  Raises `MiError` when the daemon refuses
    it, with its reason.
    """
    try:
        yield from _ask(f"-gdb-set var {expression} = {value}", thread)
    except MiError as error:
        if isinstance(value, int) and "nvalid cast" in error.text:
            size = yield from evaluate(f"sizeof({expression})", thread=thread)
            if (integer := _INTEGERS.get(_integer(size))) is not None:
                yield from write(f"*({integer} *)&({expression})", value, thread=thread)
                return
        why = yield from _why(error)
        raise MiError(f"{expression} = {value}: {error.text}{why}", error.command) from None


def _why(error: MiError) -> Script[str]:
    """What a daemon says to a refused access, of which the protocol only tells that it was refused."""
    if "annot access memory" not in error.text and "not write register" not in error.text:
        return ""
    try:
        said = yield from monitor("why")
    except MiError:  # not a daemon of ours, or not now
        return ""
    refusal = said.partition("\n")[0].partition("Last refusal: ")[2]
    place = _PLACE.search(error.text)
    if place is not None and place[0] not in refusal:
        return ""  # of another access: what `info mem` does not list gdb refuses without asking
    return f": {refusal}" if refusal else ""


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() else 0


# --- breakpoints ------------------------------------------------------------------------------------------------


def watch(expression: str, *, condition: str | None = None, thread: int | None = None) -> Script[Breakpoint]:
    """Stop when an access changes `expression`; an access of any thread or of `thread`, and if `condition` is true."""
    return (yield from _watch("", expression, condition, thread))


def rwatch(expression: str, *, condition: str | None = None, thread: int | None = None) -> Script[Breakpoint]:
    """Stop when `expression` is read; otherwise as `watch`."""
    return (yield from _watch("-r ", expression, condition, thread))


def awatch(expression: str, *, condition: str | None = None, thread: int | None = None) -> Script[Breakpoint]:
    """Stop at every access to `expression`, whether or not it changes; otherwise as `watch`.

    The one for registers whose writes do not stay (GICD_SGIR, GICC_EOIR, GICD_ICPENDR): `watch` sees no change there.
    """
    return (yield from _watch("-a ", expression, condition, thread))


def _watch(kind: str, expression: str, condition: str | None, thread: int | None) -> Script[Breakpoint]:
    whole = expression if thread is None else f"{expression} thread {thread}"
    made = breakpoint_of((yield from _ask(f"-break-watch {kind}{quoted(whole)}")).payload)
    if condition is not None:
        try:
            yield from _ask(f"-break-condition {made.number} {condition}")
        except MiError:
            yield from delete(made.number)
            raise
    return made


def break_(
    location: str, *, condition: str | None = None, thread: int | None = None, temporary: bool = False
) -> Script[Breakpoint]:
    """Stop at `location` ("irq27_ack"); of all threads or of `thread`, if `condition` is true, once if `temporary`."""
    options = " -t" if temporary else ""
    options += f" -c {quoted(condition)}" if condition is not None else ""
    options += f" -p {thread}" if thread is not None else ""
    return breakpoint_of((yield from _ask(f"-break-insert{options} {quoted(location)}")).payload)


def delete(number: int | Breakpoint | None = None) -> Script[None]:
    """Delete a breakpoint or watchpoint; None for all."""
    number = number.number if isinstance(number, Breakpoint) else number
    yield from _ask("-break-delete" if number is None else f"-break-delete {number}")


# --- running ----------------------------------------------------------------------------------------------------


def resume() -> Script[None]:
    """Let the target run, and do not wait; `wait_stop` does."""
    yield from _ask("-exec-continue")


def wait_stop(timeout: float | None = None) -> Script[Stop]:
    """The next stop that has not been given out yet; at once if it has come already.

    Raises `GdbTimeout` after `timeout` seconds (None: never); the target then still runs.  Raises `MiError` when the
    target goes away instead.
    """
    return (yield from _stop(NextStop(None, timeout)))


def continue_until_stop(timeout: float | None = None) -> Script[Stop]:
    """Let the target run and wait for the stop that ends this run, never for an earlier one; otherwise `wait_stop`."""
    answer = yield from _ask("-exec-continue")
    return (yield from _stop(NextStop(answer.stops, timeout, "-exec-continue")))


def step(timeout: float | None = None) -> Script[Stop]:
    """Let the selected thread make one step and wait for its end; otherwise as `continue_until_stop`."""
    answer = yield from _ask("-exec-step-instruction")
    return (yield from _stop(NextStop(answer.stops, timeout, "-exec-step-instruction")))


def interrupt(talk: Conversation, timeout: float | None) -> Script[Stop]:
    """Stop the running target and wait for the stop; of one that stands, the stop that there was."""
    before = talk.stops
    if not talk.running:
        if talk.last_stop is None:
            raise MiError("nothing runs that could be interrupted: connect first", "-exec-interrupt")
        return talk.last_stop
    yield from _ask("-exec-interrupt --all")
    return (yield from _stop(NextStop(before, timeout, "-exec-interrupt")))


def _stop(awaited: NextStop) -> Script[Stop]:
    stop: Stop = yield awaited
    if stop.vcpu is None and stop.thread is not None:
        for thread in (yield from threads()):
            if thread.number == stop.thread:
                stop = replace(stop, vcpu=thread.vcpu)
    return stop


def threads() -> Script[list[Thread]]:
    """The threads of the target: a daemon's vCPUs, each with its line of state."""
    answer = yield from _ask("-thread-info")
    return [thread_of(thread) for thread in answer.payload.get("threads", [])]


def select(thread: int) -> Script[None]:
    """Make `thread` the one that expressions and the console are about."""
    yield from _ask(f"-thread-select {thread}")


def backtrace(thread: int | None = None) -> Script[list[Frame]]:
    """The stack of the selected thread or of `thread`, innermost first: of a vCPU, the nesting of its interrupts."""
    answer = yield from _ask("-stack-list-frames", thread)
    return [frame_of(frame) for frame in answer.payload.get("stack", [])]


# --- everything else --------------------------------------------------------------------------------------------


def custom(command: str, *, thread: int | None = None) -> Script[Payload]:
    """The payload of the answer to any MI command: "-vgic-state", "-list-features"."""
    if not command.startswith("-"):
        raise ValueError(f"{command!r} is no MI command, which begins with '-'; console() takes gdb's own")
    return (yield from _ask(command, thread)).payload


def console(command: str, *, thread: int | None = None) -> Script[str]:
    """What gdb and its target print for a command of gdb's prompt."""
    answer = yield from _ask(f"-interpreter-exec console {quoted(command)}", thread, listens=True)
    return answer.output


def monitor(command: str) -> Script[str]:
    """What the target answers to `monitor COMMAND`."""
    return (yield from console(f"monitor {command}"))


def info_os(table: str = "") -> Script[list[dict[str, str]]]:
    """The rows of a table of the target's ("irqs", "lrs", "vcpus", ...), by column name; "" lists the tables.

    Raises `MiError` for a table that the target does not have.
    """
    answer = yield from _ask(f"-info-os {quoted(table)}" if table else "-info-os")
    found = answer.payload.get("OSDataTable", {})
    names = {column["col_name"]: column["colhdr"] for column in found.get("hdr", [])}
    rows = [{names.get(key, key): value for key, value in row.items()} for row in found.get("body", [])]
    if table and not rows:  # also what gdb makes of a table that there is not
        tables = [row.get("Type", "") for row in (yield from info_os())]
        if table not in tables:
            raise MiError(f"the target has no table {table!r}, only {', '.join(tables)}", f"-info-os {table}")
    return rows
