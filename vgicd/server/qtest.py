"""The qtest front end: one client's conversation in QEMU's text protocol.

A client is a connection like any other: the same limits, deadlines, order of operations and freeze.  It acts as the
guest does, so that the role guest is the least that it needs.  Any number may be connected; each has an interception
of its own, which ends with the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

import trio

from vgicd.config import Config
from vgicd.domain.domain import Domain
from vgicd.domain.events import Event
from vgicd.gdbstub.target import REST
from vgicd.logs import get_logger
from vgicd.qtest import commands
from vgicd.qtest.blocks import WORD
from vgicd.qtest.clock import Clock
from vgicd.qtest.commands import Needs
from vgicd.qtest.machine import Machine
from vgicd.qtest.wiring import Wiring
from vgicd.server.access import Peer
from vgicd.server.events import EventQueue
from vgicd.server.front_ends import FrontEnd
from vgicd.server.session import Session, Shared
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Role

QTEST: Final = FrontEnd("qtest")

_CLOCK_MASK: Final = 31  # the turn's clock is looked at whenever the lines left have none of these bits

log = get_logger()


class Rig:
    """What all qtest clients of a daemon share: the clock, and the names of the devices."""

    def __init__(self, config: Config, domain: Domain) -> None:
        self._config = config.qtest
        self._domain = domain
        self._described: object = None
        self.clock = Clock(domain)

    def wiring(self) -> Wiring:
        """The devices of the domain as it is now: a RESET may have made it another one."""
        config = self._domain.config
        if config is not self._described:
            self._described = config
            last = self._domain.vgic.nr_irqs - 1
            self._wiring = Wiring(config.vcpus, last, self._config.gic_path, self._config.cpu_paths)
        return self._wiring


class _Told(EventQueue):
    """Events that become notices at once, so that none waits here."""

    __slots__ = ("_see",)

    def __init__(self, see: Callable[[Event], None]) -> None:
        super().__init__(1, trio.current_time)
        self._see = see

    def put(self, events: Iterable[Event]) -> bool:
        """Hand on those of `events` that the mask asks for; True if there was one."""
        asked = [event for event in events if self.mask >> event.kind & 1]
        for event in asked:
            self._see(event)
        return bool(asked)


class QtestSession(Session):
    """The state of one qtest client's conversation."""

    kind = "qtest"
    unit = "line"
    least = Role.GUEST

    def __init__(self, shared: Shared, peer: Peer, rig: Rig) -> None:
        super().__init__(shared, peer)
        limits = shared.config.limits
        self.greeted = True
        self.role = Role.GUEST
        self._line_limit = limits.frame
        self._notices_limit = limits.reply_queue
        self.machine = Machine(
            shared.domain, rig.clock, rig.wiring, WORD * limits.vector_entries, self._notify, self._spread
        )
        self.events = _Told(self.machine.see_event)

    # --- input --------------------------------------------------------------------------------------------------

    def serve(self, buffer: bytearray, position: int, end: int, until: float) -> int:
        """Serve the whole lines in `buffer[position:end]`; answers where the first unserved byte is.

        Stops before the end as `Session.serve` does; a line is at least one operation, and a block's many.
        """
        self.more = False
        if self.closing:
            return end
        if self.withheld:
            self.more = True
            return position
        out, hub, domain = self.out, self.hub, self.domain
        left = self._limits.operations_per_turn
        while position < end:
            line_end = buffer.find(b"\n", position, end)
            if (end if line_end < 0 else line_end) - position > self._line_limit:
                self.refuse(Status.FRAME_LENGTH, f"A line has at most {self._line_limit} bytes.")
                break
            if line_end < 0:
                break
            line = bytes(buffer[position:line_end])
            order = domain.order
            if hub.debugged:
                if not self._serve_held(line):
                    break
                position = line_end + 1
                if self.held:
                    self.requests += 1
                    break
            else:
                position = line_end + 1
                self._serve_line(line)
            self.requests += 1
            cost = max(1, domain.order - order)
            left -= cost
            late = (cost > 1 or not left & _CLOCK_MASK) and perf_counter() > until
            if left <= 0 or late or len(out) >= self._limits.reply_queue:
                self.more = position < end
                break
        return end if self.closing else position

    def _serve_held(self, line: bytes) -> bool:
        """As `_serve_line` while a debugger may hold; False, and it waits, if `line` is held.

        The answer to a line in whose course its own vCPU was frozen is withheld until `thaw`.
        """
        freeze = self.hub.freeze
        claim = self._claim(line)
        if claim & freeze.mask:
            self._hold(claim)
            return False
        sent = len(self.out)
        self._serve_line(line)
        if claim & freeze.mask:
            self.withheld += self.out[sent:]
            del self.out[sent:]
            self._hold(claim)
        return True

    def _claim(self, line: bytes) -> int:
        match commands.needs(line):
            case Needs.ACCESS:
                return 1 << self.machine.vcpu
            case Needs.REST:
                return REST
            case _:
                return 0

    def _serve_line(self, line: bytes) -> None:
        machine = self.machine
        before = machine.interception
        try:
            answer = commands.execute_prepared(machine, line)
            if answer is None:
                answer = commands.execute(machine, line)
        except Exception:
            if self.shared.lines.allows():
                log.exception("request.failed", session=self.number, line=line[:80].decode("ascii", "backslashreplace"))
            answer = b"FAIL The daemon failed; its log has the reason.\n"
        self.out += answer
        if machine.interception is not before:
            self._begin_interception()

    def _begin_interception(self) -> None:
        interception = self.machine.interception
        if interception is None:
            return
        if interception.sees_outputs:
            self.hub.follow(self)
        if interception.events:
            self.hub.subscribe(self, interception.events)

    # --- output -------------------------------------------------------------------------------------------------

    def _spread(self, outputs: int) -> None:
        if self.hub.armed:
            self.hub.spread(self, outputs)

    def see_outputs(self, outputs: int) -> bool:
        """Another's operation has been applied; True if there is a notice to be sent."""
        before = len(self.out) + len(self.withheld)
        self.machine.see_outputs(outputs)
        return len(self.out) + len(self.withheld) > before

    def _notify(self, notices: bytes) -> None:
        """Notices, behind what is withheld. A peer that leaves too many where they are is not told of any others."""
        if self.closing:
            return
        target = self.withheld or self.out
        target += notices
        if len(target) > 2 * self._notices_limit:
            self.closing = "slow reader"

    def deliver(self) -> None:
        """Notices are in the output already."""

    def refuse(self, code: Status, text: str, request_id: int = 0) -> None:
        """A line that says so, then nothing."""
        if self.closing:
            return
        if self.shared.lines.allows():
            log.warning("qtest.fault", session=self.number, code=code.name, text=text, **self.peer.described())
        self.out += f"FAIL {text}\n".encode()
        self.closing = f"fault {code.name}"

    def say_goodbye(self) -> None:
        """The daemon stops: as with a QEMU that ends, the connection does."""
        if not self.closing:
            self.closing = "daemon stopped"
