"""The packets of one gdb: a table of them, each row headed by gdb's question (gdb manual, "Remote Protocol").

A packet is served while the machine stands still.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from vgicd_machine.core.cpu import Cpu
from vgicd_machine.gdb import monitor, target_xml
from vgicd_machine.gdb.link import Link
from vgicd_machine.gdb.memory import View
from vgicd_machine.gdb.points import Points
from vgicd_machine.gdb.refusal import Refused
from vgicd_machine.gdb.registers import GENERAL, REGISTERS, Register, Subject, get, put
from vgicd_machine.machine import Machine

_OK: Final = b"OK"
_ERROR: Final = b"E01"
_UNSUPPORTED: Final = b""
_NAME: Final = re.compile(rb"[A-Za-z]+\??")
_LETTERS: Final = frozenset(b"?cCDgGHkmMpPsSTXzZ")
_HEX: Final = re.compile(rb"[0-9a-fA-F]+\Z")
_THREAD: Final = re.compile(rb"(?:p[0-9a-fA-F-]+\.)?(-1|[0-9a-fA-F]+)\Z")
_FEATURES: Final = (
    "QStartNoAckMode+", "multiprocess+", "vContSupported+", "qXfer:features:read+", "qXfer:threads:read+",
    "qXfer:memory-map:read+", "swbreak+", "hwbreak+", "error-message+",
)  # fmt: skip
_EVERY: Final = -1


class Stop(NamedTuple):
    """CPU `cpu` has stopped with `signal`; `reason` is the stop reply's part for it, such as `watch:40000000;`."""

    cpu: int
    signal: int = signal.SIGTRAP
    reason: str = ""


class Orders(Protocol):
    """Who carries out what gdb wants of the machine as a whole."""

    def resume(self, go: int, steps: int) -> None:
        """Let CPUs run (masks), or execute one instruction."""

    def detach(self) -> None: ...

    def kill(self) -> None: ...


class Stub:
    """gdb's session over `link`."""

    def __init__(self, orders: Orders, link: Link, machine: Machine, view: View, points: Points) -> None:
        self.orders = orders
        self.link = link
        self.machine = machine
        self.view = view
        self.points = points
        self.stop = Stop(0)
        """What gdb was told last, or is to be told when it asks."""
        self.general = 0
        """The CPU that what it asks is about."""
        self.chosen = _EVERY
        """The CPU that packets c and s are about."""
        self.refusal = "Nothing was refused."
        """The last refusal."""
        self._multiprocess = self._tells_errors = False
        self._untold = frozenset(("swbreak:;", "hwbreak:;"))

    def serve(self, packet: bytes) -> None:
        """Answer `packet`. Raises `LinkLost`, and what ends the run."""
        try:
            answer = self._answer(packet)
        except Refused as refused:
            answer = self._refuse(str(refused))
        except _Malformed:
            answer = self._refuse(f"Malformed packet: {packet[:60]!r}.")
        if answer is not None:
            self.link.send(answer)

    def report(self, stop: Stop) -> None:
        """Tell gdb, which waits for it, that everybody has stopped. Raises `LinkLost`."""
        self.stop = stop
        self.general = stop.cpu
        self.link.send(self.stop_reply())

    def stop_reply(self) -> bytes:
        stop = self.stop
        reason = "" if stop.reason in self._untold else stop.reason
        return f"T{stop.signal:02x}{reason}thread:{self.thread(stop.cpu)};core:{stop.cpu:x};".encode()

    def thread(self, cpu: int) -> str:
        return f"p1.{cpu + 1:x}" if self._multiprocess else f"{cpu + 1:x}"

    def agree(self, offered: bytes) -> bytes:
        """The reply to gdb's offer."""
        theirs = set(offered.lstrip(b":").split(b";"))
        self._multiprocess = b"multiprocess+" in theirs
        self._tells_errors = b"error-message+" in theirs
        self._untold = frozenset(f"{name}:;" for name in ("swbreak", "hwbreak") if f"{name}+".encode() not in theirs)
        return ";".join((f"PacketSize={self.link.limit:x}", *_FEATURES)).encode()

    @property
    def cpu(self) -> Cpu:
        """The one that gdb has selected."""
        return self.machine.cpus[self.general]

    def subject(self) -> Subject | None:
        """It, if it is on."""
        cpu = self.cpu
        return None if cpu.engine is None else Subject(self.machine, cpu, cpu.engine)

    def on(self) -> Subject:
        """It; Refused if it is off."""
        subject = self.subject()
        if subject is None:
            raise Refused(f"CPU {self.general} is off: it has no registers until another one switches it on.")
        return subject

    def existing(self, cpu: int) -> int:
        """`cpu`, if there is such a thread; Refused otherwise."""
        if not 0 <= cpu < len(self.machine.cpus):
            raise Refused(f"There is no thread {cpu + 1}: the machine has {len(self.machine.cpus)} CPUs.")
        return cpu

    def _answer(self, packet: bytes) -> bytes | None:
        if packet[:1] and packet[0] in _LETTERS:
            name, arguments = packet[:1], packet[1:]
        else:
            found = _NAME.match(packet)
            if found is None:
                return _UNSUPPORTED
            name, arguments = found[0], packet[found.end() :]
        row = TABLE.get(name.decode("ascii"))
        return _UNSUPPORTED if row is None else row.answer(self, arguments)

    def _refuse(self, sentence: str) -> bytes:
        self.refusal = sentence
        return b"E." + sentence.encode() if self._tells_errors else _ERROR


