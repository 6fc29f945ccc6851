"""Run control: what gdb has stopped, what it lets run, and the machine that waits for it meanwhile.

Everything happens between two instructions, in the machine's own thread: while gdb looks, nothing moves.  All CPUs stop
with one (all-stop); which of them go on is gdb's choice (scheduler-locking).
"""

from __future__ import annotations

import signal
import time
from typing import Final

from vgicd_machine.core.cpu import Cpu
from vgicd_machine.core.engine import PC
from vgicd_machine.core.traps import Trap
from vgicd_machine.errors import GuestFault, Interrupted, MachineError
from vgicd_machine.gdb.endpoint import Endpoint
from vgicd_machine.gdb.link import INTERRUPT, Link, LinkLost
from vgicd_machine.gdb.memory import Peeker, View
from vgicd_machine.gdb.points import Points
from vgicd_machine.gdb.stub import Stop, Stub
from vgicd_machine.machine import Machine

_ACCEPT_INTERVAL: Final = 0.1  # seconds between looks for a gdb that wants to connect
_WAIT_INTERVAL: Final = 0.02  # the same, while the guest waits for it
_STILL_INTERVAL: Final = 0.25  # between looks at the interrupt controller while the guest is stopped
_EVERY: Final = -1  # mask of all CPUs


