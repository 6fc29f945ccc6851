"""The machine: CPUs that take turns in one thread, memory, timers, a UART and somebody else's interrupt controller.

Time is virtual: one tick for each instruction, on whichever CPU, exact wherever the guest reads it.  When every CPU
waits it jumps to the next timer, and a little at a time where the only one that does not is in a loop that reads the
counter.  With the same guest, seed and answers of the interrupt controller every run is the same, unless it is paced:
then virtual time does not run ahead of the wall clock, and a jump takes as long as it spans.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Final, Protocol

from vgicd_machine.board import pl031, psci
from vgicd_machine.board.board import Board
from vgicd_machine.board.semihosting import Semihosting
from vgicd_machine.board.timers import FREQUENCY, Timers
from vgicd_machine.core.cpu import Cpu, Observer, Time
from vgicd_machine.core.engine import Engine
from vgicd_machine.core.traps import Trap
from vgicd_machine.errors import Deadlock, GuestFault, MachineError, TimeLimit
from vgicd_machine.gic.port import GicPort
from vgicd_machine.host.keyboard import Keyboard
from vgicd_machine.host.pace import AHEAD, Pace

QUANTUM: Final = 10_000
"""Instructions of a CPU's turn among others; longer ones are hardly faster, shorter ones delay other CPUs less."""

ALONE: Final = 100_000
"""Instructions between looks at the outside world, when no other CPU waits for its turn and nobody types."""

NAP: Final = 6250
"""Ticks by which time moves on when every CPU waits, and at least one of them with WFE: 100 microseconds.

As if every CPU had its event stream on (DDI 0487 D11.2.5): nothing tells here whom an event is for.
"""

MAX_CPUS: Final = 8
_CHECK_INTERVAL: Final = 0.25  # seconds of wall time between looks at the connection and the limit
_KEY_INTERVAL: Final = 0.05  # between looks at the keyboard while a paced guest waits
_LOOK_INTERVAL: Final = 0.01  # between looks at the outputs where their rise cannot be waited for


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a run did. Tuples have an element for each CPU."""

    ticks: int
    """Virtual time."""
    instructions: int
    slices: int
    """Times that an engine was entered."""
    irqs: tuple[int, ...]
    fiqs: tuple[int, ...]
    counter_reads: int
    """Of CNTVCT_EL0 and CNTPCT_EL0, and of TVAL registers, each of which is asked of the machine."""
    seconds: float
    """Of wall time, in `Machine.run`."""


class Debugger(Protocol):
    """Whoever may stop the machine and look at it. While a method of theirs has not returned nothing moves."""

    attached: bool
    """Whether there is anybody; else only `look` is called."""
    held: float
    """Seconds of wall time that the guest has stood still for them."""

    def begin(self, machine: Machine) -> None:
        """`machine` is about to execute its first instruction."""

    def look(self) -> None:
        """Between rounds: do they want something?"""

    def may_run(self, cpu: int) -> bool: ...

    def steps(self, cpu: int) -> bool:
        """Whether its turns are to be cut short after every instruction."""

    def trapped(self, cpu: int, trap: Trap) -> None:
        """Its turn was cut short."""

    def failed(self, cpu: int | None, error: MachineError) -> None:
        """The machine cannot go on, because of `cpu`, if it is one's fault: the last chance to look at it."""

    def waits(self, seconds: float) -> bool:
        """Some CPU may not run, and nothing else can happen: wait for what they want. False if every CPU may run."""

    def ended(self, status: int, why: str = "") -> None:
        """The run is over, with exit status `status`, which is the guest's unless there is a `why`."""


