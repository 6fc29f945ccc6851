"""The machine: CPUs that take turns in one thread, memory, timers, a UART and somebody else's interrupt controller.

Time is virtual: one tick for each instruction, on whichever CPU.  When every CPU waits it jumps to the next timer.
With the same guest and the same answers of the interrupt controller every run is the same, unless it is paced: then
virtual time does not run ahead of the wall clock, and a jump takes as long as it spans.
"""

from __future__ import annotations

import time
from typing import Final

from vgicd_machine.board import psci
from vgicd_machine.board.board import Board
from vgicd_machine.board.timers import FREQUENCY, Timers
from vgicd_machine.core.cpu import Cpu
from vgicd_machine.errors import Deadlock, MachineError, TimeLimit
from vgicd_machine.gic.port import GicPort
from vgicd_machine.host.keyboard import Keyboard
from vgicd_machine.host.pace import AHEAD, Pace

QUANTUM: Final = 10_000
"""Instructions of a CPU's turn; longer ones are hardly faster, shorter ones delay other CPUs less."""

MAX_CPUS: Final = 8
_CHECK_INTERVAL: Final = 0.25  # seconds of wall time between looks at the connection and the limit
_KEY_INTERVAL: Final = 0.05  # between looks at the keyboard while a paced guest waits
_LOOK_INTERVAL: Final = 0.01  # between looks at the outputs where their rise cannot be waited for


class Machine:
    """`cpus` (1..8) CPUs on `board`, whose interrupt controller is `port`.

    Load an image into the board's memory, then `run` from its entry.  When every CPU waits and no timer runs,
    `patience` is how many seconds somebody else who drives lines of the same interrupt controller has to raise one.
    What `keyboard` has to say reaches the UART as fast as the guest reads it.  With a `pace` the guest's time keeps to
    its clock.
    """

    def __init__(
        self,
        board: Board,
        port: GicPort,
        *,
        cpus: int = 1,
        patience: float = 0,
        keyboard: Keyboard | None = None,
        pace: Pace | None = None,
    ) -> None:
        if not 1 <= cpus <= MAX_CPUS:
            raise MachineError(f"{cpus} CPUs: a GICv2 has 1 to {MAX_CPUS}")
        self.port = port
        self.board = board
        self.uart = board.uart
        self.now = 0
        """Virtual time in ticks of `timers.FREQUENCY`."""
        self._timers = Timers(cpus, port.line)
        self._patience = patience
        self._keyboard = keyboard
        self._pace = pace
        self._ended = False
        self.reset_requested = False
        broadcast = self._maintained if cpus > 1 else None
        self.cpus = [Cpu(n, board, self._timers, self._hypercall, broadcast) for n in range(cpus)]

    def run(self, entry: int, context: int = 0, *, seconds: float | None = None) -> None:
        """Start CPU 0 at `entry` and return when the guest has switched the system off, or asked for its reset.

        Raises `TimeLimit` after `seconds` of wall time, `Deadlock` when nothing can happen any more, `GicLost` when
        the interrupt controller is gone, `GuestFault` when the guest cannot be executed.
        """
        self.cpus[0].switch_on(entry, context)
        end = None if seconds is None else time.monotonic() + seconds
        look = 0.0
        if self._pace is not None:
            self._pace.ahead(self.now)
        while not self._ended:
            if not self._round():
                self._idle()
            elif self._pace is not None and (ahead := self._pace.ahead(self.now)) > AHEAD:
                self._pace.sleep(ahead)
            if self._keyboard is not None:
                self.uart.receive(self._keyboard.take(self.uart.room))
            wall = time.monotonic()
            if wall >= look:
                look = wall + _CHECK_INTERVAL
                self.port.check()
                if end is not None and wall >= end:
                    raise TimeLimit(f"the guest has not switched itself off within {seconds:g} seconds")

    def _round(self) -> bool:
        """One turn for each CPU; False when none had anything to execute."""
        busy = False
        for cpu in self.cpus:
            due = self._timers.due
            limit = QUANTUM if due is None else max(1, min(QUANTUM, due - self.now))
            if spent := cpu.turn(self.now, limit):
                busy = True
                self.now += spent
                self._timers.advance(self.now)
            if self._ended:
                break
        return busy

    def _idle(self) -> None:
        due = self._timers.due
        if due is None:
            if self._keyboard is not None and not self._keyboard.ended:
                self.uart.receive(self._keyboard.take(self.uart.room, _CHECK_INTERVAL))
                return
            if self._patience and self.port.wait(self._patience):
                return
            states = ", ".join(f"CPU {cpu.index} {'waits' if cpu.on else 'is off'}" for cpu in self.cpus)
            raise Deadlock(f"nothing can wake the guest: {states}, no timer runs and no interrupt is asserted")
        self.now = due if self._pace is None else self._waited(self._pace, due)
        self._timers.advance(self.now)

    def _waited(self, pace: Pace, due: int) -> int:
        """The time after a wait until `due`, or until somebody else raises a line, or for a moment."""
        left = pace.ahead(self.now) + (due - self.now) / FREQUENCY
        if left * FREQUENCY < 1:
            return due
        hears = self._keyboard is not None and not self._keyboard.ended
        hidden = self.port.outputs != 0  # of a CPU that is off, or it would not be idle: it hides another's rise
        left = min(left, _LOOK_INTERVAL if hidden else _KEY_INTERVAL if hears else _CHECK_INTERVAL)
        end = pace.clock() + left
        if (hidden or not self.port.wait(left)) and (left := end - pace.clock()) > 0:
            pace.sleep(left)
            self.port.check()
        return pace.reached(self.now, due)

    def _maintained(self, origin: int, crn: int, crm: int) -> None:
        """SYS on one CPU: TLBI to the inner shareable domain, or an instruction cache invalidation."""
        tlb, code = crn == 8 and crm == 3, crn == 7 and crm in {1, 5}
        if tlb or code:
            for cpu in self.cpus:
                if cpu.index != origin:
                    cpu.invalidate(code=code)

    # -- PSCI

    def _hypercall(self, cpu: int, function: int, arguments: tuple[int, int, int]) -> int:
        return psci.call(self, cpu, function, arguments)

    def is_on(self, cpu: int) -> bool | None:
        return self.cpus[cpu].on if cpu < len(self.cpus) else None

    def switch_on(self, cpu: int, entry: int, context: int) -> None:
        self._timers.reset(cpu, self.now)
        self.cpus[cpu].switch_on(entry, context)

    def switch_off(self, cpu: int) -> None:
        self._timers.reset(cpu, self.now)
        self.cpus[cpu].switch_off()

    def suspend(self, cpu: int) -> None:
        self.cpus[cpu].halted = True

    def end(self, *, reset: bool) -> None:
        self._ended = True
        self.reset_requested = reset
