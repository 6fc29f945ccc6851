"""Packets that stop the vCPUs and let them go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vgicd.gdbstub import replies, text, thread_ids
from vgicd.gdbstub.replies import OK, UNSUPPORTED, Malformed
from vgicd.gdbstub.row import Row
from vgicd.gdbstub.run_control import EVERYBODY, INTERRUPTED, NOTHING
from vgicd.gdbstub.target import Refused

if TYPE_CHECKING:
    from vgicd.gdbstub.stub import Stub


def _why(stub: Stub, _: bytes) -> bytes | None:
    stop = stub.run.attach()
    if stop is None:
        return OK
    stub.report(stop)
    return None


def _non_stop(stub: Stub, arguments: bytes) -> bytes:
    if stub.run.attached:
        raise Refused("`set non-stop` comes before `target remote`: disconnect, and connect again.")
    stub.run.non_stop = arguments == b":1"
    return OK


def _what_actions(_stub: Stub, _: bytes) -> bytes:
    return b"vCont;c;C;s;S;t"


def _continue(stub: Stub, arguments: bytes) -> bytes | None:
    """For each thread the first action that names it counts."""
    masks = {b"c": 0, b"s": 0, b"t": 0}
    left = EVERYBODY
    for action, vcpu in _actions(arguments):
        named = _named(stub, vcpu)
        masks[action] |= named & left
        left &= ~named
    if masks[b"t"] and not stub.run.non_stop:
        raise Refused("In all-stop mode everybody is stopped by Ctrl-C.")
    if stub.run.non_stop:
        stub.reply(OK)  # before the notifications that this may cause
    if masks[b"t"]:
        stub.run.halt(masks[b"t"], NOTHING)
    if masks[b"c"] | masks[b"s"]:
        _go(stub, masks[b"c"], masks[b"s"])
    return None


def _named(stub: Stub, vcpu: int) -> int:
    """Mask of the vCPUs that a thread id means."""
    if vcpu == thread_ids.ALL:
        return EVERYBODY
    return 1 << stub.existing(stub.vcpu if vcpu == thread_ids.ANY else vcpu)


def _actions(arguments: bytes) -> Iterator[tuple[bytes, int]]:
    """(c, s or t; vCPU or ALL) in order; a signal to go on with means nothing here."""
    for entry in arguments.lstrip(b";").split(b";"):
        action, colon, thread = entry.partition(b":")
        kind = action[:1].lower()
        if kind not in (b"c", b"s", b"t"):
            raise Malformed(f"{action[:40]!r} is no action of vCont.")
        yield kind, thread_ids.parse(thread) if colon else thread_ids.ALL


def _go(stub: Stub, go_on: int, step: int) -> None:
    stub.report(stub.run.resume(go_on, step))
    if not (stub.run.anybody_runs and not stub.run.non_stop):
        return
    others = [who for who in stub.target.holders() if who != stub.target.who]
    if others:
        stub.say(f"The guest does not run yet: {text.hold(others)} it, too.\n")
    if stub.run.freeze == "on":
        stub.say("The guest does not run: interrupt, and `monitor freeze auto` lets it.\n")


def _continue_chosen(stub: Stub, _: bytes) -> None:
    _go(stub, EVERYBODY if stub.resumed < 0 else _named(stub, stub.resumed), 0)


def _step_chosen(stub: Stub, _: bytes) -> None:
    """As gdbserver does it: with a thread chosen by Hc that alone, else the selected one, and the others go on."""
    if stub.resumed >= 0:
        _go(stub, 0, _named(stub, stub.resumed))
    else:
        _go(stub, EVERYBODY & ~(1 << stub.vcpu), 1 << stub.vcpu)


def _taken(stub: Stub, _: bytes) -> bytes:
    stop = stub.run.next_stop()
    return stub.stop_reply(stop) if stop is not None else OK


def _ctrl_c(stub: Stub, _: bytes) -> None:
    stub.reply(OK)
    if stub.run.non_stop:
        stub.run.halt(1 << stub.vcpu if stub.run.is_running(stub.vcpu) else EVERYBODY, INTERRUPTED)
    else:
        stub.interrupt()


def _insert(stub: Stub, arguments: bytes) -> bytes:
    kind, address, length = point(arguments)
    stub.breakpoints.insert(kind, address, length, stub.target.layout)
    return OK


def _remove(stub: Stub, arguments: bytes) -> bytes:
    stub.breakpoints.remove(*point(arguments))
    return OK


def point(arguments: bytes) -> tuple[int, int, int]:
    """Type, address and length of a Z or z packet; whatever follows them (conditions) is not offered."""
    kind, *rest = arguments.split(b";")[0].split(b",")
    if len(rest) != 2 or kind not in (b"0", b"1", b"2", b"3", b"4"):
        raise Malformed(f"{arguments[:40]!r} is no breakpoint.")
    return int(kind), replies.number(rest[0]), replies.number(rest[1])


def _detach(stub: Stub, _: bytes) -> bytes:
    stub.run.detach()
    return OK


def _kill(stub: Stub, _: bytes) -> bytes:
    """The daemon lives on: it is not the debugger's."""
    stub.run.detach()
    return OK


def _end(stub: Stub, _: bytes) -> None:
    stub.run.detach()
    stub.closing = True


def _no_run(_stub: Stub, _: bytes) -> bytes:
    raise Refused("The daemon runs already: `monitor reset` begins anew.")


def _attach(stub: Stub, arguments: bytes) -> bytes | None:
    if replies.number(arguments.lstrip(b";")) != thread_ids.PROCESS:
        raise Refused("There is one process, 1.")
    return _why(stub, b"")


def _nothing(_stub: Stub, _: bytes) -> bytes:
    return UNSUPPORTED


ROWS: Final = (
    Row("?", "Why did you stop?", _why),
    Row("QNonStop", "Shall one thread's stop be no other's?", _non_stop),
    Row("vCont?", "In which ways can threads go on?", _what_actions),
    Row("vCont", "Will these threads go on, step or stop?", _continue),
    Row("c", "Will what Hc named go on? (Without vCont.)", _continue_chosen),
    Row("C", "Will what Hc named go on, with a signal? (Without vCont.)", _continue_chosen),
    Row("s", "Will what Hc named step? (Without vCont.)", _step_chosen),
    Row("S", "Will what Hc named step, with a signal? (Without vCont.)", _step_chosen),
    Row("vStopped", "I know of that stop; who stopped besides?", _taken),
    Row("vCtrlC", "Will you stop, in non-stop mode?", _ctrl_c),
    Row("Z", "Will you stop here, or when this is accessed?", _insert),
    Row("z", "Will you no longer?", _remove),
    Row("D", "Will you go on without me?", _detach),
    Row("vKill", "Will you end?", _kill),
    Row("k", "Will you end, at once?", _end),
    Row("vAttach", "May I debug you?", _attach),
    Row("vRun", "Will you begin anew?", _no_run),
    Row("vMustReplyEmpty", "What do you say to what you do not understand?", _nothing),
)