class Row(NamedTuple):
    """A packet: its name, what gdb asks with it, and who answers: the reply, or None for none now."""

    name: str
    question: str
    answer: Callable[[Stub, bytes], bytes | None]


# -- the pieces of packets


class _Malformed(Exception):
    """A packet that says nothing."""


def _number(text: bytes) -> int:
    if not _HEX.match(text):
        raise _Malformed
    return int(text, 16)


def _bytes(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise _Malformed from None


def _pair(text: bytes) -> tuple[int, int]:
    left, _, right = text.partition(b",")
    return _number(left), _number(right)


def _thread(text: bytes) -> int:
    """The CPU of a thread id; _EVERY for all of them, and for any."""
    found = _THREAD.match(text)
    if found is None:
        raise _Malformed
    return _EVERY if found[1] in (b"-1", b"0") else int(found[1], 16) - 1


def _mask(stub: Stub, cpu: int) -> int:
    return (1 << len(stub.machine.cpus)) - 1 if cpu == _EVERY else 1 << stub.existing(cpu)


# -- who and what is there


def _agree(stub: Stub, arguments: bytes) -> bytes:
    return stub.agree(arguments)


def _no_acks(stub: Stub, _: bytes) -> None:
    stub.link.send(_OK)
    stub.link.trust()


def _why(stub: Stub, _: bytes) -> bytes:
    stub.general = stub.stop.cpu
    return stub.stop_reply()


def _attached(_stub: Stub, _: bytes) -> bytes:
    return b"1"


def _current(stub: Stub, _: bytes) -> bytes:
    return b"QC" + stub.thread(stub.general).encode()


def _select(stub: Stub, arguments: bytes) -> bytes:
    cpu = _thread(arguments[1:])
    if cpu != _EVERY:
        stub.existing(cpu)
    if arguments[:1] == b"c":
        stub.chosen = cpu
    elif arguments[:1] == b"g" and cpu != _EVERY:
        stub.general = cpu
    return _OK


def _alive(stub: Stub, arguments: bytes) -> bytes:
    stub.existing(_thread(arguments))
    return _OK


def _first_threads(stub: Stub, _: bytes) -> bytes:
    return b"m" + ",".join(stub.thread(cpu.index) for cpu in stub.machine.cpus).encode()


def _more_threads(_stub: Stub, _: bytes) -> bytes:
    return b"l"


def _about_thread(stub: Stub, arguments: bytes) -> bytes:
    cpu = stub.existing(_thread(arguments.lstrip(b",")))
    return monitor.state(stub.machine, cpu).encode().hex().encode()


def _document(stub: Stub, arguments: bytes) -> bytes:
    match arguments.lstrip(b":").split(b":"):
        case [b"features", b"read", b"target.xml", place]:
            document = target_xml.target_description()
        case [b"threads", b"read", b"", place]:
            document = target_xml.threads(monitor.state(stub.machine, cpu.index) for cpu in stub.machine.cpus)
        case [b"memory-map", b"read", b"", place]:
            document = target_xml.memory_map()
        case _:
            return _UNSUPPORTED
    offset, length = _pair(place)
    return (b"m" if offset + length < len(document) else b"l") + document[offset : offset + length]


# -- registers and memory


def _registers(stub: Stub, _: bytes) -> bytes:
    subject = stub.subject()
    if subject is None:
        return b"x" * (2 * sum(register.bits // 8 for register in GENERAL))
    return b"".join(get(subject, register) for register in GENERAL).hex().encode()


def _set_registers(stub: Stub, arguments: bytes) -> bytes:
    subject, data = stub.on(), _bytes(arguments)
    if len(data) != sum(register.bits // 8 for register in GENERAL):
        raise _Malformed
    for register in GENERAL:
        size = register.bits // 8
        put(subject, register, data[:size])
        data = data[size:]
    return _OK


def _register(text: bytes) -> Register:
    number = _number(text)
    if number >= len(REGISTERS):
        raise Refused(f"There is no register {number}.")
    return REGISTERS[number]


def _one_register(stub: Stub, arguments: bytes) -> bytes:
    register, subject = _register(arguments), stub.subject()
    return b"x" * (register.bits // 4) if subject is None else get(subject, register).hex().encode()


def _set_register(stub: Stub, arguments: bytes) -> bytes:
    name, _, value = arguments.partition(b"=")
    put(stub.on(), _register(name), _bytes(value))
    return _OK


def _read(stub: Stub, arguments: bytes) -> bytes:
    address, size = _pair(arguments)
    return stub.view.read(stub.cpu, address, min(size, stub.link.limit // 2)).hex().encode()


def _write(stub: Stub, arguments: bytes) -> bytes:
    place, _, data = arguments.partition(b":")
    return _store(stub, place, _bytes(data))


def _write_binary(stub: Stub, arguments: bytes) -> bytes:
    place, _, data = arguments.partition(b":")
    return _store(stub, place, data)


def _store(stub: Stub, place: bytes, data: bytes) -> bytes:
    address, size = _pair(place)
    if size != len(data):
        raise _Malformed
    stub.view.write(stub.cpu, address, data)
    return _OK


def _is_physical(stub: Stub, _: bytes) -> bytes:
    return b"1" if stub.view.physical else b"0"


def _set_physical(stub: Stub, arguments: bytes) -> bytes:
    if arguments not in (b".PhyMemMode:0", b".PhyMemMode:1"):
        return _UNSUPPORTED
    stub.view.physical = arguments.endswith(b"1")
    return _OK


# -- stopping and going on


def _point(arguments: bytes) -> tuple[int, int, int]:
    kind, _, place = arguments.partition(b",")
    address, size = _pair(place.partition(b";")[0])
    return _number(kind), address, size


def _insert(stub: Stub, arguments: bytes) -> bytes:
    stub.points.insert(stub.cpu, _point(arguments))
    return _OK


def _remove(stub: Stub, arguments: bytes) -> bytes:
    stub.points.remove(_point(arguments))
    return _OK


def _what_actions(_stub: Stub, _: bytes) -> bytes:
    return b"vCont;c;C;s;S"


def _actions(arguments: bytes) -> Iterator[tuple[bytes, int]]:
    for entry in arguments.lstrip(b";").split(b";"):
        action, colon, thread = entry.partition(b":")
        if action[:1] not in (b"c", b"C", b"s", b"S"):
            raise _Malformed
        yield action[:1].lower(), _thread(thread) if colon else _EVERY


def _go_on(stub: Stub, arguments: bytes) -> None:
    """For each thread the first action that names it counts."""
    masks = {b"c": 0, b"s": 0}
    left = _mask(stub, _EVERY)
    for action, cpu in _actions(arguments):
        named = _mask(stub, cpu)
        masks[action] |= named & left
        left &= ~named
    stub.orders.resume(masks[b"c"], masks[b"s"])


def _continue(stub: Stub, _: bytes) -> None:
    stub.orders.resume(_mask(stub, stub.chosen), 0)


def _step(stub: Stub, _: bytes) -> None:
    cpu = stub.general if stub.chosen == _EVERY else stub.existing(stub.chosen)
    others = _mask(stub, _EVERY) & ~(1 << cpu) if stub.chosen == _EVERY else 0
    stub.orders.resume(others, 1 << cpu)


def _detach(stub: Stub, _: bytes) -> None:
    stub.link.send(_OK)
    stub.orders.detach()


def _kill(stub: Stub, _: bytes) -> None:
    stub.orders.kill()


def _kill_process(stub: Stub, _: bytes) -> None:
    stub.link.send(_OK)
    stub.orders.kill()


def _command(stub: Stub, arguments: bytes) -> bytes:
    text = monitor.run(stub, _bytes(arguments.lstrip(b",")).decode("utf-8", "replace"))
    return text.encode().hex().encode() or _OK


TABLE: Final[Mapping[str, Row]] = {
    row.name: row
    for row in (
        Row("qSupported", "What can you do? This is what I can.", _agree),
        Row("QStartNoAckMode", "Shall we stop acknowledging packets?", _no_acks),
        Row("?", "Why have you stopped?", _why),
        Row("qAttached", "Was the program there before me?", _attached),
        Row("qC", "Which thread is the current one?", _current),
        Row("H", "What I ask from now on is about this thread.", _select),
        Row("T", "Is this thread alive?", _alive),
        Row("qfThreadInfo", "Which threads are there?", _first_threads),
        Row("qsThreadInfo", "Which more?", _more_threads),
        Row("qThreadExtraInfo", "What is there to say of a thread?", _about_thread),
        Row("qXfer", "What does this document say, from here on?", _document),
        Row("g", "What is in the general registers?", _registers),
        Row("G", "Set the general registers.", _set_registers),
        Row("p", "What is in this register?", _one_register),
        Row("P", "Set this register.", _set_register),
        Row("m", "What is in memory there?", _read),
        Row("M", "Write this into memory (hexadecimal).", _write),
        Row("X", "Write this into memory (binary).", _write_binary),
        Row("qqemu", "Are addresses physical ones?", _is_physical),
        Row("Qqemu", "From now on addresses are physical ones, or not (as QEMU has it).", _set_physical),
        Row("Z", "Stop there.", _insert),
        Row("z", "Stop there no more.", _remove),
        Row("vCont?", "Which actions has vCont?", _what_actions),
        Row("vCont", "Go on: each thread thus.", _go_on),
        Row("c", "Go on.", _continue),
        Row("C", "Go on with a signal, which means nothing here.", _continue),
        Row("s", "Execute one instruction.", _step),
        Row("S", "Execute one instruction, with a signal.", _step),
        Row("D", "I leave; go on by yourself.", _detach),
        Row("k", "End.", _kill),
        Row("vKill", "End, and say so.", _kill_process),
        Row("qRcmd", "The user has typed `monitor`.", _command),
    )
}
"""Every packet that is understood, by its exact name."""
