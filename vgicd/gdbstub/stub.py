"""The stub: one debugger's connection, as bytes in and bytes out.

`receive` serves what came and leaves replies in `out`; `see` is told of what others' operations caused, and may stop
them by what it holds.  Both are synchronous and happen between two operations, so that gdb always sees a domain at
rest.  All state is this connection's own: several debuggers do not know of each other.

Packets are served by a table (`rows` of the modules asking, data, running), each row headed by gdb's question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from vgicd.domain.events import Event
from vgicd.export.typed_elf import symbol_file
from vgicd.gdbstub import asking, data, packets, replies, running, text, thread_ids
from vgicd.gdbstub.breakpoints import Breakpoints
from vgicd.gdbstub.features import Features
from vgicd.gdbstub.monitor import Monitor
from vgicd.gdbstub.monitor.trace import render
from vgicd.gdbstub.row import Row
from vgicd.gdbstub.run_control import FREEZES, RunControl, Stop
from vgicd.gdbstub.subject import subject
from vgicd.gdbstub.symbol_file import SymbolFile
from vgicd.gdbstub.target import EVERYTHING, Refused, Target

_NAME: Final = re.compile(rb"[A-Za-z]+\??")
_LETTERS: Final = b"!?cCDgGHkmMpPRsSTxXzZ"
"""Packets whose name is one letter, with the arguments right behind it."""

_CONSOLE_LIMIT: Final = 1 << 18
"""Bytes that gdb has not taken beyond which trace lines are dropped, and counted."""


class StubOptions(NamedTuple):
    """`freeze` is the mode to begin with, `minimal` offers only what QEMU 7.2's stub does (for gdb 13 on both)."""

    freeze: str = "auto"
    minimal: bool = False


