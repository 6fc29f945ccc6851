"""One CPU: its turns on the engine, and what happens within them.

The engine takes interrupts and exceptions by itself.  Here are the levels of its inputs, kept as the interrupt
controller's outputs are after every access; the devices; time; waiting; and accesses that nobody answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NamedTuple, Protocol

from vgicd_machine.board.board import Board
from vgicd_machine.board.timers import Timers
from vgicd_machine.core import arm64, engine, syndrome
from vgicd_machine.core.addressing import PAGE_MASK, WIDEST_ACCESS, accessed
from vgicd_machine.core.arm64 import SystemRegister
from vgicd_machine.core.engine import Engine, Hole
from vgicd_machine.core.traps import Trap, Watch
from vgicd_machine.errors import BusAbort, GuestFault

HANDOVER: Final = 500
"""Instructions that a CPU goes on for after it has interrupted another one: it may wait for that."""

SPIN: Final = 200
"""Instructions that a CPU goes on for after YIELD, where it may wait for another one."""


POLL_DISTANCE: Final = 40
"""Ticks between two reads of the counter, at most, for the CPU to be in a loop that waits for it."""

POLLS: Final = 16
"""Such reads, one after the other, before time begins to jump."""

POLL_TICKS: Final = 256
"""How far it jumps with each further one: 4 microseconds."""


class Time:
    """Virtual time, in ticks of `timers.FREQUENCY`: one for each instruction, on whichever CPU."""

    def __init__(self) -> None:
        self.now = 0
        """As of the beginning of the slice, if one is being executed."""
        self.running: Engine | None = None
        self.skipped = 0
        """Ticks in which nothing was executed, while a CPU waited for the counter."""

    def moment(self) -> int:
        """The time of the present instruction."""
        return self.now if self.running is None else self.now + self.running.executed


class Observer(Protocol):
    """Whoever watches what the CPUs do about their interrupts."""

    watched: int
    """Bit v: `sampled` is wanted of CPU v. Looked at after every access, change of a line, and turn."""

    def interrupted(self, cpu: int, *, fiq: bool) -> None:
        """`cpu` takes an interrupt."""

    def sampled(self, cpu: int, *, masked: int, returned: bool) -> None:
        """`cpu` samples its inputs, of which it masks those in `masked` (bit 0 IRQ, bit 1 FIQ).

        It does so at least wherever it may have unmasked one, and (`returned`) after a return from an exception.
        """


class _Refusal(NamedTuple):
    """A refused access, and the registers before it: the instruction will not have happened."""

    pc: int
    address: int
    write: bool
    registers: tuple[int, ...]
    stack: int


class Cpu:
    """CPU `index`, switched off until `switch_on`.

    `hypercall(cpu, function, arguments)` carries out an HVC or SMC, `semihost(memory, operation, parameter)` a HLT;
    `is_alone(cpu)` tells that no other CPU has anything to execute.  `broadcast(cpu, crn, crm)` hears of maintenance.
    """

    def __init__(
        self,
        index: int,
        board: Board,
        time: Time,
        timers: Timers,
        hypercall: Callable[[int, int, tuple[int, int, int]], int],
        semihost: Callable[[Engine, int, int], int],
        is_alone: Callable[[int], bool],
        broadcast: Callable[[int, int, int], None] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.index = index
        self._board = board
        self._bus = board.bus
        self._time = time
        self._timers = timers
        self._hypercall = hypercall
        self._semihost = semihost
        self._is_alone = is_alone
        self._broadcast = broadcast
        self._observer = observer
        self._engine: Engine | None = None
        self.halted = False
        """In WFI: an asserted input, masked or not, ends it."""
        self.napping = False
        """The last turn ended with WFE: something may have happened when somebody else has executed, or later."""
        self.slices = 0
        self.interrupts = [0, 0]
        """IRQs and FIQs taken."""
        self.counter_reads = 0
        self._polls = 0  # reads of the counter in a row, none far from the one before
        self._polled = 0  # when it was last read
        self._outputs = 0  # of the interrupt controller, as last seen
        self._lines = 0
        self._done = False  # the turn ends with the slice
        self._end = 0  # of the turn, in time
        self._left = 0  # instructions of a slice that was cut short
        self.cut: Trap | None = None
        """Why a debugger has cut the last turn short, if it has."""
        self.stepping = False
        """Turns are cut short after every instruction."""
        self._traps: tuple[Collection[int], Collection[Watch]] = (), ()
        self._refusal: _Refusal | None = None
        self._stale_code = self._stale_tlb = False

    @property
    def on(self) -> bool:
        return self._engine is not None

    @property
    def engine(self) -> Engine | None:
        """The core that executes, while the CPU is on: between slices its registers may be read and written."""
        return self._engine

    @property
    def lines(self) -> int:
        """Bit 0 the IRQ, bit 1 the FIQ input."""
        return self._bus.outputs >> 2 * self.index & 3

    def switch_on(self, entry: int, context: int) -> None:
        """Begin at `entry` in EL1 with the MMU off, interrupts masked, `context` in X0 and zero in the others."""
        core = Engine(self, maintenance=self._broadcast is not None)
        for memory in self._board.memories:
            core.map_memory(memory.base, memory.size, memory.host_address, writable=memory.writable)
        for window in self._bus.windows:
            core.map_device(window.base, window.size)
        core.set_system(arm64.SCR_EL3, arm64.SCR_BOOT)
        core.set_system(arm64.HCR_EL2, arm64.HCR_RW | arm64.HCR_TWI)
        core.set_system(arm64.VMPIDR_EL2, 0x8000_0000 | self.index)
        core.set_system(arm64.CNTHCTL_EL2, 3)
        core.write(engine.X0, context)
        core.write(engine.PC, entry)
        core.set_traps(*self._traps, tidy=True)
        self._engine = core
        self.halted = self.napping = False

    def switch_off(self) -> None:
        """Forget everything; `switch_on` begins anew."""
        self._engine = None
        self._left = 0

    def trap(self, breakpoints: Collection[int], watches: Collection[Watch], *, tidy: bool) -> None:
        """Between turns: from now on, whenever it is on, `Engine.set_traps`."""
        self._traps = breakpoints, watches
        if self._engine is not None:
            self._engine.set_traps(breakpoints, watches, tidy=tidy)

    def invalidate(self, *, code: bool) -> None:
        """Another CPU has broadcast an invalidation of the TLBs, or of the instruction caches: before the next slice.

        Systems broadcast thousands in a row, and a flush of the engine is expensive.
        """
        self._stale_code = self._stale_code or code
        self._stale_tlb = self._stale_tlb or not code

    def show_timer(self, crm: int, control: int, compare: int) -> None:
        """Let the guest read `control` and `compare` from CTL and CVAL of the timer with `crm`, and TVAL to match."""
        if self._engine is not None:
            self._engine.set_system(SystemRegister(3, 3, 14, crm, 1), control)
            self._engine.set_system(SystemRegister(3, 3, 14, crm, 2), compare)

    def turn(self, budget: int) -> bool:
        """Execute about `budget` instructions, in time; False when there is nothing to execute.

        The turn ends early when the CPU waits, or has changed what the machine as a whole does next.  A debugger may
        cut it short (`cut`): the next call goes on with it, whatever its `budget`, as if nothing had been.
        """
        time, timers = self._time, self._timers
        if self.cut is None:
            self._end = time.now + budget
            self._left = 0
            self._done = self.napping = False
        self.cut = None
        busy = False
        while (core := self._engine) is not None:
            if not self._left:
                if self._done or time.now >= self._end:
                    break
                if self.halted:
                    if not self.lines:
                        break
                    self.halted = False
                limit = self._end if timers.due is None else max(time.now + 1, min(self._end, timers.due))
                self._left = limit - time.now
            spent = self._slice(core, self._left)
            time.now += spent  # which may have jumped within the slice
            timers.advance(time.now)
            busy = True
            self._left = 0
            if core.trap is not None:
                self.cut, self._left = core.trap, 0 if core.hole is not None else core.left
                break
        return busy

    # -- a slice

    def _slice(self, core: Engine, count: int) -> int:
        if self._stale_code or self._stale_tlb:
            self._flush(core)
        self._sample(core)
        self.slices += 1
        self._time.running = core
        try:
            spent = core.run(count, step=self.stepping)
        except GuestFault as error:
            raise GuestFault(f"CPU {self.index}: {error}") from error
        finally:
            self._time.running = None
        if self._refusal is not None:
            self._refuse(core, self._refusal)
        elif core.waiting:
            self.halted = True
        elif core.yielding:
            self.napping = self._done = True
        elif core.call is not None:
            self._call(core)
        elif core.hole is not None:
            self._miss(core, core.hole)
        return spent

    def _flush(self, core: Engine) -> None:
        if self._stale_code:
            core.flush_code()
        if self._stale_tlb:
            core.flush_tlb()
        self._stale_code = self._stale_tlb = False

    def _sample(self, core: Engine) -> int:
        """Bring the inputs up to date; yields those that have risen."""
        self._outputs = self._bus.outputs
        before, self._lines = self._lines, self.lines
        observer = self._observer
        core.set_inputs(self._lines, observed=observer is not None and bool(observer.watched >> self.index & 1))
        return self._lines & ~before

    def _call(self, core: Engine) -> None:
        function, one, two, three = (core.read(register) for register in engine.GENERAL[:4])
        self._done = True
        if core.call == engine.SEMIHOSTING_CALL:
            answer = self._semihost(core, function, one)
        else:
            answer = self._hypercall(self.index, function & 0xFFFF_FFFF, (one, two, three))
        core.write(engine.X0, answer & (1 << 64) - 1)

    # -- what the engine calls within a slice

    def load(self, address: int, size: int) -> int:
        try:
            value = self._bus.read(self.index, address, size)
        except BusAbort:
            self._refused(address, write=False)
            return 0
        self._changed()
        return value

    def store(self, address: int, size: int, value: int) -> None:
        try:
            self._bus.write(self.index, address, size, value)
        except BusAbort:
            self._refused(address, write=True)
        else:
            self._changed()

    def _changed(self) -> None:
        """The outputs may have changed: an input of this CPU that has risen is taken after this very instruction."""
        core, before = self._engine, self._outputs
        if core is None or (self._bus.outputs == before and self._observer is None):
            return
        if self._sample(core):
            core.end_slice()
        if self._outputs & ~before & ~(3 << 2 * self.index):
            self._done = True
            core.end_slice(HANDOVER)

    def counter(self) -> int:
        self.counter_reads += 1
        now = self._time.moment()
        self._polls = self._polls + 1 if now - self._polled <= POLL_DISTANCE else 0
        if self._polls > POLLS and self._is_alone(self.index):
            now += self._skip(now)
        self._polled = now
        return now

    def _skip(self, now: int) -> int:
        """Let time jump, up to what the next timer has to do; yields how far."""
        due = self._timers.due
        ticks = POLL_TICKS if due is None else max(0, min(POLL_TICKS, due - now - 1))
        self._time.now += ticks
        self._time.skipped += ticks
        if due is not None and self._engine is not None:
            self._engine.end_slice(max(0, due - now - ticks))
        return ticks

    def timer_written(self, crm: int, op2: int, value: int) -> None:
        now = self._time.moment()
        self._timers.write(self.index, crm, op2, value, now)
        self._changed()
        if self._engine is not None and (due := self._timers.due) is not None:
            self._engine.end_slice(max(0, due - now))

    def interrupted(self, *, fiq: bool) -> None:
        self.interrupts[fiq] += 1
        self._polls = 0  # its handler does not wait for the counter
        if self._observer is not None:
            self._observer.interrupted(self.index, fiq=fiq)

    def sampled(self) -> None:
        core, observer = self._engine, self._observer
        if core is None or observer is None:
            return
        pstate = core.read(engine.PSTATE)
        returned = core.read(engine.PC) == core.system(arm64.ELR_EL1) and pstate == core.system(arm64.SPSR_EL1)
        masked = bool(pstate & arm64.PSTATE_I) | bool(pstate & arm64.PSTATE_F) << 1
        observer.sampled(self.index, masked=masked, returned=returned)

    def maintained(self, crn: int, crm: int) -> None:
        if self._broadcast is not None:
            self._broadcast(self.index, crn, crm)

    def yielded(self) -> None:
        """YIELD: others may have what this CPU waits for."""
        if self._broadcast is not None and self._engine is not None:
            self._done = True
            self._engine.end_slice(SPIN)

    # -- accesses that nobody answers

    def _refused(self, address: int, *, write: bool) -> None:
        core = self._engine
        if core is None or self._refusal is not None:
            return
        registers = tuple(core.read(register) for register in engine.GENERAL)
        self._refusal = _Refusal(core.read(engine.PC), address, write, registers, core.read(engine.SP))
        core.end_slice()

    def _refuse(self, core: Engine, refusal: _Refusal) -> None:
        self._refusal = None
        for register, value in zip(engine.GENERAL, refusal.registers, strict=True):
            core.write(register, value)
        core.write(engine.SP, refusal.stack)
        core.write(engine.PC, refusal.pc)
        self._abort(core, refusal.address, fetch=False, write=refusal.write)

    def _miss(self, core: Engine, hole: Hole) -> None:
        pc = core.read(engine.PC)
        if hole.rom and (word := core.instruction(pc)) is not None and arm64.is_simple_access(word):
            core.write(engine.PC, pc + 4)  # as real read-only memory: nothing is written, and nothing said
            return
        if hole.fetch and (exception := syndrome.taken(core, pc)) is not None:
            raise GuestFault(f"CPU {self.index}: {exception}, and no memory at its vector {pc:#x}")
        self._abort(core, hole.address, fetch=hole.fetch, write=hole.write)

    def _abort(self, core: Engine, address: int, *, fetch: bool, write: bool) -> None:
        """A synchronous external abort of the access to physical `address` by the instruction at the PC."""
        same_level = arm64.exception_level(core.read(engine.PSTATE)) != 0
        kind = arm64.EC_INSTRUCTION_ABORT if fetch else arm64.EC_DATA_ABORT
        virtual = self._virtual(core, address, fetch=fetch)
        iss = arm64.EXTERNAL_ABORT | (arm64.ISS_FNV if virtual is None else 0) | (arm64.ISS_WNR if write else 0)
        core.abort(fetch=fetch, syndrome=kind + same_level << 26 | arm64.ESR_IL | iss, address=virtual or 0)

    @staticmethod
    def _virtual(core: Engine, address: int, *, fetch: bool) -> int | None:
        """Where the instruction at the PC has met physical `address`; None if that is not to be found out."""
        if not core.system(arm64.SCTLR_EL1) & arm64.SCTLR_M:
            return address
        pc = core.read(engine.PC)
        if fetch:
            return pc
        registers = (*engine.GENERAL, engine.SP)
        word = core.instruction(pc)
        first = None if word is None else accessed(word, pc, lambda number: core.read(registers[number]))
        if first is None or (beyond := address - first & PAGE_MASK) >= WIDEST_ACCESS:
            return None
        return first + beyond