class GdbDebugger:
    """A `Debugger` for one run of one machine, at `endpoint`; with `wait` the guest begins when gdb says so.

    `peeker` is the interrupt controller to be looked at.
    """

    def __init__(self, endpoint: Endpoint, peeker: Peeker | None = None, *, wait: bool = False) -> None:
        self._endpoint = endpoint
        self._peeker = peeker
        self._wait = wait
        self._link: Link | None = None
        self._stub: Stub | None = None
        self._machine: Machine | None = None
        self._stopped = False
        self._go = self._steps = _EVERY
        self._told_wait = False
        self._interrupted = False  # Ctrl-C overtook the packet that lets the guest go on
        self._next_look = 0.0
        self.attached = False
        self.held = 0.0

    # -- what the machine asks

    def begin(self, machine: Machine) -> None:
        self._machine = machine
        if not self._wait:
            return
        began = time.monotonic()
        while not self._accept():
            machine.still()
            time.sleep(_WAIT_INTERVAL)
        self.held = time.monotonic() - began

    def look(self) -> None:
        if self._link is None:
            now = time.monotonic()
            if now >= self._next_look:
                self._next_look = now + _ACCEPT_INTERVAL
                self._accept()
            return
        try:
            self._heed(self._link.take())
        except LinkLost:
            self._leave()

    def may_run(self, cpu: int) -> bool:
        return not self.attached or bool((self._go | self._steps) >> cpu & 1)

    def steps(self, cpu: int) -> bool:
        return self.attached and bool(self._steps >> cpu & 1)

    def trapped(self, cpu: int, trap: Trap) -> None:
        if self._stub is not None and self._machine is not None:
            core = self._machine.cpus[cpu].engine
            here = None if core is None else core.read(PC)
            self._stop(Stop(cpu, reason="" if trap.step else self._stub.points.reason(trap, here)))

    def failed(self, cpu: int | None, error: MachineError) -> None:
        kind = signal.SIGSEGV if isinstance(error, GuestFault) else signal.SIGQUIT
        self._say(f"{error}; to continue ends the run\n")
        self._stop(Stop(self._best() if cpu is None else cpu, kind))

    def waits(self, seconds: float) -> bool:
        machine = self._machine
        if machine is None or self._link is None or all(self.may_run(cpu.index) for cpu in machine.cpus):
            return False
        if not self._told_wait:
            self._told_wait = True
            self._say("Nothing that may run has anything to do; the other CPUs are held (scheduler-locking).\n")
        try:
            self._heed(self._link.take(seconds))
        except LinkLost:
            self._leave()
        return True

    # -- the end

    def ended(self, status: int, why: str = "") -> None:
        """The run is over, with exit status `status`: gdb is told, and is not served any more."""
        if self._link is not None and not self._stopped:
            if why:
                self._say(why + "\n")
            self._tell(b"W%02x" % (status & 0xFF))
        self._leave()

    # -- what the stub orders

    def resume(self, go: int, steps: int) -> None:
        """Let the CPUs of mask `go` run, and of those of `steps` the first to execute anything, one instruction."""
        self._go, self._steps = go, steps
        self._stopped = self._told_wait = False
        if self._interrupted and self._stub is not None:
            self._interrupted, self._stopped = False, True
            self._stub.report(Stop(self._best(), signal.SIGINT))

    def detach(self) -> None:
        """Let the guest go on by itself."""
        self._leave()

    def kill(self) -> None:
        """Raises what ends the run."""
        self._leave()
        raise Interrupted("ended by gdb", signal.SIGKILL)

    # -- stopping

    def _accept(self) -> bool:
        """Whether a gdb has come. If so it has been served, and the guest may go on."""
        machine = self._machine
        self._link = self._endpoint.accept() if machine is not None else None
        if machine is None or self._link is None:
            return False
        view = View(machine, self._peeker)
        self._stub = Stub(self, self._link, machine, view, Points(view))
        self.attached = True
        self._stub.stop = Stop(self._best(), signal.SIGTRAP if self._wait and not machine.now else 0)
        self._serve()
        return True

    def _heed(self, item: object) -> None:
        """What gdb says while the guest runs: Ctrl-C, or a packet that should have waited for a stop."""
        if item is None or self._stub is None:
            return
        if item is INTERRUPT:
            self._stop(Stop(self._best(), signal.SIGINT))
        elif isinstance(item, bytes):
            self._stub.serve(item)

    def _best(self) -> int:
        """The CPU that gdb is shown when it has stopped none in particular: the one it looks at, if that is on."""
        machine, chosen = self._machine, 0 if self._stub is None else self._stub.general
        if machine is None or machine.cpus[chosen].on:
            return chosen
        return next((cpu.index for cpu in machine.cpus if cpu.on), 0)

    def _stop(self, stop: Stop) -> None:
        """Tell gdb, and serve it until the guest may go on."""
        if self._stub is None:
            return
        try:
            self._stub.report(stop)
        except LinkLost:
            self._leave()
        self._serve()

    def _serve(self) -> None:
        machine = self._machine
        if machine is None or self._link is None:
            return
        self._stopped, self._interrupted = True, False
        began = checked = time.monotonic()
        try:
            while self._stopped and self._link is not None and self._stub is not None:
                item = self._link.take(_STILL_INTERVAL)
                if isinstance(item, bytes):
                    self._stub.serve(item)
                elif item is INTERRUPT:
                    self._interrupted = True
                now = time.monotonic()
                if now >= checked + _STILL_INTERVAL:
                    checked = now
                    machine.still()
        except LinkLost:
            self._leave()
        self.held += time.monotonic() - began
        if self._stub is not None:
            self._arm(self._stub.points, tidy=not self._steps)

    def _arm(self, points: Points | None, *, tidy: bool) -> None:
        """Have every CPU stop at `points`."""
        cpus: list[Cpu] = [] if self._machine is None else self._machine.cpus
        for cpu in cpus:
            if points is None:
                cpu.trap((), (), tidy=tidy)
            else:
                cpu.trap(points.breakpoints, points.watches, tidy=tidy)

    def _leave(self) -> None:
        """gdb is gone, or is to go: nothing of it is left."""
        if self._link is not None:
            self._link.close()
            self._arm(None, tidy=True)
        self._link = self._stub = None
        self.attached = self._stopped = self._interrupted = False
        self._go = self._steps = _EVERY

    # -- words

    def _say(self, text: str) -> None:
        """On gdb's console; only while it waits for a stop."""
        if not self._stopped:
            self._tell(b"O" + text.encode().hex().encode())

    def _tell(self, payload: bytes) -> None:
        try:
            if self._link is not None:
                self._link.send(payload)
        except LinkLost:
            self._leave()