class Stub:
    """A debugger's session.

    `flush` is set by the connection, and sends what is in `out`.  `closing`: end the connection when `out` is sent.
    `awaiting`: gdb was told of a stop and has said nothing since, though it always asks for registers at once.
    """

    def __init__(self, target: Target, options: StubOptions) -> None:
        self.target = target
        self.options = options
        self.out = bytearray()
        self.flush: Callable[[], None] = lambda: None
        self.closing = False
        self.awaiting = False
        self.features = Features(options.minimal)
        self.breakpoints = Breakpoints()
        self.run = RunControl(target, self.breakpoints, options.freeze, self._notify_stop)
        self.symbols = SymbolFile(self._symbol_file)
        self.monitor = Monitor(self)
        self.refusal = ""  # the last refusal's sentence,
        self.refused = ""  # and what it was about
        self.mask = 0  # as a watcher
        self.document = (b"", b"")  # that is being read in parts: its name, and what it says
        self.resumed = thread_ids.ALL  # what goes on, or steps, by the packets c and s
        self._general = 0  # the vCPU that gdb has selected
        self._decoder = packets.Decoder()
        self._acks = True
        self._last = b""  # reply, for a peer that asks for it again
        self._held = 0
        self._trace = 0
        self._dropped = 0

    # --- bytes ----------------------------------------------------------------------------------------------------

    @property
    def partial(self) -> bool:
        """Has gdb begun a packet that is not complete?"""
        return self._decoder.partial

    def receive(self, data: bytes) -> None:
        """Serve `data`, as it came."""
        self.awaiting = False
        for item in self._decoder.feed(data):
            if self.closing:
                break
            match item:
                case packets.Packet(payload):
                    if self._acks:
                        self.out += b"+"
                    self._serve(payload)
                case packets.Damaged(reason):
                    self.refusal, self.refused = reason, ""
                    if self._acks:
                        self.out += b"-"
                case packets.Nak():
                    # Without acks gdb says it when it is tired of waiting; what is not sent yet needs no repetition.
                    if self._acks and not self.out:
                        self.out += self._last
                case packets.Break():
                    self.interrupt()
        self.settle()
        self.target.publish()

    def trust_transport(self) -> None:
        """No acknowledgements from now on, and no checksums that matter."""
        self._acks = False
        self._decoder.trusting = True

    def reply(self, payload: bytes) -> None:
        """Send `payload` as a packet."""
        self._last = packets.encode(payload)
        self.out += self._last

    def _serve(self, packet: bytes) -> None:
        try:
            answer = self._answer(packet)
        except Refused as refused:
            answer = self.refuse(refused.text, subject(self.target, packet))
        except replies.Malformed as error:
            answer = self.refuse(f"Malformed packet: {error}")
        if answer is not None:
            self.reply(answer)

    def _answer(self, packet: bytes) -> bytes | None:
        if packet[:1] in _SINGLE:
            name, arguments = packet[:1], packet[1:]
        elif packet.startswith(b"qvgic."):
            return self.monitor.run(packet[6:].decode("utf-8", "replace")).encode()
        else:
            found = _NAME.match(packet)
            if found is None:
                return replies.UNSUPPORTED
            name, arguments = found[0], packet[found.end() :]
        row = TABLE.get(name.decode("ascii"))
        if row is None or not self.features.offers(row.name):
            return replies.UNSUPPORTED
        return row.answer(self, arguments)

    def refuse(self, sentence: str, about: str = "") -> bytes:
        """The error reply that says `sentence` to those who can show it; others find it with `monitor why`."""
        self.refusal, self.refused = sentence, about
        return b"E." + sentence.encode() if self.features.error_message else replies.ERROR

    # --- threads --------------------------------------------------------------------------------------------------

    @property
    def vcpu(self) -> int:
        """The vCPU of the thread that gdb has selected."""
        return min(self._general, self.target.vcpus - 1)

    def select(self, vcpu: int) -> None:
        """Everything that is asked from now on is about `vcpu`."""
        self._general = vcpu

    def existing(self, vcpu: int) -> int:
        """`vcpu`, if there is such a thread; Refused otherwise."""
        if not 0 <= vcpu < self.target.vcpus:
            raise Refused(f"There is no thread {vcpu + 1}: the domain has {self.target.vcpus} vCPUs.")
        return vcpu

    def thread(self, vcpu: int) -> str:
        """The id of the thread that `vcpu` is, as this gdb writes it."""
        return thread_ids.name(vcpu, multiprocess=self.features.multiprocess)

    # --- stopping and going on --------------------------------------------------------------------------------------

    def stop_reply(self, stop: Stop) -> bytes:
        """The T packet for `stop`; gdb takes its thread for the selected one."""
        if not self.run.non_stop:
            self.select(stop.vcpu)
        reason = "" if stop.reason in self.features.untold else stop.reason
        core = self.target.vcpu(stop.vcpu).pcpu
        return f"T{stop.signal:02x}{reason}thread:{self.thread(stop.vcpu)};core:{core:x};".encode()

    def interrupt(self) -> None:
        """Ctrl-C in all-stop mode."""
        if not self.run.non_stop and self.run.attached:
            self.report(self.run.interrupt(self.vcpu))

    def report(self, stop: Stop | None) -> None:
        """Tell gdb of `stop`, in all-stop mode."""
        if stop is not None:
            self.reply(self.stop_reply(stop))
            self.awaiting = True

    def _notify_stop(self, stop: Stop) -> None:
        """Tell gdb of `stop`, in non-stop mode."""
        self.out += packets.notify(b"Stop:" + self.stop_reply(stop))
        self.awaiting = True

    def see(self, events: Sequence[Event], source: object) -> None:
        """Hear what an operation caused; called before anything else happens."""
        if self.run.attached:
            if self._trace:
                self._tell(events)
            if source is not self and self.run.anybody_runs:
                self.report(self.run.see(events))
            self.settle()
        if self.out:
            self.flush()

    def settle(self) -> None:
        """Hold and watch what the state that has been reached asks for."""
        held = self.run.held()
        if held != self._held:
            self._held = held
            self.target.hold(held)
        mask = self.run.mask()
        if self._console_open():
            mask |= self._trace
        if mask != self.mask:
            self.mask = mask
            self.target.watch(self)

    def let_go(self, reason: str) -> None:
        """Release what is held, until gdb goes on by itself; `reason` is the sentence that `monitor why` shows."""
        self.refusal, self.refused = reason, ""
        self.run.let_go()
        self.settle()

    @property
    def holds(self) -> bool:
        """Is anything held for this debugger?"""
        return self._held != 0

    def close(self) -> None:
        """The debugger is gone: release everything."""
        self.closing = True
        self.run.detach()
        self._trace = 0
        self.settle()
        self.target.publish()

    # --- the console ------------------------------------------------------------------------------------------------

    def _console_open(self) -> bool:
        """May O packets be sent? In all-stop mode, while gdb waits for a stop."""
        return self.run.attached and self.run.anybody_runs and not self.run.non_stop

    def say(self, words: str) -> None:
        """Print `words` on gdb's console, if they would be taken now."""
        if self._console_open():
            self.reply(b"O" + words.encode().hex().encode())

    def _tell(self, events: Sequence[Event]) -> None:
        if not self._console_open():
            return
        lines = [render(event, self.target) for event in events if self._trace >> event.kind & 1]
        if len(self.out) > _CONSOLE_LIMIT:
            self._dropped += len(lines)
            return
        if self._dropped:
            lines.insert(0, f"... {self._dropped} lines were lost: gdb did not take them in time.")
            self._dropped = 0
        if lines:
            self.say("".join(f"{line}\n" for line in lines))

    # --- what `monitor` asks and sets -------------------------------------------------------------------------------

    @property
    def trace(self) -> int:
        """The kinds of events that are printed while the guest runs: bit k for kind k."""
        return self._trace

    def set_trace(self, kinds: int) -> None:
        """Print events of these kinds while the guest runs."""
        self._trace = kinds

    @property
    def non_stop(self) -> bool:
        """Does one thread's stop leave the others running?"""
        return self.run.non_stop

    @property
    def freeze_mode(self) -> str:
        """One of FREEZES."""
        return self.run.freeze

    def set_freeze(self, mode: str) -> str:
        """Change what stopping holds; answers a sentence. Raises Refused for what would change nothing."""
        if mode not in FREEZES:
            raise Refused(f"The freeze is {', '.join(FREEZES[:-1])} or {FREEZES[-1]}, not {mode!r}.")
        others = [holder for holder in self.held() if holder != self.target.who]
        too = f" {text.hold(others)} it, {'whatever this debugger does' if mode == 'off' else 'too'}." if others else ""
        if mode == "on" and self.run.freeze == "on" and self._held == EVERYTHING:
            raise Refused(
                f"The guest is frozen already, by this debugger: `monitor freeze off` or `auto` ends that.{too}"
            )
        self.run.set_freeze(mode)
        self.settle()
        said = {
            "auto": "The guest is held while its vCPUs are stopped here.",
            "on": "The guest is held, after `continue` too, until `monitor freeze off` or `auto`.",
            "off": "The guest is never held from here: stops are reported, and it goes on.",
        }[mode]
        return said + too

    def held(self) -> Sequence[str]:
        """Who holds the guest, this debugger included."""
        return self.target.holders()

    def run_state(self) -> str:
        """Which vCPUs run, for people."""
        mode = "non-stop" if self.run.non_stop else "all-stop"
        states = (f"vcpu{v} {'runs' if self.run.is_running(v) else 'stopped'}" for v in range(self.target.vcpus))
        return f"{mode}: {', '.join(states)}"

    def _symbol_file(self) -> bytes:
        target = self.target
        return symbol_file(target.arch, target.layout, target.domain.config.lrs, target.names)


_SINGLE: Final = frozenset(bytes((letter,)) for letter in _LETTERS)

TABLE: Final[Mapping[str, Row]] = {row.name: row for row in (*asking.ROWS, *data.ROWS, *running.ROWS)}
"""Every packet that is understood, by its exact name."""