class Machine:
    """`cpus` (1..8) CPUs on `board`, whose interrupt controller is `port`.

    Load an image into the board's memory, then `run` from its entry.  `seed` 0 gives every CPU turns of one length;
    any other draws their lengths: other interleavings of the CPUs, the same for the same seed.  When every CPU waits
    and no timer runs, `patience` is how many seconds somebody else who drives lines of the same interrupt controller
    has to raise one.  What `keyboard` has to say reaches the UART as fast as the guest reads it.  With a `pace` the
    guest's time keeps to its clock.  `observer` hears what the CPUs do about their interrupts.  `clock` is where
    the machine keeps its time, for whoever needs to know it before there is a machine.  `command` is
    what semihosting tells the guest of its command line.  A run that `debugger` stops, steps and looks at executes
    what it would without, unless some CPUs are kept from running while others do, or something is written.
    """

    def __init__(
        self,
        board: Board,
        port: GicPort,
        *,
        cpus: int = 1,
        seed: int = 0,
        patience: float = 0,
        keyboard: Keyboard | None = None,
        pace: Pace | None = None,
        observer: Observer | None = None,
        clock: Time | None = None,
        command: str = "",
        debugger: Debugger | None = None,
    ) -> None:
        if not 1 <= cpus <= MAX_CPUS:
            raise MachineError(f"{cpus} CPUs: a GICv2 has 1 to {MAX_CPUS}")
        self.port = port
        self.board = board
        self.uart = board.uart
        self.time = clock or Time()
        self._timers = Timers(cpus, port.line, self._show_timer)
        self._patience = patience
        self._keyboard = keyboard
        self._debugger = debugger
        self._pace = pace
        self._ended = False
        self._waited_for = 0.0
        self._seconds = 0.0
        self._jumped = 0
        self.reset_requested = False
        self.status: int | None = None
        """What the guest has ended with, if it has said so by semihosting: 0..255."""
        self._semihosting = Semihosting(
            board.transmit,
            lambda: self.now,
            FREQUENCY,
            lambda: pl031.START + self.now // FREQUENCY,
            self._exit,
            command,
        )
        broadcast = self._maintained if cpus > 1 else None
        self.cpus = [
            Cpu(n, board, self.time, self._timers, self._hypercall, self._semihost, self._is_alone, broadcast, observer)
            for n in range(cpus)
        ]
        self._random = random.Random(seed) if seed else None

    @property
    def now(self) -> int:
        """Virtual time in ticks of `timers.FREQUENCY`."""
        return self.time.now

    @property
    def statistics(self) -> Statistics:
        """Of the run so far."""
        cpus = self.cpus
        return Statistics(
            ticks=self.now,
            instructions=self.now - self._jumped - self.time.skipped,
            slices=sum(cpu.slices for cpu in cpus),
            irqs=tuple(cpu.interrupts[0] for cpu in cpus),
            fiqs=tuple(cpu.interrupts[1] for cpu in cpus),
            counter_reads=sum(cpu.counter_reads for cpu in cpus),
            seconds=self._seconds,
        )

    def run(self, entry: int, context: int = 0, *, seconds: float | None = None) -> None:
        """Start CPU 0 at `entry` and return when the guest has switched the system off, or asked for its reset.

        Raises `TimeLimit` after `seconds` of wall time, `Deadlock` when nothing can happen any more, `GicLost` when
        the interrupt controller is gone, `GuestFault` when the guest cannot be executed.
        """
        began = time.monotonic()
        try:
            self._run(entry, context, seconds)
        finally:
            self._seconds += time.monotonic() - began

    def _run(self, entry: int, context: int, seconds: float | None) -> None:
        self.cpus[0].switch_on(entry, context)
        end = None if seconds is None else time.monotonic() + seconds
        look = 0.0
        debugger = self._debugger
        if debugger is not None:
            debugger.begin(self)
        if self._pace is not None:
            self._pace.ahead(self.now)
        while not self._ended:
            if debugger is not None:
                debugger.look()
            if not self._round():
                self._idle()
            else:
                self._waited_for = 0.0
                if self._pace is not None and (ahead := self._pace.ahead(self.now)) > AHEAD:
                    self._pace.sleep(ahead)
            if self._keyboard is not None:
                self.uart.receive(self._keyboard.take(self.uart.room))
            wall = time.monotonic()
            if wall >= look:
                look = wall + _CHECK_INTERVAL
                self.port.check()
                held = 0 if debugger is None else debugger.held
                if end is not None and wall - held >= end:
                    raise TimeLimit(f"the guest has not switched itself off within {seconds:g} seconds")

    def _round(self) -> bool:
        """One turn for each CPU; False when none had anything to execute."""
        busy = False
        typed = self._keyboard is not None and not self._keyboard.ended
        usual = ALONE if len(self.cpus) == 1 and not typed else QUANTUM
        for cpu in self.cpus:
            quantum = usual if self._random is None else self._random.randint(1, 2 * usual)
            if self._turn(cpu, quantum) and not cpu.napping:
                busy = True
            if self._ended:
                break
        return busy or self._ended

    def _turn(self, cpu: Cpu, quantum: int) -> bool:
        """`Cpu.turn`, to its end: a debugger may cut it short, and let the CPU go on with it."""
        debugger = self._debugger
        if debugger is None or not debugger.attached:
            return cpu.turn(quantum)
        busy = False
        while debugger.may_run(cpu.index):
            cpu.stepping = debugger.steps(cpu.index)
            try:
                busy |= cpu.turn(quantum)
            except GuestFault as error:
                debugger.failed(cpu.index, error)
                raise
            if self._ended or cpu.cut is None:
                break
            debugger.trapped(cpu.index, cpu.cut)
        cpu.stepping = False
        return busy

    def _idle(self) -> None:
        due = self._timers.due
        if any(cpu.napping for cpu in self.cpus):
            due = self.now + NAP if due is None else min(due, self.now + NAP)
        if due is None:
            if self._keyboard is not None and not self._keyboard.ended:
                self.uart.receive(self._keyboard.take(self.uart.room, _CHECK_INTERVAL))
                return
            if self._waited_for < self._patience:
                step = min(_CHECK_INTERVAL, self._patience - self._waited_for)
                self._waited_for = 0 if self.port.wait(step) else self._waited_for + step
                return
            if self._debugger is not None and self._debugger.attached and self._debugger.waits(_CHECK_INTERVAL):
                return
            states = ", ".join(f"CPU {cpu.index} {'waits' if cpu.on else 'is off'}" for cpu in self.cpus)
            deadlock = Deadlock(f"nothing can wake the guest: {states}, no timer runs and no interrupt is asserted")
            if self._debugger is not None and self._debugger.attached:
                self._debugger.failed(None, deadlock)
            raise deadlock
        to = due if self._pace is None else self._waited(self._pace, due)
        self._jumped += to - self.now
        self.time.now = to
        self._timers.advance(to)

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

    # -- what a debugger looks at, and writes

    @property
    def timers(self) -> Timers:
        return self._timers

    def still(self) -> None:
        """Nothing moves, for how long nobody knows: see that the interrupt controller is there, and who ends the run.

        Raises as `run` does.
        """
        self.port.check()
        if self._keyboard is not None:
            self._keyboard.take(0)

    def forget_code(self) -> None:
        """Memory was written by somebody else: what was translated of it is void."""
        for cpu in self.cpus:
            cpu.invalidate(code=True)

    def _show_timer(self, cpu: int, crm: int, control: int, compare: int) -> None:
        self.cpus[cpu].show_timer(crm, control, compare)

    def _is_alone(self, cpu: int) -> bool:
        return all(not other.on or (other.halted and not other.lines) or other.index == cpu for other in self.cpus)

    # -- semihosting

    def _semihost(self, core: Engine, operation: int, parameter: int) -> int:
        return self._semihosting.call(core, operation, parameter)

    def _exit(self, status: int) -> None:
        self.status = status
        self.end(reset=False)

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
